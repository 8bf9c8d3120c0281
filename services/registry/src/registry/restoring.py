"""What notices and mends a registry that was restored from an older copy, put together for `app`."""

from collections.abc import Callable, Mapping
from pathlib import Path

from faststream.nats import NatsBroker

from certcore.clock import system_clock
from certcore.door import RequestDoor
from certcore.events import Event
from certkit.bus import EventPublisher, Handler
from certkit.stream_messages import StreamMessages
from registry.adapters.anchors import AnchorFile, AnchorStream
from registry.adapters.outbox import SOURCE, Bell
from registry.adapters.store import Store
from registry.handlers.alarms import Alarms
from registry.handlers.anchoring import Anchoring
from registry.handlers.audit import AuditReading
from registry.handlers.changes import Changes
from registry.handlers.last_values import LastValues
from registry.handlers.lost_certificates import LostCertificates
from registry.handlers.restoration import Restoration

__all__ = ["restoration_of"]


def restoration_of(
    *,
    store: Store,
    changes: Changes,
    bell: Bell,
    broker: NatsBroker,
    reports: Mapping[type[Event], Handler],
    door: RequestDoor,
    alarms: Alarms,
    folder: Path,
    new_id: Callable[[], str],
) -> tuple[Anchoring, Restoration, AuditReading]:
    publisher = EventPublisher(broker=broker, source=SOURCE, clock=system_clock)
    messages = StreamMessages(broker)
    places = (AnchorFile(folder), AnchorStream(publisher=publisher, messages=messages))
    anchoring = Anchoring(store=store, places=places, alarms=alarms, bell=bell, clock=system_clock)
    auditing = AuditReading(store=store, places=places, clock=system_clock)
    restoration = Restoration(
        store=store,
        changes=changes,
        places=places,
        messages=messages,
        lost=LostCertificates(
            store=store, changes=changes, messages=messages, door=door, new_id=new_id, clock=system_clock
        ),
        last_values=LastValues(messages=messages, handlers=reports),
        alarms=alarms,
        bell=bell,
        clock=system_clock,
    )
    return anchoring, restoration, auditing
