"""When a finding becomes an alert, changes, and ends. One bad look raises none: a probe may fail once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certcore.events import (
    AlertRaised,
    AlertResolved,
    AlertUpdated,
    EndpointExpected,
    ServingVerdict,
    Severity,
    alert_id,
)
from monitor.domain.verdict import OURS, Look
from monitor.domain.watched import FAULT_FROM, EndpointRecord, Expected, Finding

__all__ = ["ALERT_REASON", "AlertEvent", "Decision", "Reason", "decide", "resolution"]

ALERT_REASON: Final = "serves_other_than_wanted"

AlertEvent = AlertRaised | AlertUpdated | AlertResolved

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
    """Why an alert was raised, updated or resolved, or why nothing was done about it."""

    GOOD = "good"
    ROLLING_OUT = "rolling_out"
    FIRST_BAD_LOOK = "first_bad_look"
    STILL_OPEN = "still_open"
    RAISED = "raised"
    UPDATED = "updated"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Decision:
    """`record` follows the endpoint through the look; `announcement` is the event to publish of its alert, if any."""

    record: EndpointRecord
    reason: Reason
    announcement: AlertEvent | None = None


def decide(record: EndpointRecord, look: Look, *, expected: Expected, now: datetime, grace: timedelta) -> Decision:
    """Follow an endpoint through one look. The expectation names the endpoint.

    Until an endpoint has served any accepted leaf, this is its first rollout: then every verdict has the grace.
    An open alert is updated where two looks in a row agree on another finding, or clients fail at two in a row.
    """
    in_grace = now - expected.rollouts[record.url].since < grace
    bad = _is_bad(look.verdict, ever_served=record.ever_served, in_grace=in_grace)
    finding = _finding(look)
    record = record.model_copy(
        update={
            "bad_looks": record.bad_looks + 1 if bad else 0,
            "critical_looks": record.critical_looks + 1 if bad and look.clients_fail else 0,
            "same_looks": record.same_looks + 1 if finding == record.found else 1,
            "found": finding,
            "ever_served": record.ever_served or look.verdict in OURS,
        }
    )
    if record.alert is not None:
        return _follow(record, record.alert, look, expected, now)
    if not bad:
        return Decision(record, Reason.GOOD if look.verdict is ServingVerdict.WANTED else Reason.ROLLING_OUT)
    if record.bad_looks < FAULT_FROM:
        return Decision(record, Reason.FIRST_BAD_LOOK)
    raised = _raised(record, finding, look, expected, now)
    return Decision(record.model_copy(update={"alert": raised, "alerted": finding}), Reason.RAISED, raised)


def _finding(look: Look) -> Finding:
    return Finding(verdict=look.verdict, severity=Severity.CRITICAL if look.clients_fail else Severity.WARNING)


def _is_bad(verdict: ServingVerdict, *, ever_served: bool, in_grace: bool) -> bool:
    match verdict:
        case ServingVerdict.WANTED:
            return False
        case ServingVerdict.PREVIOUS:
            return not in_grace
        case _:
            return ever_served or not in_grace


def _follow(record: EndpointRecord, alert: AlertRaised, look: Look, expected: Expected, now: datetime) -> Decision:
    finding = _finding(look)
    if look.verdict is ServingVerdict.WANTED:
        record = record.model_copy(update={"alert": None, "alerted": None})
        return Decision(record, Reason.RESOLVED, resolution(alert, now=now))
    another = finding != record.alerted and record.same_looks >= FAULT_FROM
    worse = alert.severity != Severity.CRITICAL and record.critical_looks >= FAULT_FROM
    if not (another or worse):
        return Decision(record, Reason.STILL_OPEN)
    summary = _summary(record.url, look, expected)
    alert = alert.model_copy(update={"severity": finding.severity, "summary": summary})
    record = record.model_copy(update={"alert": alert, "alerted": finding})
    return Decision(record, Reason.UPDATED, AlertUpdated(**alert.model_dump(), updated_at=now))


def _raised(record: EndpointRecord, finding: Finding, look: Look, expected: Expected, now: datetime) -> AlertRaised:
    event = expected.event
    return AlertRaised(
        alert_id=alert_id(owner=event.owner, about=f"{record.certificate_id} {record.url}", reason=ALERT_REASON),
        severity=finding.severity,
        owner=event.owner,
        reason=ALERT_REASON,
        subject=record.url,
        summary=_summary(record.url, look, expected),
        since=now,
        certificate_id=record.certificate_id,
        certificate_name=event.name,
        url=record.url,
    )


def _summary(url: str, look: Look, expected: Expected) -> str:
    finding = f"{url} {_FINDINGS[look.verdict]}"
    if look.served_revision is not None:
        finding += f": revision {look.served_revision}"
    detail = f" ({look.detail})" if look.detail else ""
    return f"{finding}{detail}; wanted is {_wanted(expected.endpoint(url))} of {expected.event.name}"


def _wanted(endpoint: EndpointExpected | None) -> str:
    revisions = sorted({item.revision for item in endpoint.wanted}) if endpoint else []
    return f"revision {' or '.join(map(str, revisions))}" if revisions else "no revision"


def resolution(alert: AlertRaised, *, now: datetime) -> AlertResolved:
    return AlertResolved(**alert.model_dump(), resolved_at=now)
