"""When a registry that can't be reached, or isn't ready, becomes an alert. It can't tell so itself."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from certcore.events import AlertRaised, AlertResolved, Severity, alert_id
from certcore.reading import Open
from monitor.domain.alerting import resolution

__all__ = ["RegistryFault", "RegistryRecord", "follow"]

_OWNER: Final = "platform"
_SUBJECT: Final = "hub/registry"
_TEXT: Final = 300


class RegistryFault(StrEnum):
    """Reasons of alerts about the registry."""

    UNREACHABLE = "registry_unreachable"
    NOT_READY = "registry_not_ready"


class RegistryRecord(BaseModel):
    """What was found of the registry, and since when without a break; `alert` is the one that is open."""

    model_config = ConfigDict(frozen=True)

    fault: Open[RegistryFault] | None = None
    since: AwareDatetime | None = None
    alert: AlertRaised | None = None


def follow(
    record: RegistryRecord, fault: RegistryFault | None, detail: str, *, now: datetime, grace: timedelta
) -> tuple[RegistryRecord, tuple[AlertRaised | AlertResolved, ...]]:
    """Follow the registry through one look. A fault that lasts for the grace is raised; a good look ends it.

    Another fault than the one that was raised replaces it when it has lasted as long.
    """
    ended = () if record.alert is None else (resolution(record.alert, now=now),)
    if fault is None:
        return RegistryRecord(), ended
    since = record.since if record.fault == fault and record.since is not None else now
    record = record.model_copy(update={"fault": fault, "since": since})
    if now - since < grace or (record.alert is not None and record.alert.reason == fault):
        return record, ()
    raised = AlertRaised(
        alert_id=alert_id(owner=_OWNER, about=_SUBJECT, reason=fault),
        severity=Severity.CRITICAL,
        owner=_OWNER,
        reason=fault,
        subject=_SUBJECT,
        summary=f"{_SUMMARIES[fault]}: {detail}"[:_TEXT],
        since=now,
    )
    return record.model_copy(update={"alert": raised}), (*ended, raised)


_SUMMARIES: Final = {
    RegistryFault.UNREACHABLE: "the registry can't be reached",
    RegistryFault.NOT_READY: "the registry is not ready",
}
