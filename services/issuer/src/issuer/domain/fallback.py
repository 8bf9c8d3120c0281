"""When a job leaves its CA for the next one that its issue order allows."""

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
    CA_AWAY = "ca_away"
    CA_REFUSED = "ca_refused"


@dataclass(frozen=True)
class Fallback:
    ca: str
    reason: FallbackReason


def fall_back(
    job: Job, *, known: Collection[str], away: Mapping[str, datetime], patience: timedelta, now: datetime
) -> Fallback | None:
    """The next of the allowed CAs that is configured and not away, where the job's own has been `away` for `patience`
    or refused its order; None where the job stays.

    It leaves only where no finalize can be unknown: its order was never made, or is invalid. An order that was lost
    may have been finalized. CAs before its own are not tried again.
    """
    allowed = list(job.issue_order.cas)
    if job.state is not JobState.KEYED or job.ca_order is not None or job.lost or job.ca not in allowed:
        return None
    since = away.get(job.ca or "")
    if since is not None and now - since >= patience:
        reason = FallbackReason.CA_AWAY
    elif job.reason in _REFUSED:
        reason = FallbackReason.CA_REFUSED
    else:
        return None
    following = allowed[allowed.index(job.ca or "") + 1 :]
    ca = next((ca for ca in following if ca in known and ca not in away and ca != job.ca), None)
    return Fallback(ca, reason) if ca is not None else None
