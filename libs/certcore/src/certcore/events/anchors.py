"""ANCHOR: registry → itself after a loss, and auditors."""

from typing import ClassVar

from pydantic import AwareDatetime

from certcore.audit import AuditHead
from certcore.events.event import Event

__all__ = ["RegistryAnchored"]


class RegistryAnchored(Event):
    """How far the registry's database had come. One that lags behind an anchor of its own was restored from a copy.

    `epoch` counts the restores, `event_sequence` the events and `audit_sequence` the entries of the audit;
    `audit_heads` are the last entries of its chains, so that none of before can be changed unnoticed.
    """

    type: ClassVar = "certbus.registry.anchored.v1"

    database_id: str
    epoch: int
    event_sequence: int
    audit_sequence: int
    anchored_at: AwareDatetime
    audit_heads: tuple[AuditHead, ...] = ()
