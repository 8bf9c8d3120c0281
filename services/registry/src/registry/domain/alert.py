"""Alerts as the registry keeps them: its own, and those that others announce."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certcore.events import (
    Alert,
    AlertAcknowledged,
    AlertRaised,
    AlertResolved,
    AlertUpdated,
    Severity,
    alert_id,
)

__all__ = [
    "PLATFORM_OWNER",
    "AlertRecord",
    "Finding",
    "Heard",
    "OwnersFinding",
    "alert_id",
    "heard",
    "raised",
    "resolved",
]

PLATFORM_OWNER: Final = "platform"
"""Whose the alerts are that are about the system itself."""

_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Finding:
    """Something that is wrong now. `subject` says where: `site1/syncer`, a stream, the bus."""

    reason: str
    subject: str
    severity: Severity
    summary: str


@dataclass(frozen=True)
class OwnersFinding:
    """Something that is wrong with a certificate, for its owner to know."""

    name: str
    owner: str
    severity: Severity
    summary: str


@dataclass(frozen=True)
class AlertRecord:
    """The newest finding under an id. `since` tells findings apart; `resolved_at` is None while it goes on."""

    id: str
    owner: str
    reason: str
    subject: str
    severity: str
    summary: str
    since: datetime
    updated_at: datetime
    source: str
    resolved_at: datetime | None = None
    certificate_id: str | None = None
    certificate_name: str | None = None
    url: str | None = None
    acknowledged_by: str | None = None


class Heard(StrEnum):
    """What an announcement changed, or why it changed nothing."""

    TAKEN = "taken"
    EARLIER_FINDING = "earlier_finding"
    EARLIER_STATE = "earlier_state"
    ALREADY_RESOLVED = "already_resolved"


def heard(record: AlertRecord | None, event: Alert, *, source: str) -> tuple[AlertRecord | None, Heard]:
    """Follow an alert that another service announced. Announcements may come twice, late, or in any order.

    The finding with the later `since` counts. One that was resolved stays so, whatever is heard of it later.
    """
    if record is not None:
        if event.since < record.since:
            return record, Heard.EARLIER_FINDING
        if event.since == record.since and record.resolved_at is not None:
            return record, Heard.ALREADY_RESOLVED
        if event.since == record.since and not isinstance(event, AlertResolved) and _at(event) <= record.updated_at:
            return record, Heard.EARLIER_STATE
    same = record is not None and record.since == event.since
    acknowledged = event.acknowledged_by if isinstance(event, AlertAcknowledged) else None
    if record is not None and same:
        acknowledged = acknowledged or record.acknowledged_by
    taken = AlertRecord(
        id=event.alert_id,
        owner=event.owner[:63],
        reason=event.reason[:64],
        subject=event.subject[:300],
        severity=str(event.severity)[:16],
        summary=event.summary,
        since=event.since,
        updated_at=_at(event),
        source=source[:128],
        resolved_at=event.resolved_at if isinstance(event, AlertResolved) else None,
        certificate_id=event.certificate_id[:64] if event.certificate_id else None,
        certificate_name=event.certificate_name[:63] if event.certificate_name else None,
        url=event.url[:300] if event.url else None,
        acknowledged_by=acknowledged[:127] if acknowledged else None,
    )
    return taken, Heard.TAKEN


def _at(event: Alert) -> datetime:
    match event:
        case AlertUpdated(updated_at=instant) | AlertResolved(resolved_at=instant):
            return instant
        case AlertAcknowledged(acknowledged_at=instant):
            return instant
    return event.since


def raised(
    record: AlertRecord | None, finding: Finding, *, now: datetime, source: str, owner: str = PLATFORM_OWNER
) -> tuple[AlertRecord, AlertRaised | AlertUpdated | None]:
    """Raise an alert of our own, or update it where it is open already. No event where nothing changed."""
    if record is None or record.resolved_at is not None:
        # Another finding than the one before, even where the clock stands.
        since = now if record is None else max(now, record.since + _TICK)
        fresh = AlertRecord(
            id=alert_id(owner=owner, about=finding.subject, reason=finding.reason),
            owner=owner,
            reason=finding.reason,
            subject=finding.subject,
            severity=str(finding.severity),
            summary=finding.summary,
            since=since,
            updated_at=since,
            source=source,
        )
        return fresh, AlertRaised(**_fields(fresh))
    if (record.severity, record.summary) == (str(finding.severity), finding.summary):
        return record, None
    changed = replace(record, severity=str(finding.severity), summary=finding.summary, updated_at=now)
    return changed, AlertUpdated(**_fields(changed), updated_at=now)


def resolved(record: AlertRecord | None, *, now: datetime) -> tuple[AlertRecord | None, AlertResolved | None]:
    """End an alert of our own; no event where it isn't open."""
    if record is None or record.resolved_at is not None:
        return record, None
    ended = replace(record, resolved_at=now, updated_at=now)
    return ended, AlertResolved(**_fields(ended), resolved_at=now)


def _fields(record: AlertRecord) -> dict[str, object]:
    return {
        "alert_id": record.id,
        "severity": record.severity,
        "owner": record.owner,
        "reason": record.reason,
        "subject": record.subject,
        "summary": record.summary,
        "since": record.since,
        "certificate_id": record.certificate_id,
        "certificate_name": record.certificate_name,
        "url": record.url,
    }
