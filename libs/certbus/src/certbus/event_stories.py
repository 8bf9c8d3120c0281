"""What each event says in a few words."""

from datetime import datetime
from functools import singledispatch

from certbus.time_spans import instant
from certcore import events

__all__ = ["story"]


@singledispatch
def story(_: events.Event) -> str:
    """Empty for an event that has no words of its own."""
    return ""


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
def _(event: events.CertificateIssued) -> str:
    return f"revision {event.revision}, serial {event.serial}, expires {instant(event.not_after)}"


@story.register
def _(event: events.DeploymentOrdered) -> str:
    return f"revision {event.revision} to {', '.join(target.name for target in event.targets)}"


@story.register
def _(event: events.CertificateDelivered) -> str:
    return f"revision {event.revision} at {event.target} ({event.site})"


@story.register
def _(event: events.CertificateLive) -> str:
    return f"revision {event.revision} was seen at every endpoint"


@story.register
def _(event: events.CertificateFailing) -> str:
    return f"revision {event.revision}: {event.reason}, {_next_try(event.next_try)}"


@story.register
def _(event: events.EndpointsExpected) -> str:
    return f"revision {event.wanted_revision} at {len(event.endpoints)} endpoints"


@story.register
def _(event: events.AlertRaised) -> str:
    return f"{event.severity}: {event.summary}"


@story.register
def _(event: events.AlertResolved) -> str:
    return f"resolved: {event.summary}"


def _next_try(then: datetime | None) -> str:
    return f"next try {instant(then)}" if then else "gave up"
