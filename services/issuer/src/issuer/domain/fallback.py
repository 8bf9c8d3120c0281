"""When a job leaves its CA for the next one that its issue order allows, and why it does or stays."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from issuer.domain.failure import FailureReason
from issuer.domain.job import Job, JobState

__all__ = ["Fallback", "FallbackReason", "fall_back"]

_REFUSED: Final = frozenset(
    {
        FailureReason.CA_REFUSED,
        FailureReason.ACCOUNT_REFUSED,
        FailureReason.NAME_REJECTED,
        FailureReason.CAA_FORBIDS,
    }
)


class FallbackReason(StrEnum):
    """The first two are why it leaves, the others why it stays."""

    CA_AWAY = "ca_away"
    CA_REFUSED = "ca_refused"
    NOT_NEEDED = "not_needed"
    FINALIZE_UNKNOWN = "finalize_unknown"
    NO_OTHER_CA = "no_other_ca"
    OTHERS_HINDERED = "others_hindered"


@dataclass(frozen=True)
class Fallback:
    """`ca` is where the job goes, None where it stays. `detail` tells people what hinders the others."""

    ca: str | None
    reason: FallbackReason
    detail: str = ""


def fall_back(
    job: Job,
    *,
    known: Collection[str],
    away: Mapping[str, datetime],
    hindered: Mapping[str, str],
    patience: timedelta,
    now: datetime,
) -> Fallback:
    """To the next of the allowed CAs that is configured, not away and not `hindered` (each with what hinders it: CAA
    records forbid it, or nobody knows), where the job's own has been `away` for `patience` or refused its order.

    It leaves only where no finalize can be unknown: its order was never made, or is invalid. An order that was lost
    may have been finalized. CAs before its own are not tried again.
    """
    allowed = list(job.issue_order.cas)
    since = away.get(job.ca or "")
    if since is not None and now - since >= patience:
        reason = FallbackReason.CA_AWAY
    elif job.reason in _REFUSED:
        reason = FallbackReason.CA_REFUSED
    else:
        return Fallback(None, FallbackReason.NOT_NEEDED)
    if job.state is not JobState.KEYED or job.ca_order is not None or job.lost:
        return Fallback(None, FallbackReason.FINALIZE_UNKNOWN)
    following = allowed[allowed.index(job.ca) + 1 :] if job.ca in allowed else []
    there = [ca for ca in following if ca in known and ca not in away and ca != job.ca]
    ca = next((ca for ca in there if ca not in hindered), None)
    if ca is not None:
        return Fallback(ca, reason)
    if not there:
        return Fallback(None, FallbackReason.NO_OTHER_CA)
    return Fallback(None, FallbackReason.OTHERS_HINDERED, "; ".join(f"not {ca}: {hindered[ca]}" for ca in there))
