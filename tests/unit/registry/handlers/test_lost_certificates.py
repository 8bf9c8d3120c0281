"""Events that are read again after a restore, with headers as anybody may have written them."""

from collections.abc import AsyncIterator
from pathlib import Path

from prometheus_client import CollectorRegistry

import registry
from certcore import subjects
from certcore.door import RequestDoor
from certcore.events import CertificateDenied
from certcore.targets import FILES, TargetKinds
from certkit.stream_messages import StoredMessage
from certkit.transactions import Database
from registry.adapters.outbox import Outbox
from registry.adapters.store import Store
from registry.handlers.changes import Changes
from registry.handlers.lost_certificates import LostCertificates
from registry.handlers.policies import Policies
from tests.unit.registry.samples import NOON


class Stream:
    def __init__(self, *messages: StoredMessage) -> None:
        self._messages = messages

    async def streams(self) -> list[str]:
        return [subjects.CERTS]

    async def all(self, stream: str, subject: str) -> AsyncIterator[StoredMessage]:
        for message in self._messages:
            if stream == subjects.CERTS and subject == subjects.events(CertificateDenied.type):
                yield message


async def test_an_event_whose_time_has_no_zone_is_left_out_and_ends_nothing(tmp_path: Path) -> None:
    event = CertificateDenied(
        certificate_id="c1", name="x", owner="shop", request_id="r1", denied_by="ben", reason="no"
    )
    messages = [
        StoredMessage(
            sequence=number,
            subject=subjects.event(event.type, "c1"),
            headers={"ce-type": event.type, "ce-id": f"e{number}", "ce-time": time},
            body=event.model_dump_json().encode(),
        )
        for number, time in enumerate(("2026-03-01T12:00:00+00:00", "2026-03-01T12:00:00"))
    ]
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}", metrics=CollectorRegistry())
    await database.upgrade(Path(registry.__file__).parent / "migrations")
    lost = LostCertificates(
        store=(store := Store(database)),
        changes=Changes(
            outbox=Outbox(clock=lambda: NOON, new_id=lambda: "n"),
            policies=Policies(store=store, clock=lambda: NOON, file=None),
            clock=lambda: NOON,
        ),
        messages=Stream(*messages),
        door=RequestDoor(TargetKinds([FILES])),
        new_id=lambda: "n",
        clock=lambda: NOON,
    )
    assert await lost.read() == 1
    await database.close()
