"""A judgement as the API and the command answer it."""

from datetime import timedelta

from pydantic import JsonValue

from certcore.certificate import CertificateSpec, Exposure
from certcore.policy.judgement import Judgement
from certcore.reading import Items, Open, ReadModel
from certcore.rejection import Rejection

__all__ = ["NeededView", "PolicyVerdict", "PolicyView", "verdict_of"]


class NeededView(ReadModel):
    """So many more approvals of a group, None for all approvers."""

    group: str | None = None
    count: int


class PolicyVerdict(ReadModel):
    """What policy says of a request. `allowed` is False where `errors` name fields at fault. `approvals` are what
    would be asked of whom, nothing where policy itself approves; `because` says for what each rule was found. Spans
    are in seconds.
    """

    policy_digest: str
    allowed: bool
    errors: Items[Rejection] = ()
    exposure: Open[Exposure] | None = None
    cas: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    approvals: Items[NeededView] = ()
    because: tuple[str, ...] = ()
    pending_s: int | None = None
    approval_lasts_s: int | None = None
    renewals_apart_s: int | None = None
    most: int | None = None


class PolicyView(ReadModel):
    """The policy that holds, as it is kept: without what has its default."""

    digest: str
    policy: dict[str, JsonValue]


def verdict_of(judged: Judgement, spec: CertificateSpec, *, digest: str) -> PolicyVerdict:
    """What the policy with this digest says of the request."""
    allowed = not judged.refusals
    return PolicyVerdict(
        policy_digest=digest,
        allowed=allowed,
        errors=judged.refusals,
        exposure=spec.exposure if allowed else None,
        cas=judged.cas,
        rules=judged.rules,
        approvals=tuple(NeededView(group=item.group, count=item.count) for item in judged.approvals),
        because=judged.because,
        pending_s=_seconds(judged.pending),
        approval_lasts_s=_seconds(judged.approval_lasts),
        renewals_apart_s=_seconds(judged.renewals_apart),
        most=judged.most,
    )


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())
