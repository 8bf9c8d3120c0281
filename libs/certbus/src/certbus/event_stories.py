"""What each event says in a few words."""

from collections.abc import Iterable
from datetime import datetime
from functools import singledispatch

from certbus.time_spans import instant
from certcore import events
from certcore.conditions import Condition, ConditionStatus, ConditionType
from certcore.placements import PLATFORM, Action

__all__ = ["story"]


@singledispatch
def story(_: events.Event) -> str:
    """Empty for an event that has no words of its own."""
    return ""


@story.register
def _(event: events.RequestSubmitted | events.RequestSubmittedV1) -> str:
    return f"{', '.join(event.dns_names)} ({event.exposure})"


@story.register
def _(event: events.RequestAccepted) -> str:
    return event.reason


@story.register
def _(event: events.RequestRejected) -> str:
    return "; ".join(f"{error.field}: {error.message}" for error in event.errors)


@story.register
def _(event: events.CertificateRequested) -> str:
    return f"asked for by {event.requester}: {', '.join(event.dns_names)} ({event.exposure})"


@story.register
def _(event: events.CertificateWaiting) -> str:
    return event.reason


@story.register
def _(event: events.CertificateDenied) -> str:
    return f"by {event.denied_by}: {event.reason}"


@story.register
def _(event: events.CertificateApproved) -> str:
    return f"by {', '.join(event.approved_by) or 'policy'} ({event.policy})"


@story.register
def _(event: events.CertificateRenewalDue) -> str:
    return f"revision {event.order.revision}: {event.reason}"


@story.register
def _(event: events.CertificateApprovedForCsr) -> str:
    by = ", ".join(event.approved_by) or "policy"
    return f"by {by} ({event.policy}); asked for a signing request: {', '.join(event.targets)}"


@story.register
def _(event: events.CertificateRenewalDueForCsr) -> str:
    return f"revision {event.revision}: {event.reason}; asked for a signing request: {', '.join(event.targets)}"


@story.register
def _(event: events.CsrAccepted) -> str:
    return f"revision {event.order.revision}, variant {event.order.variant}, for {event.target}"


@story.register
def _(event: events.CertificateHealthChanged) -> str:
    return _list(str(event.health), (_condition(one) for one in event.conditions if _is_news(one)))


@story.register
def _(event: events.CertificateIssued) -> str:
    return f"revision {event.revision}, serial {event.serial}, expires {instant(event.not_after)}"


@story.register
def _(event: events.DeploymentOrdered) -> str:
    return ", ".join(
        f"revision {order.revision} to {order.target.name}"
        if order.action == Action.HOLD
        else f"{order.action} {order.target.name}"
        for order in event.placements
    )


@story.register
def _(event: events.CsrWanted) -> str:
    return f"revision {event.revision}, variant {event.variant}, from {event.target.name}"


@story.register
def _(event: events.RevisionStarted) -> str:
    return f"revision {event.revision}{_variant(event.variant)} at {event.ca}"


@story.register
def _(event: events.RevisionIssued) -> str:
    return f"revision {event.revision}{_variant(event.variant)} by {event.ca}"


@story.register
def _(event: events.RevisionRenewalWindow) -> str:
    window = f"{instant(event.start)} to {instant(event.end)}, chosen {instant(event.chosen)}"
    return f"revision {event.revision}{_variant(event.variant)}: {window}{_detail(event.explanation_url or '')}"


@story.register
def _(event: events.RevisionFailed) -> str:
    return _failure(event)


@story.register
def _(event: events.CertificateIssuingWaits | events.RevisionWaits) -> str:
    return _waits(event)


@story.register
def _(event: events.DeliverySucceeded) -> str:
    return f"{_placed(event)}{', which had lost it' if event.repaired else ''}"


@story.register
def _(event: events.DeliveryFailed) -> str:
    return f"{_placed(event)}: {event.reason}{_detail(event.detail)}, {_next_try(event.next_try)}"


@story.register
def _(event: events.DeliveryProgressed) -> str:
    look = f", next look {instant(event.next_look)}" if event.next_look else ""
    return f"{_placed(event)}: {event.step}{_detail(event.detail)}{look}"


@story.register
def _(event: events.DeliveryRolledBack) -> str:
    held = f"revision {event.held_revision}" if event.held_revision is not None else "none of ours"
    return f"{_placed(event)} could not be proven ({event.reason}{_detail(event.detail)}); holds {held} again"


@story.register
def _(event: events.DeliveryWithdrawn) -> str:
    return f"nothing is left at {event.target}"


@story.register
def _(event: events.CsrOffered) -> str:
    return f"revision {event.revision}, variant {event.variant}, by {event.target}"


@story.register
def _(event: events.CsrExpired) -> str:
    return f"revision {event.revision}, variant {event.variant}, at {event.target}{_detail(event.detail)}"


@story.register
def _(event: events.CertificateDelivered) -> str:
    return f"revision {event.revision} at {event.target} ({event.site})"


@story.register
def _(event: events.CertificateLive) -> str:
    return f"revision {event.revision} was seen at every endpoint"


@story.register
def _(event: events.CertificateFailing) -> str:
    return _failure(event)


@story.register
def _(event: events.EndpointsExpected) -> str:
    wanted = sorted({leaf.revision for endpoint in event.endpoints for leaf in endpoint.wanted})
    return f"revision {', '.join(map(str, wanted)) or '-'} at {len(event.endpoints)} endpoints"


@story.register
def _(event: events.EndpointObserved) -> str:
    revision = f", revision {event.served_revision}" if event.served_revision is not None else ""
    return f"{event.url}: {event.verdict}{revision}"


@story.register
def _(event: events.ProbeRound) -> str:
    return f"{event.worker} looked at {event.looked} endpoints and missed {len(event.missed)}"


@story.register
def _(event: events.SiteHeartbeat) -> str:
    return f"{event.service} {event.version} at {event.site}"


@story.register
def _(event: events.SiteReviewed) -> str:
    return _list(
        f"{len(event.secrets)} Secrets at {event.site}", (f"{one} could not be listed" for one in event.unreachable)
    )


@story.register
def _(event: events.AlertRaised) -> str:
    return f"{event.severity}: {event.summary}"


@story.register
def _(event: events.AlertUpdated) -> str:
    return f"now {event.severity}: {event.summary}"


@story.register
def _(event: events.AlertAcknowledged) -> str:
    return f"acknowledged by {event.acknowledged_by}{_detail(event.comment)}: {event.summary}"


@story.register
def _(event: events.AlertResolved) -> str:
    return f"resolved: {event.summary}"


@story.register
def _(event: events.ChallengeWanted) -> str:
    return f"{event.action} the answer for {event.host} until {instant(event.expires_at)}"


@story.register
def _(event: events.ChallengeShown) -> str:
    done = "is shown" if event.shown else "isn't shown"
    return f"the answer for {event.host} {done}{_detail(event.detail)}"


@story.register
def _(event: events.RegistryAnchored) -> str:
    return f"event {event.event_sequence} and audit entry {event.audit_sequence} of epoch {event.epoch} are anchored"


@story.register
def _(
    event: events.DeploymentOrderedV1
    | events.DeliverySucceededV1
    | events.DeliveryFailedV1
    | events.EndpointsExpectedV1
    | events.AlertRaisedV1
    | events.AlertResolvedV1,
) -> str:
    return story(event.upgraded())


def _waits(event: events.CertificateIssuingWaits | events.RevisionWaits) -> str:
    acts = f", {event.must_act} must act" if event.must_act != events.MustAct.NOBODY else ""
    until = f", until {instant(event.until)}" if event.until else ""
    return f"revision {event.revision}{_variant(event.variant)}: {event.reason}{acts}{until}"


def _failure(event: events.CertificateFailing | events.RevisionFailed) -> str:
    acts = f", {event.must_act} must act" if event.must_act != events.MustAct.NOBODY else ""
    return f"revision {event.revision}{_variant(event.variant)}: {event.reason}{acts}, {_next_try(event.next_try)}"


def _placed(event: events.PlacementReport) -> str:
    return f"revision {event.revision}{_variant(event.variant)} at {event.target}"


def _is_news(condition: Condition) -> bool:
    """Renewing is told while it is true, the others while they aren't."""
    return (condition.status == ConditionStatus.TRUE) == (condition.type == ConditionType.RENEWING)


def _condition(condition: Condition) -> str:
    return f"{condition.type} is {condition.status}: {condition.message or condition.reason}"


def _list(first: str, others: Iterable[str]) -> str:
    return "; ".join([first, *others])


def _variant(variant: str) -> str:
    return f" ({variant})" if variant != PLATFORM else ""


def _detail(text: str) -> str:
    return f" ({text})" if text else ""


def _next_try(then: datetime | None) -> str:
    return f"next try {instant(then)}" if then else "gave up"
