"""When a finding becomes an alert, and when it ends. One bad look is none: a probe may fail once."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from certcore.events import AlertRaised, AlertResolved, ServingVerdict
from monitor.domain.verdict import Look
from monitor.domain.watched import EndpointRecord, Expected

__all__ = ["ALERT_REASON", "LOOKS_TO_RAISE", "Decision", "Reason", "alert_of", "decide", "resolution"]

ALERT_REASON: Final = "serves_other_than_wanted"
LOOKS_TO_RAISE: Final = 2

Severity = Literal["warning", "critical"]

_NAMESPACE: Final = uuid.UUID("6f0b4a5c-5a0e-4d1c-9a43-6d2f3c0c6e11")

_FINDINGS: Final = {
    ServingVerdict.WANTED: "serves what is wanted",
    ServingVerdict.PREVIOUS: "still serves an earlier revision",
    ServingVerdict.OTHER: "serves a certificate that is none of ours",
    ServingVerdict.EXPIRED: "serves an expired certificate",
    ServingVerdict.WRONG_HOST: "serves a certificate for other names",
    ServingVerdict.UNTRUSTED: "serves a certificate that clients don't trust",
    ServingVerdict.TLS_FAILED: "fails the TLS handshake",
    ServingVerdict.UNREACHABLE: "can't be reached",
}


class Reason(StrEnum):
    """Why an alert was raised, made worse, resolved, or none of that."""

    GOOD = "good"
    ROLLING_OUT = "rolling_out"
    FIRST_BAD_LOOK = "first_bad_look"
    STILL_OPEN = "still_open"
    RAISED = "raised"
    WORSE = "worse"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Decision:
    """`record` with its new counts; `ends` and `begins` are what to do about the alert in it."""

    record: EndpointRecord
    reason: Reason
    ends: bool = False
    begins: Severity | None = None


def decide(record: EndpointRecord, look: Look, *, rollout_age: timedelta, grace: timedelta) -> Decision:
    """Follow an endpoint through one look.

    Until an endpoint has served any revision of ours, whatever it does is its first roll-out, which has the grace.
    A finding that gets worse ends the alert and begins a critical one, so that every subscriber of a severity hears
    both the beginning and the end.
    """
    bad = _is_bad(look.verdict, ever_served=record.ever_served, in_grace=rollout_age < grace)
    severity: Severity = "critical" if look.clients_fail else "warning"
    record = record.model_copy(
        update={
            # Counted no further than it matters, so that a dead endpoint isn't written to disk at every look.
            "bad_looks": min(record.bad_looks + 1, LOOKS_TO_RAISE) if bad else 0,
            "critical_looks": min(record.critical_looks + 1, LOOKS_TO_RAISE) if bad and look.clients_fail else 0,
            "ever_served": record.ever_served or look.verdict in {ServingVerdict.WANTED, ServingVerdict.PREVIOUS},
        }
    )
    if record.alert is not None:
        if look.verdict is ServingVerdict.WANTED:
            return Decision(record, Reason.RESOLVED, ends=True)
        if record.alert.severity != "critical" and record.critical_looks >= LOOKS_TO_RAISE:
            return Decision(record, Reason.WORSE, ends=True, begins="critical")
        return Decision(record, Reason.STILL_OPEN)
    if not bad:
        return Decision(record, Reason.GOOD if look.verdict is ServingVerdict.WANTED else Reason.ROLLING_OUT)
    if record.bad_looks < LOOKS_TO_RAISE:
        return Decision(record, Reason.FIRST_BAD_LOOK)
    return Decision(record, Reason.RAISED, begins=severity)


def _is_bad(verdict: ServingVerdict, *, ever_served: bool, in_grace: bool) -> bool:
    match verdict:
        case ServingVerdict.WANTED:
            return False
        case ServingVerdict.PREVIOUS:
            return not in_grace
        case _:
            return ever_served or not in_grace


def alert_of(
    record: EndpointRecord, look: Look, expected: Expected, *, severity: Severity, now: datetime
) -> AlertRaised:
    """The alert of the record's present episode."""
    event = expected.event
    # The instant is part of it too: a monitor that lost its database begins to count anew.
    identity = f"{record.certificate_id}|{record.url}|{record.episode}|{now.isoformat()}"
    return AlertRaised(
        alert_id=str(uuid.uuid5(_NAMESPACE, identity)),
        severity=severity,
        owner=event.owner,
        reason=ALERT_REASON,
        certificate_id=record.certificate_id,
        certificate_name=event.name,
        url=record.url,
        summary=_summary(record.url, look, expected),
        since=now,
    )


def _summary(url: str, look: Look, expected: Expected) -> str:
    finding = f"{url} {_FINDINGS[look.verdict]}"
    if look.served_revision is not None:
        finding += f": revision {look.served_revision}"
    detail = f" ({look.detail})" if look.detail else ""
    return f"{finding}{detail}; wanted is revision {expected.event.wanted_revision} of {expected.event.name}"


def resolution(alert: AlertRaised, *, now: datetime) -> AlertResolved:
    return AlertResolved(**alert.model_dump(), resolved_at=now)
