"""Conditions and health of a certificate: what holds now, beside its lifecycle, which is what was reached once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from certcore.api import CertificateState
from certcore.certificate import Proof
from certcore.conditions import Condition, ConditionStatus, ConditionType, Health
from certcore.events import ServingVerdict
from certcore.placements import Action
from registry.domain.endpoint import Endpoint, ProbeWorker, are_stale, is_stale
from registry.domain.placement import Placement
from registry.domain.revision import SigningState
from registry.domain.rollout import Rollout

__all__ = ["GRACE", "Assessment", "assess"]

GRACE: Final = timedelta(minutes=5)
"""How long a rollout may be under way before missing deliveries or proofs degrade the certificate."""

_TRUE, _FALSE, _UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


@dataclass(frozen=True)
class _Found:
    """A condition without its `since`, and what it means for the health."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str
    health: Health = Health.OK


@dataclass(frozen=True)
class Assessment:
    """`reason` is the message of the condition that the health comes from."""

    health: Health
    reason: str
    conditions: tuple[Condition, ...]


_WORST_FIRST: Final = (Health.DEGRADED, Health.UNKNOWN, Health.PROGRESSING, Health.OK)


def assess(rollout: Rollout, workers: Sequence[ProbeWorker], *, approved: bool, now: datetime) -> Assessment:
    """Judge a certificate. `approved`: its approval covers the intent as it is; `workers` are all probe workers.

    The `since` of a condition is kept for as long as its status stays.
    """
    found = [
        _approved(rollout, approved=approved),
        _issued(rollout, now),
        _delivered(rollout, now),
        _served(rollout, workers, now),
        _renewing(rollout),
    ]
    before = {condition.type: condition for condition in rollout.certificate.conditions}
    conditions = tuple(_since(item, before.get(item.type), now) for item in found)
    if not rollout.certificate.active:
        return Assessment(Health.NONE, f"it is {rollout.certificate.state.replace('_', ' ')}", conditions)
    if rollout.certificate.unreadable is not None:
        return Assessment(Health.UNKNOWN, rollout.certificate.unreadable, conditions)
    worst = min(found, key=lambda item: _WORST_FIRST.index(item.health))
    progress = rollout.progress
    if worst.health is Health.OK:
        served = next(item for item in found if item.type is ConditionType.SERVED)
        return Assessment(Health.OK, progress.reason if progress.proven else served.message, conditions)
    return Assessment(worst.health, worst.message, conditions)


def _since(found: _Found, before: Condition | None, now: datetime) -> Condition:
    since = before.since if before is not None and before.status == found.status else now
    return Condition(type=found.type, status=found.status, reason=found.reason, message=found.message, since=since)


def _approved(rollout: Rollout, *, approved: bool) -> _Found:
    kind, certificate = ConditionType.APPROVED, rollout.certificate
    if approved:
        return _Found(kind, _TRUE, "approved", "the intent is approved")
    if certificate.state is CertificateState.WAITING_FOR_APPROVAL:
        return _Found(kind, _FALSE, "waiting", f"waits for approval: {certificate.reason}", Health.PROGRESSING)
    if certificate.state is CertificateState.DENIED:
        return _Found(kind, _FALSE, "denied", certificate.reason)
    return _Found(kind, _FALSE, "not_covered", "no approval covers the intent as it is", Health.DEGRADED)


def _issued(rollout: Rollout, now: datetime) -> _Found:
    return _not_issued(rollout, now) or _variants_issued(rollout)


def _not_issued(rollout: Rollout, now: datetime) -> _Found | None:
    kind, certificate, shown = ConditionType.ISSUED, rollout.certificate, rollout.shown
    if certificate.unreadable is not None:
        return _Found(kind, _UNKNOWN, "unreadable", certificate.unreadable, Health.UNKNOWN)
    ended = next((item for item in rollout.variants if item.not_after <= now), None)
    if ended is not None:
        message = f"revision {ended.number} expired at {ended.not_after:%Y-%m-%dT%H:%MZ}"
        return _Found(kind, _FALSE, "expired", message, Health.DEGRADED)
    if certificate.state is CertificateState.FAILING:
        return _Found(kind, _FALSE if shown is None else _TRUE, "failing", certificate.reason, Health.DEGRADED)
    return None


def _variants_issued(rollout: Rollout) -> _Found:
    kind, shown = ConditionType.ISSUED, rollout.shown
    waiting = [item for item in rollout.signing if item.state in {SigningState.WANTED, SigningState.ORDERED}]
    failed = next((item for item in waiting if item.failure), None)
    if failed is not None:
        message = f"revision {failed.revision} for target {failed.target} was not issued: {failed.failure}"
        return _Found(kind, _FALSE, "failing", message, Health.DEGRADED)
    if shown is None:
        return _Found(kind, _FALSE, "waiting", rollout.certificate.reason, Health.PROGRESSING)
    if waiting:
        first = waiting[0]
        what = "its signing request" if first.state is SigningState.WANTED else "the CA"
        message = f"revision {first.revision} for target {first.target} waits for {what}"
        return _Found(kind, _TRUE, "variant_waiting", message, Health.PROGRESSING)
    without = next((item for item in rollout.placements if item.action is Action.HOLD and item.wanted is None), None)
    if without is not None:
        message = f"revision {rollout.certificate.ordered} for target {without.target} waits for the CA"
        return _Found(kind, _TRUE, "variant_waiting", message, Health.PROGRESSING)
    return _Found(kind, _TRUE, "issued", f"revision {shown.number} is valid until {shown.not_after:%Y-%m-%dT%H:%MZ}")


def _delivered(rollout: Rollout, now: datetime) -> _Found:
    kind = ConditionType.DELIVERED
    placed = [item for item in rollout.placements if item.is_wanted]
    if not placed:
        return _Found(kind, _FALSE, "nothing_issued", "nothing is issued yet", Health.PROGRESSING)
    missing = [item for item in placed if not item.is_held]
    if not missing:
        return _Found(kind, _TRUE, "delivered", f"{len(placed)} of {len(placed)} targets hold it")
    late = [item for item in missing if not _is_under_way(item, now)]
    worst = next((item for item in late if item.is_failed), None) or next(iter(late), None)
    if worst is not None:
        message = f"target {worst.target} does not hold revision {worst.wanted}: {worst.failure or 'no report came'}"
        return _Found(kind, _FALSE, "failed" if worst.is_failed else "late", message, Health.DEGRADED)
    first = next((item for item in missing if item.is_failed), missing[0])
    message = f"target {first.target} is getting revision {first.wanted}: {first.failure or first.step or 'ordered'}"
    return _Found(kind, _FALSE, "in_progress", message, Health.PROGRESSING)


def _served(rollout: Rollout, workers: Sequence[ProbeWorker], now: datetime) -> _Found:
    kind = ConditionType.SERVED
    if rollout.certificate.intent.proof == Proof.NONE:
        return _Found(kind, _UNKNOWN, "no_proof", "no endpoint is watched: the request has proof: none")
    due = [item for item in rollout.endpoints if rollout.wanted_at(item)]
    if not due:
        return _Found(kind, _FALSE, "nothing_issued", "nothing is issued yet", Health.PROGRESSING)
    faulty = [item for item in due if _is_fault(rollout, item, now)]
    fresh = [item for item in faulty if not is_stale(item, workers, now=now)]
    if fresh:
        more = f"; {len(fresh) - 1} more" if len(fresh) > 1 else ""
        message = f"endpoint {fresh[0].url}: {_described(rollout, fresh[0])}{more}"
        return _Found(kind, _FALSE, str(fresh[0].verdict), message, Health.DEGRADED)
    aged = [item for item in due if item.verdict is not None and is_stale(item, workers, now=now)]
    if aged:
        message = f"endpoint {aged[0].url} was not looked at lately: what was seen of it proves nothing any more"
        return _Found(kind, _UNKNOWN, "not_looked_at", message, Health.UNKNOWN)
    missing = [item for item in due if not rollout.is_served(item) and not _is_first_look(rollout, item)]
    if missing:
        return _not_served(rollout, missing[0], workers, now)
    doubt = next((item for item in due if not rollout.is_served(item)), None)
    more = f"; the last look at {doubt.url} found: {_described(rollout, doubt)}" if doubt is not None else ""
    return _Found(kind, _TRUE, "served", f"{len(due)} of {len(due)} endpoints serve it{more}")


def _not_served(rollout: Rollout, endpoint: Endpoint, workers: Sequence[ProbeWorker], now: datetime) -> _Found:
    kind, seen = ConditionType.SERVED, rollout.seen_at(endpoint)
    late = not any(_is_under_way(item, now) for item in rollout.proven_by(endpoint))
    if late and seen is None and are_stale(workers, now=now):
        message = f"endpoint {endpoint.url} was never looked at: no probe worker finished a round lately"
        return _Found(kind, _UNKNOWN, "not_looked_at", message, Health.UNKNOWN)
    what = _described(rollout, endpoint) if seen is not None else "not looked at yet"
    health = Health.DEGRADED if late else Health.PROGRESSING
    return _Found(kind, _FALSE, str(seen or "unseen"), f"endpoint {endpoint.url}: {what}", health)


def _is_first_look(rollout: Rollout, endpoint: Endpoint) -> bool:
    """Whether an endpoint that was proven was found at fault once, which doesn't count yet."""
    proven = {item.number for item in rollout.wanted_at(endpoint)} == {endpoint.proven}
    return endpoint.proven > 0 and proven and endpoint.is_doubtful


def _is_fault(rollout: Rollout, endpoint: Endpoint, now: datetime) -> bool:
    """A fault counts at once where the endpoint served us before; in its first rollout, and for an earlier revision
    of ours, after the grace.
    """
    if endpoint.is_faulty and endpoint.proven > 0:
        return True
    late = not any(_is_under_way(item, now) for item in rollout.proven_by(endpoint))
    return late and (endpoint.is_faulty or endpoint.verdict is ServingVerdict.PREVIOUS)


def _described(rollout: Rollout, endpoint: Endpoint) -> str:
    verdict = str(rollout.seen_at(endpoint)).replace("_", " ")
    return f"{verdict} ({endpoint.detail})" if endpoint.detail else verdict


def _is_under_way(placement: Placement, now: datetime) -> bool:
    """Whether it may still take: a slow delivery until it fails, any other for the grace."""
    slow = bool(placement.step) and not placement.is_failed
    return slow or (placement.ordered_at is not None and now - placement.ordered_at < GRACE)


def _renewing(rollout: Rollout) -> _Found:
    kind, certificate = ConditionType.RENEWING, rollout.certificate
    number = rollout.newest.number if rollout.newest is not None else 0
    if rollout.shown is not None and certificate.ordered > number:
        message = f"revision {certificate.ordered} is ordered"
        failing = certificate.state is CertificateState.FAILING
        return _Found(kind, _TRUE, "failing" if failing else "ordered", message)
    return _Found(kind, _FALSE, "idle", "no revision is ordered")
