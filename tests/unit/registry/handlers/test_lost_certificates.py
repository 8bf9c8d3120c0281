"""Events that are read again after a restore, with headers as anybody may have written them."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest_asyncio
from prometheus_client import CollectorRegistry

import registry
from certcore import subjects
from certcore.api import CertificateState
from certcore.door import RequestDoor
from certcore.events import CertificateApprovedForCsr, CertificateDenied, CertificateRequested, Event
from certcore.intent import Intent
from certcore.targets import FILES, TargetKinds
from certkit.stream_messages import StoredMessage
from certkit.transactions import Database
from registry.adapters.outbox import Outbox
from registry.adapters.store import Store, Transaction
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
            if stream == subjects.CERTS and subject == subjects.events(message.headers["ce-type"]):
                yield message


def stored(number: int, event: Event, time: str) -> StoredMessage:
    return StoredMessage(
        sequence=number,
        subject=subjects.event(event.type, "c1"),
        headers={"ce-type": event.type, "ce-id": f"e{number}", "ce-time": time},
        body=event.model_dump_json().encode(),
    )


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}", metrics=CollectorRegistry())
    await database.upgrade(Path(registry.__file__).parent / "migrations")
    yield Store(database)
    await database.close()


IDS = count(1)


def new_id() -> str:
    return f"n-{next(IDS)}"


def reading(store: Store, *messages: StoredMessage) -> LostCertificates:
    return LostCertificates(
        store=store,
        changes=Changes(
            outbox=Outbox(clock=lambda: NOON, new_id=new_id),
            policies=Policies(store=store, clock=lambda: NOON, file=None),
            clock=lambda: NOON,
        ),
        messages=Stream(*messages),
        door=RequestDoor(TargetKinds([FILES])),
        new_id=new_id,
        clock=lambda: NOON,
    )


DENIED = CertificateDenied(certificate_id="c1", name="x", owner="shop", request_id="r1", denied_by="ben", reason="no")


async def test_an_event_whose_time_has_no_zone_is_left_out_and_ends_nothing(store: Store) -> None:
    messages = [
        stored(number, DENIED, time)
        for number, time in enumerate(("2026-03-01T12:00:00+00:00", "2026-03-01T12:00:00"))
    ]
    assert await reading(store, *messages).read() == 1


def requested(request_id: str, target: str) -> CertificateRequested:
    wanted = Intent.model_validate(
        {
            "name": "x",
            "dns_names": ["x.example.test"],
            "exposure": "public",
            "targets": [{"kind": "files", "name": target, "site": "site1"}],
            "proof": "none",
        }
    )
    return CertificateRequested(
        certificate_id="c1",
        name="x",
        owner="shop",
        request_id=request_id,
        requester="ana",
        dns_names=wanted.dns_names,
        exposure=wanted.exposure,
        intent=wanted,
    )


async def test_what_was_denied_and_asked_for_again_since_the_copy_is_asked_for_again(store: Store) -> None:
    approved = CertificateApprovedForCsr(
        certificate_id="c1", name="x", owner="shop", approved_by=("ben",), policy="p", targets=("two",)
    )
    first = stored(1, requested("r1", "one"), "2026-03-01T12:00:00+00:00")
    assert await reading(store, first).read() == 1
    later = (
        stored(2, DENIED, "2026-03-01T13:00:00+00:00"),
        stored(3, requested("r2", "two"), "2026-03-01T14:00:00+00:00"),
        stored(4, approved, "2026-03-01T15:00:00+00:00"),
    )
    assert await reading(store, first, *later).read() == 1

    def look(transaction: Transaction) -> tuple[object, ...]:
        rollout = transaction.rollouts.get("c1")
        requests = [transaction.requests.get(request_id) for request_id in ("r1", "r2")]
        assert rollout is not None
        return (
            rollout.certificate.state,
            [item.target for item in rollout.placements],
            [item.state for item in requests if item is not None],
        )

    assert await store.read(look) == (CertificateState.APPROVED, ["two"], ["denied", "approved"])
