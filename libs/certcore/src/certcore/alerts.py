"""Alerts as the registry's API lists them."""

from enum import StrEnum

from pydantic import AwareDatetime

from certcore.events import Severity
from certcore.reading import Open, ReadModel

__all__ = ["AlertState", "AlertView"]


class AlertState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"


class AlertView(ReadModel):
    """The newest finding under an id. `subject` says where it is: an endpoint, a service at a place, a stream."""

    id: str
    state: Open[AlertState]
    severity: Open[Severity]
    owner: str
    reason: str
    subject: str
    summary: str
    since: AwareDatetime
    updated_at: AwareDatetime
    resolved_at: AwareDatetime | None
    source: str
    certificate_id: str | None = None
    certificate_name: str | None = None
    url: str | None = None
    acknowledged_by: str | None = None
