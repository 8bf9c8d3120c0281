"""Who may do what on the bus, asked of a real broker."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import nats
import nkeys
import pytest
import pytest_asyncio
from nats.errors import NoRespondersError
from nats.js.errors import NotFoundError

from certcore import subjects
from certcore.permissions import OPERATOR, grants
from certkit.declare import declare
from certkit.topology import topology
from certlocal.nats_identities import NatsIdentities
from tests import servers
from tests.integration.certkit.person import Person
from tests.patience import HANG_S
from tests.servers import SITES, SecuredBroker

pytestmark = pytest.mark.integration

OWNERS = ("payments", "web")
IDENTITIES = (
    OPERATOR,
    "registry",
    "issuer",
    "monitor",
    "site1-syncer",
    "site1-pusher",
    "site2-syncer",
    "site2-pusher",
    "owner-payments",
    "owner-web",
)

# Who may publish what. Written by hand, so that the code is not its own judge. What stands here for nobody is there
# to be refused to all.
MAY_PUBLISH: dict[str, set[str]] = {
    "certs.request.payments.shop": {"owner-payments"},
    "certs.request.web.shop": {"owner-web"},
    "certs.request.nobody.shop": set(),
    "certs.ev.issued.c1": {"registry"},
    "certs.answer.payments.e1": {"registry"},
    "certs.answer.web.e1": {"registry"},
    "certs.deploy.site1.syncer.c1": {"registry"},
    "certs.deploy.site2.pusher.c1": {"registry"},
    "certs.status.site1.syncer.succeeded.c1": {"site1-syncer"},
    "certs.status.site1.pusher.succeeded.c1": {"site1-pusher"},
    "certs.status.site2.syncer.succeeded.c1": {"site2-syncer"},
    "certs.status.site2.pusher.succeeded.c1": {"site2-pusher"},
    "certs.status.hub.issuer.issued.c1": {"issuer"},
    "certs.status.hub.monitor.observed.c1": {"monitor"},
    "certs.status.hub.registry.issued.c1": set(),
    "certs.alert.critical.payments": {"registry", "monitor"},
    "certs.dlq.registry-requests": {"registry"},
    "certs.dlq.registry-status": {"registry"},
    "certs.dlq.issuer": {"issuer"},
    "certs.dlq.monitor": {"monitor"},
    "certs.dlq.site1-syncer": {"site1-syncer"},
    "certs.dlq.site2-pusher": {"site2-pusher"},
    "$JS.API.CONSUMER.MSG.NEXT.REQUESTS.registry-requests": {OPERATOR, "registry"},
    "$JS.API.CONSUMER.MSG.NEXT.STATUS.registry-status": {OPERATOR, "registry"},
    "$JS.API.CONSUMER.MSG.NEXT.ALERTS.registry-alerts": {OPERATOR, "registry"},
    "$JS.API.CONSUMER.MSG.NEXT.CERTS.issuer": {OPERATOR, "issuer"},
    "$JS.API.CONSUMER.MSG.NEXT.CERTS.monitor": {OPERATOR, "monitor"},
    "$JS.API.CONSUMER.MSG.NEXT.DEPLOY_site1.site1-syncer": {OPERATOR, "site1-syncer"},
    "$JS.API.CONSUMER.MSG.NEXT.DEPLOY_site1.site1-pusher": {OPERATOR, "site1-pusher"},
    "$JS.API.CONSUMER.MSG.NEXT.DEPLOY_site2.site2-syncer": {OPERATOR, "site2-syncer"},
    "$JS.API.CONSUMER.INFO.DEPLOY_site1.site1-syncer": {OPERATOR, "site1-syncer"},
    "$JS.API.CONSUMER.INFO.DEPLOY_site2.site2-syncer": {OPERATOR, "site2-syncer"},
    "$JS.ACK.DEPLOY_site1.site1-syncer.1.1.1.1.0": {"site1-syncer"},
    "$JS.ACK.DEPLOY_site2.site2-syncer.1.1.1.1.0": {"site2-syncer"},
    "$JS.ACK.CERTS.issuer.1.1.1.1.0": {"issuer"},
    "$JS.API.DIRECT.GET.CERTS.certs.answer.payments.e1": {OPERATOR, "owner-payments"},
    "$JS.API.DIRECT.GET.CERTS.certs.answer.web.e1": {OPERATOR, "owner-web"},
    "$JS.API.DIRECT.GET.CERTS.certs.ev.issued.c1": {OPERATOR},
    "$JS.API.DIRECT.GET.CERTS": {OPERATOR},
    "$JS.API.DIRECT.GET.DEPLOY_site2": {OPERATOR},
    "$JS.API.STREAM.MSG.GET.DEPLOY_site2": {OPERATOR},
    "$JS.API.STREAM.INFO.CERTS": {OPERATOR},
    "$JS.API.STREAM.PURGE.DEPLOY_site1": {OPERATOR},
    "$JS.API.STREAM.DELETE.DEPLOY_site1": {OPERATOR},
    "$JS.API.STREAM.UPDATE.CERTS": {OPERATOR},
    "$JS.API.CONSUMER.CREATE.DEPLOY_site2": {OPERATOR},
    "$JS.API.CONSUMER.DURABLE.CREATE.DEPLOY_site2.site1-syncer": {OPERATOR},
    "$JS.API.CONSUMER.DELETE.DEPLOY_site2.site2-syncer": {OPERATOR},
    "$JS.API.INFO": {OPERATOR},
    "$SYS.REQ.SERVER.PING": set(),
    "_INBOX.registry.x.1": set(),
    "anything.else": set(),
}

MAY_SUBSCRIBE: dict[str, set[str]] = {
    ">": set(),
    "certs.>": set(),
    "certs.request.>": set(),
    "certs.ev.>": set(),
    "certs.answer.>": set(),
    "certs.answer.payments.>": {"owner-payments"},
    "certs.answer.web.>": {"owner-web"},
    "certs.deploy.>": set(),
    "certs.deploy.site1.>": set(),
    "certs.deploy.site2.syncer.>": set(),
    "certs.status.>": set(),
    "certs.alert.>": set(),
    "certs.alert.*.payments": {"owner-payments"},
    "certs.alert.*.web": {"owner-web"},
    "certs.dlq.>": set(),
    "$JS.API.>": set(),
    "$JS.ACK.>": set(),
    "$JS.EVENT.>": set(),
    "$SYS.>": set(),
    "_INBOX.>": set(),
    "_INBOX.*.>": set(),
    "_R_.>": set(),
    **{f"_INBOX.{identity}.>": {identity} for identity in IDENTITIES},
}


@pytest_asyncio.fixture
async def bus() -> AsyncIterator[SecuredBroker]:
    async with servers.secured_broker(sites=SITES, owners=OWNERS) as secured:
        yield secured


def test_every_identity_is_asked_below() -> None:
    assert set(grants(sites=SITES, owners=OWNERS)) == set(IDENTITIES)


@pytest.mark.parametrize("identity", IDENTITIES)
async def test_an_identity_publishes_only_its_own(bus: SecuredBroker, identity: str) -> None:
    async with Person(bus, identity) as person:
        allowed = {subject for subject in MAY_PUBLISH if await person.may_publish(subject)}

    assert allowed == {subject for subject, who in MAY_PUBLISH.items() if identity in who}


@pytest.mark.parametrize("identity", IDENTITIES)
async def test_an_identity_subscribes_only_to_its_own(bus: SecuredBroker, identity: str) -> None:
    async with Person(bus, identity) as person:
        allowed = {subject for subject in MAY_SUBSCRIBE if await person.may_subscribe(subject)}

    assert allowed == {subject for subject, who in MAY_SUBSCRIBE.items() if identity in who}


async def test_who_has_no_key_of_the_bus_gets_no_connection(bus: SecuredBroker, tmp_path: Path) -> None:
    stranger = NatsIdentities(tmp_path).seed_file("registry")

    assert "Authorization Violation" in await _connect_bare(bus, seed_file=None)
    assert "Authorization Violation" in await _connect_bare(bus, seed_file=stranger)
    assert (await _connect_bare(bus, seed_file=bus.seed_file("registry"))).startswith("PONG")


async def _connect_bare(bus: SecuredBroker, *, seed_file: Path | None) -> str:
    """The broker's first answer, without a client library, which leaves refused connections open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(bus.url).port)
    try:
        told = json.loads((await reader.readline()).removeprefix(b"INFO "))
        credentials = {}
        if seed_file is not None:
            seed = bytearray(await asyncio.to_thread(seed_file.read_bytes))
            pair = nkeys.from_seed(seed)  # type: ignore[no-untyped-call] # nkeys has no types
            signature = base64.urlsafe_b64encode(pair.sign(told["nonce"].encode()))
            credentials = {"nkey": pair.public_key.decode(), "sig": signature.decode().rstrip("=")}
        writer.write(b"CONNECT " + json.dumps({"verbose": False, **credentials}).encode() + b"\r\nPING\r\n")
        return (await asyncio.wait_for(reader.readline(), 5)).decode()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_what_the_operator_declared_has_not_drifted(bus: SecuredBroker) -> None:
    async with Person(bus, OPERATOR) as operator:
        assert await declare(operator.client.jetstream(), topology(SITES), apply=False) == []


@pytest.mark.parametrize(
    ("identity", "request_subject", "body"),
    [
        ("owner-payments", "certs.request.payments.shop", b"{}"),
        ("owner-payments", "$JS.API.DIRECT.GET.CERTS.certs.answer.payments.e1", b""),
        ("site1-syncer", "certs.status.site1.syncer.succeeded.c1", b"{}"),
        ("site1-syncer", "$JS.API.CONSUMER.MSG.NEXT.DEPLOY_site1.site1-syncer", b'{"batch": 1}'),
        ("site1-syncer", "$JS.API.CONSUMER.INFO.DEPLOY_site1.site1-syncer", b""),
        ("issuer", "$JS.API.CONSUMER.MSG.NEXT.CERTS.issuer", b'{"batch": 1}'),
    ],
)
async def test_a_reply_is_no_way_to_publish_as_another(
    bus: SecuredBroker, identity: str, request_subject: str, body: bytes
) -> None:
    """The broker answers to whatever subject a request names, and doesn't ask whether the requester might."""
    targets = (
        "certs.ev.approved.forged",
        "certs.answer.web.forged",
        "certs.request.web.forged",
        "certs.deploy.site2.syncer.forged",
        "certs.status.site2.syncer.succeeded.forged",
        "certs.status.hub.issuer.issued.forged",
        "certs.alert.critical.forged",
    )
    async with AsyncExitStack() as connected:
        person = await connected.enter_async_context(Person(bus, identity))
        registry = await connected.enter_async_context(Person(bus, "registry"))
        operator = await connected.enter_async_context(Person(bus, OPERATOR))
        await registry.client.jetstream().publish("certs.deploy.site1.syncer.c1", b"order")
        await registry.client.jetstream().publish("certs.ev.approved.c1", b"event")
        await registry.client.jetstream().publish("certs.answer.payments.e1", b"answer")

        for target in targets:
            await person.client.publish(request_subject, body, reply=target)
        await person.settle()
        # Its own next request is answered after all of these.
        await operator.client.jetstream().streams_info()
        forged = []
        for stream in (subjects.REQUESTS, subjects.CERTS, subjects.STATUS, subjects.ALERTS, "DEPLOY_site2"):
            for target in targets:
                try:
                    await operator.client.jetstream().get_last_msg(stream, target)
                except NotFoundError:
                    continue
                forged.append((stream, target))

    assert forged == []


async def test_nobody_gets_another_ones_reply(bus: SecuredBroker) -> None:
    async with Person(bus, "owner-web") as eavesdropper, Person(bus, "owner-payments") as victim:
        heard = await eavesdropper.client.subscribe("_INBOX.owner-payments.>")
        await victim.client.jetstream().publish("certs.request.payments.shop", b"{}")
        await eavesdropper.settle()

        assert eavesdropper.refused
        with pytest.raises((TimeoutError, nats.errors.Error)):
            await heard.next_msg(timeout=0.2)


async def test_an_owner_reads_his_answer_as_it_comes_and_later(bus: SecuredBroker) -> None:
    subject = subjects.answer("payments", "e1")
    async with Person(bus, "owner-payments") as owner, Person(bus, "registry") as registry:
        live = await owner.client.subscribe("certs.answer.payments.>")
        await owner.settle()
        await registry.client.jetstream().publish(subject, b"accepted")

        assert (await live.next_msg(timeout=HANG_S)).data == b"accepted"
        stored = await owner.client.jetstream().get_last_msg(subjects.CERTS, subject, direct=True)
        assert stored.data == b"accepted"
        with pytest.raises((TimeoutError, NoRespondersError)):
            await owner.client.jetstream(timeout=0.3).get_last_msg(subjects.CERTS, "certs.answer.web.e1", direct=True)


async def test_an_owner_hears_of_his_alerts_only(bus: SecuredBroker) -> None:
    async with Person(bus, "owner-payments") as owner, Person(bus, "monitor") as monitor:
        alerts = await owner.client.subscribe("certs.alert.*.payments")
        await owner.settle()
        await monitor.client.jetstream().publish("certs.alert.critical.web", b"not his")
        await monitor.client.jetstream().publish("certs.alert.critical.payments", b"his")

        assert (await alerts.next_msg(timeout=HANG_S)).data == b"his"
