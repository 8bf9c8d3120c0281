"""ALERTS: monitor, registry → whoever subscribes."""

import hashlib
from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from certcore.events.event import Event
from certcore.reading import Open

__all__ = ["Alert", "AlertAcknowledged", "AlertRaised", "AlertResolved", "AlertUpdated", "Severity", "alert_id"]


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


def alert_id(*, owner: str, about: str, reason: str) -> str:
    """The alert's identity: what is found again is the same alert. `about` is a certificate's id or a subject."""
    return hashlib.sha256(f"{owner}\n{about}\n{reason}".encode()).hexdigest()


class Alert(Event):
    """`subject` is what it is about, for people: an endpoint, a service, a site.

    `since` is when this finding began; two findings with the same `alert_id` differ in it.
    """

    alert_id: str
    severity: Open[Severity]
    owner: str
    reason: str
    subject: str
    summary: str
    since: AwareDatetime
    certificate_id: str | None = None
    certificate_name: str | None = None
    url: str | None = None


class AlertRaised(Alert):
    type: ClassVar = "certbus.alert.raised.v2"


class AlertUpdated(Alert):
    """The finding goes on, with another severity or summary."""

    type: ClassVar = "certbus.alert.updated.v1"

    updated_at: AwareDatetime


class AlertAcknowledged(Alert):
    type: ClassVar = "certbus.alert.acknowledged.v1"

    acknowledged_by: str
    acknowledged_at: AwareDatetime
    comment: str = ""


class AlertResolved(Alert):
    type: ClassVar = "certbus.alert.resolved.v2"

    resolved_at: AwareDatetime
