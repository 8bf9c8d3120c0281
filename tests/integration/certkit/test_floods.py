"""Who publishes as much as he can takes nobody's room but his own."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count, islice, repeat

import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.js.errors import APIError

from certcore.identities import OPERATOR
from certkit.bounds import Bounds
from certkit.topology import topology
from tests import servers
from tests.integration.certkit.person import Person, connect_bare
from tests.patience import HANG_S
from tests.servers import SecuredBroker

pytestmark = pytest.mark.integration

_KIB, _MIB = 1024, 1024 * 1024
_OWNERS = ("payments", "web")
_WANTED = topology(servers.SITES, owners=_OWNERS)
_SMALL = Bounds(answers=20 * _KIB, letters_kept=8, site=replace(Bounds().site, last_subjects=10))


@pytest_asyncio.fixture
async def bus() -> AsyncIterator[SecuredBroker]:
    async with servers.secured_broker(owners=_OWNERS) as secured:
        yield secured


@pytest_asyncio.fixture
async def small_bus() -> AsyncIterator[SecuredBroker]:
    async with servers.secured_broker(owners=_OWNERS, bounds=_SMALL) as secured:
        yield secured


async def test_a_site_that_reports_268_mb_is_refused_and_delays_nobody(bus: SecuredBroker) -> None:
    others = {
        "issuer": "certs.status.hub.issuer.revision_issued.c1",
        "site2-syncer": "certs.status.site2.syncer.delivery_succeeded.c1",
        "owner-web": "certs.request.web.submit",
        "registry": "certs.deploy.site1.syncer.c1",
        "monitor": "certs.alert.web.a1",
        "site1-pusher": "certs.last.site1.pusher.heartbeat.pusher",
    }
    async with AsyncExitStack() as connected:
        flooding = (await connected.enter_async_context(Person(bus, "site1-syncer"))).client
        persons = {name: (await connected.enter_async_context(Person(bus, name))).client for name in others}
        flood = asyncio.create_task(
            _flood(flooding, _numbered("certs.status.site1.syncer.observed.c"), 800 * _KIB, 335)
        )
        slowest = 0.0
        while not flood.done():
            for name, client in persons.items():
                began = time.monotonic()
                await client.jetstream(timeout=HANG_S).publish(others[name], b"{}")
                slowest = max(slowest, time.monotonic() - began)
        refusals = await flood
        operator = (await connected.enter_async_context(Person(bus, OPERATOR))).client.jetstream()
        held = (await operator.stream_info("STATUS_site1")).state

        assert held.bytes <= (_WANTED.stream("STATUS_site1").max_bytes or 0)
        assert len(refusals) == 335 - held.messages
        assert set(refusals) == {"maximum bytes exceeded"}
        with pytest.raises(APIError, match="maximum bytes exceeded"):
            await flooding.jetstream().publish("certs.status.site1.syncer.observed.c0", bytes(800 * _KIB))
        assert slowest < 1.0


async def test_an_owner_that_fills_its_share_of_requests_leaves_the_others_theirs(bus: SecuredBroker) -> None:
    async with Person(bus, "owner-payments") as payments, Person(bus, "owner-web") as web:
        for subject, person in (("certs.request.payments.submit", payments), ("certs.request.web.submit", web)):
            refusals = await _flood(person.client, repeat(subject), 128 * _KIB, 201)
            assert refusals == ["maximum messages per subject exceeded"]


async def test_a_durable_s_letters_replace_only_its_own(small_bus: SecuredBroker) -> None:
    async with AsyncExitStack() as connected:
        names = ("site1-pusher", "site1-syncer", "registry", OPERATOR)
        pusher, syncer, registry, operator = [
            (await connected.enter_async_context(Person(small_bus, name))).client for name in names
        ]
        # All that it may keep, and then the other as much as it can: of these, the newest are kept.
        await _flood(pusher, repeat("certs.dlq.site1.site1-pusher"), 132 * _KIB, 8)
        assert await _flood(syncer, repeat("certs.dlq.site1.site1-syncer"), 132 * _KIB, 50) == []
        # The registry sets aside what owners publish, under the durable of each.
        await _flood(registry, repeat("certs.dlq.hub.requests-web"), 132 * _KIB, 8)
        assert await _flood(registry, repeat("certs.dlq.hub.requests-payments"), 132 * _KIB, 50) == []

        counts: dict[str, int] = {}
        for place in ("site1", "hub"):
            info = await operator.jetstream().stream_info(f"DLQ_{place}", subjects_filter=">")
            counts |= info.state.subjects or {}
    assert counts == {
        "certs.dlq.site1.site1-pusher": 8,
        "certs.dlq.site1.site1-syncer": 8,
        "certs.dlq.hub.requests-web": 8,
        "certs.dlq.hub.requests-payments": 8,
    }


async def test_answers_to_one_owner_replace_only_its_own(small_bus: SecuredBroker) -> None:
    async with Person(small_bus, "registry") as registry, Person(small_bus, OPERATOR) as operator:
        await registry.client.jetstream().publish("certs.answer.web.first", b"{}")
        await _flood(registry.client, _numbered("certs.answer.payments.e"), 400, 100)

        js = operator.client.jetstream()
        assert (await js.stream_info("ANSWERS_payments")).state.bytes <= 20 * _KIB
        assert (await js.get_last_msg("ANSWERS_web", "certs.answer.web.first")).data == b"{}"


async def test_a_site_that_makes_up_keys_replaces_only_its_own_last_values(small_bus: SecuredBroker) -> None:
    async with AsyncExitStack() as connected:
        syncer, other, operator = [
            (await connected.enter_async_context(Person(small_bus, name))).client
            for name in ("site1-syncer", "site2-syncer", OPERATOR)
        ]
        await other.jetstream().publish("certs.last.site2.syncer.heartbeat.syncer", b"{}")
        await _flood(syncer, _numbered("certs.last.site1.syncer.heartbeat.k"), 100, 100)

        assert (await operator.jetstream().stream_info("LAST_site1")).state.messages == 10
        assert (await operator.jetstream().stream_info("LAST_site2")).state.messages == 1


@pytest.mark.parametrize(
    ("identity", "subject"),
    [
        ("owner-payments", "certs.request.payments.submit"),
        ("registry", "certs.answer.payments.e1"),
        ("registry", "certs.ev.issued.c1"),
        ("registry", "certs.deploy.site1.syncer.c1"),
        ("registry", "certs.anchor.a"),
        ("monitor", "certs.alert.payments.a1"),
        ("site1-syncer", "certs.status.site1.syncer.reviewed.site1"),
        ("site1-syncer", "certs.last.site1.syncer.heartbeat.syncer"),
        ("site1-syncer", "certs.dlq.site1.site1-syncer"),
    ],
)
async def test_a_message_larger_than_any_honest_one_is_refused(
    small_bus: SecuredBroker, identity: str, subject: str
) -> None:
    names = {
        "request": "REQUESTS",
        "answer": "ANSWERS_payments",
        "ev": "CERTS",
        "alert": "ALERTS",
        "anchor": "ANCHOR",
    }
    _, kind, place, *_ = subject.split(".")
    largest = _WANTED.stream(names.get(kind) or f"{kind.upper()}_{place}").max_msg_size or 0
    async with Person(small_bus, identity) as person:
        js = person.client.jetstream()
        with pytest.raises(APIError, match="message size exceeds maximum allowed"):
            await js.publish(subject, bytes(largest + 1))
        await js.publish(subject, bytes(largest))


async def test_an_owner_can_t_take_the_broker_s_connections_or_memory(small_bus: SecuredBroker) -> None:
    async with AsyncExitStack() as connected:
        greedy, large, *_ = [
            await connected.enter_async_context(Person(small_bus, "owner-payments")) for _ in range(64)
        ]
        refusal = await connect_bare(small_bus, small_bus.seed_file("owner-payments"))
        assert "maximum account active connections exceeded" in refusal
        other = await connected.enter_async_context(Person(small_bus, "owner-web"))
        for _ in range(256):
            await greedy.client.subscribe("_INBOX.owner-payments.>")
        await greedy.settle()
        assert greedy.refused == []
        # The client hangs up on its own after such an error.
        await greedy.client.subscribe("_INBOX.owner-payments.>")
        async with asyncio.timeout(HANG_S):
            await greedy.closed.wait()
        assert "maximum subscriptions exceeded" in str(greedy.client.last_error)

        await large.client.publish("certs.request.payments.submit", bytes(257 * _KIB))
        async with asyncio.timeout(HANG_S):
            await large.closed.wait()
        await other.client.jetstream().publish("certs.request.web.submit", b"{}")


def _numbered(beginning: str) -> Iterator[str]:
    return (f"{beginning}{number}" for number in count())


async def _flood(client: Client, subjects: Iterator[str], size: int, number: int) -> list[str]:
    """Publish many messages, 16 at a time; the reasons of the refusals."""
    js, body, refusals = client.jetstream(timeout=HANG_S), bytes(size), list[str]()
    wanted = islice(subjects, number)

    async def publish() -> None:
        for subject in wanted:
            try:
                await js.publish(subject, body)
            except APIError as error:
                refusals.append(error.description or "")

    await asyncio.gather(*(publish() for _ in range(16)))
    return refusals
