"""Who may do what on the bus, asked of a real broker."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.errors import NoRespondersError
from nats.js.errors import NotFoundError

from certcore import subjects
from certcore.identities import OPERATOR, alerts_durable
from certcore.permissions import grants
from certkit.declare import declare
from certkit.topology import topology
from certlocal.nats_identities import NatsIdentities
from tests import servers
from tests.integration.certkit.person import Person, connect_bare
from tests.patience import HANG_S
from tests.servers import SITES, SecuredBroker

pytestmark = pytest.mark.integration

OWNERS = ("payments", "web")
IDENTITIES = (
    OPERATOR,
    "registry",
    "issuer",
    "monitor",
    "hub-pusher",
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
    "certs.request.payments.submit": {"owner-payments"},
    "certs.request.payments.shop": set(),
    "certs.request.web.submit": {"owner-web"},
    "certs.request.nobody.submit": set(),
    "certs.ev.issued.c1": {"registry"},
    "certs.answer.payments.e1": {"registry"},
    "certs.answer.web.e1": {"registry"},
    "certs.deploy.site1.syncer.c1": {"registry"},
    "certs.deploy.site2.pusher.c1": {"registry"},
    "certs.deploy.hub.pusher.c1": {"registry"},
    "certs.deploy.hub.pusher.c1.csr.edge": {"registry"},
    "certs.status.site1.syncer.delivery_failed.c1": {"site1-syncer"},
    "certs.status.site1.pusher.delivery_failed.c1": {"site1-pusher"},
    "certs.status.site2.syncer.delivery_failed.c1": {"site2-syncer"},
    "certs.status.site2.pusher.delivery_failed.c1": {"site2-pusher"},
    "certs.status.hub.pusher.delivery_failed.c1": {"hub-pusher"},
    "certs.status.hub.issuer.revision_issued.c1": {"issuer"},
    "certs.status.hub.monitor.observed.c1": {"monitor"},
    "certs.status.hub.registry.issued.c1": set(),
    "certs.status.hub.syncer.delivery_failed.c1": set(),
    "certs.status.site1.monitor.observed.c1": set(),
    "certs.last.site1.syncer.heartbeat.syncer": {"site1-syncer"},
    "certs.last.site1.pusher.heartbeat.pusher": {"site1-pusher"},
    "certs.last.site2.syncer.heartbeat.syncer": {"site2-syncer"},
    "certs.last.site2.pusher.heartbeat.pusher": {"site2-pusher"},
    "certs.last.hub.pusher.heartbeat.pusher": {"hub-pusher"},
    "certs.last.hub.issuer.heartbeat.issuer": {"issuer"},
    "certs.last.hub.monitor.observed.k": {"monitor"},
    "certs.last.hub.registry.heartbeat.registry": set(),
    "certs.alert.payments.a1": {"registry", "monitor"},
    "certs.anchor.a1": {"registry"},
    "certs.dlq.hub.registry": {"registry"},
    "certs.dlq.hub.registry-alerts": {"registry"},
    "certs.dlq.hub.requests-payments": {"registry"},
    "certs.dlq.hub.requests-web": {"registry"},
    "certs.dlq.hub.alerts-web": set(),
    "certs.dlq.hub.issuer": {"issuer"},
    "certs.dlq.hub.monitor": {"monitor"},
    "certs.dlq.hub.hub-pusher": {"hub-pusher"},
    "certs.dlq.hub.site1-syncer": set(),
    "certs.dlq.site1.site1-syncer": {"site1-syncer"},
    "certs.dlq.site1.site1-pusher": {"site1-pusher"},
    "certs.dlq.site2.site2-syncer": {"site2-syncer"},
    "certs.dlq.site2.site2-pusher": {"site2-pusher"},
    "certs.dlq.site2.site1-syncer": set(),
    "certs.dlq.site1.registry": set(),
    "$JS.API.DIRECT.GET.ANSWERS_payments.certs.answer.payments.e1": {OPERATOR, "owner-payments"},
    "$JS.API.DIRECT.GET.ANSWERS_web.certs.answer.web.e1": {OPERATOR, "owner-web"},
    "$JS.API.DIRECT.GET.ANSWERS_payments.certs.answer.web.e1": {OPERATOR},
    "$JS.API.DIRECT.GET.ANSWERS_payments.certs.answer.>": {OPERATOR},
    "$JS.API.DIRECT.GET.CERTS.certs.ev.issued.c1": {OPERATOR},
    "$JS.API.STREAM.NAMES": {OPERATOR, "registry"},
    "$JS.API.STREAM.LIST": {OPERATOR, "registry"},
    "$JS.API.STREAM.CREATE.MINE": {OPERATOR},
    "$JS.API.INFO": {OPERATOR},
    "$SYS.REQ.SERVER.PING": set(),
    "_INBOX.registry.x.1": set(),
    "anything.else": set(),
}

STREAMS = (
    *("REQUESTS", "CERTS", "ALERTS", "ANCHOR", *(f"ANSWERS_{owner}" for owner in OWNERS)),
    *(f"{kind}_{place}" for kind in ("DEPLOY", "STATUS", "LAST", "DLQ") for place in ("hub", "site1", "site2")),
)

# Who reads by which consumer.
READERS: dict[tuple[str, str], str] = {
    ("REQUESTS", "requests-payments"): "registry",
    ("REQUESTS", "requests-web"): "registry",
    ("ALERTS", "registry-alerts"): "registry",
    ("ALERTS", "alerts-payments"): "owner-payments",
    ("ALERTS", "alerts-web"): "owner-web",
    ("CERTS", "issuer"): "issuer",
    ("CERTS", "monitor"): "monitor",
    ("DEPLOY_hub", "hub-pusher"): "hub-pusher",
    ("DEPLOY_site1", "site1-syncer"): "site1-syncer",
    ("DEPLOY_site1", "site1-pusher"): "site1-pusher",
    ("DEPLOY_site2", "site2-syncer"): "site2-syncer",
    ("DEPLOY_site2", "site2-pusher"): "site2-pusher",
    **{(f"{kind}_{place}", "registry"): "registry" for kind in ("STATUS", "LAST") for place in ("hub", *SITES)},
}

for _stream in STREAMS:
    for _call in (
        *("STREAM.INFO", "STREAM.UPDATE", "STREAM.PURGE", "STREAM.DELETE", "STREAM.MSG.GET", "STREAM.MSG.DELETE"),
        *("DIRECT.GET", "CONSUMER.CREATE"),
    ):
        _also = {"registry"} if _call in {"DIRECT.GET", "STREAM.INFO"} else set()
        MAY_PUBLISH[f"$JS.API.{_call}.{_stream}"] = {OPERATOR, *_also}
    MAY_PUBLISH[f"$JS.API.CONSUMER.LIST.{_stream}"] = {OPERATOR, "registry"}
    MAY_PUBLISH[f"$JS.API.CONSUMER.NAMES.{_stream}"] = {OPERATOR} | ({"registry"} if _stream == "REQUESTS" else set())
    for _durable in {durable for _, durable in READERS}:
        _who = {READERS[_stream, _durable]} if (_stream, _durable) in READERS else set()
        if _stream == "REQUESTS" or _durable == "registry":
            # By wildcard, for those that are declared later: there is no such consumer of anybody else's.
            _who = {"registry"}
        MAY_PUBLISH[f"$JS.API.CONSUMER.INFO.{_stream}.{_durable}"] = {OPERATOR} | _who
        MAY_PUBLISH[f"$JS.API.CONSUMER.MSG.NEXT.{_stream}.{_durable}"] = {OPERATOR} | _who
        MAY_PUBLISH[f"$JS.ACK.{_stream}.{_durable}.1.1.1.1.0"] = _who
        MAY_PUBLISH[f"$JS.API.CONSUMER.DELETE.{_stream}.{_durable}"] = {OPERATOR}
        MAY_PUBLISH[f"$JS.API.CONSUMER.RESET.{_stream}.{_durable}"] = {OPERATOR, "registry"}
        MAY_PUBLISH[f"$JS.API.CONSUMER.DURABLE.CREATE.{_stream}.{_durable}"] = {OPERATOR}

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
    "certs.status.site1.>": set(),
    "certs.last.>": set(),
    "certs.last.site1.syncer.>": set(),
    "certs.alert.>": set(),
    "certs.alert.payments.>": set(),
    "certs.anchor.>": set(),
    "certs.dlq.>": set(),
    "certs.dlq.site1.>": set(),
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


def test_every_identity_stream_and_consumer_is_asked_for_below() -> None:
    wanted = topology(SITES, owners=OWNERS)
    assert set(grants(sites=SITES, owners=OWNERS)) == set(IDENTITIES)
    assert {config.name for config in wanted.streams} == set(STREAMS)
    assert {(consumer.stream, consumer.durable) for consumer in wanted.consumers} == set(READERS)


@pytest.mark.parametrize("identity", IDENTITIES)
async def test_an_identity_publishes_only_its_own(bus: SecuredBroker, identity: str) -> None:
    async with Person(bus, identity) as person:
        allowed = await person.may_publish(MAY_PUBLISH)

    assert allowed == {subject for subject, who in MAY_PUBLISH.items() if identity in who}


@pytest.mark.parametrize("identity", IDENTITIES)
async def test_an_identity_subscribes_only_to_its_own(bus: SecuredBroker, identity: str) -> None:
    async with Person(bus, identity) as person:
        allowed = {subject for subject in MAY_SUBSCRIBE if await person.may_subscribe(subject)}

    assert allowed == {subject for subject, who in MAY_SUBSCRIBE.items() if identity in who}


async def test_who_has_no_key_of_the_bus_gets_no_connection(bus: SecuredBroker, tmp_path: Path) -> None:
    stranger = NatsIdentities(tmp_path).seed_file("registry")

    assert "Authorization Violation" in await connect_bare(bus, None)
    assert "Authorization Violation" in await connect_bare(bus, stranger)
    assert (await connect_bare(bus, bus.seed_file("registry"))).startswith("PONG")


async def test_what_the_operator_declared_has_not_drifted(bus: SecuredBroker) -> None:
    async with Person(bus, OPERATOR) as operator:
        assert await declare(operator.client.jetstream(), topology(SITES, owners=OWNERS), apply=False) == []


@pytest.mark.parametrize(
    ("identity", "request_subject", "body"),
    [
        ("owner-payments", "certs.request.payments.submit", b"{}"),
        ("owner-payments", "$JS.API.DIRECT.GET.ANSWERS_payments.certs.answer.payments.e1", b""),
        ("owner-payments", "$JS.API.CONSUMER.MSG.NEXT.ALERTS.alerts-payments", b'{"batch": 1}'),
        ("site1-syncer", "certs.status.site1.syncer.delivery_failed.c1", b"{}"),
        ("site1-syncer", "certs.last.site1.syncer.heartbeat.syncer", b"{}"),
        ("site1-syncer", "certs.dlq.site1.site1-syncer", b"{}"),
        ("site1-syncer", "$JS.API.CONSUMER.MSG.NEXT.DEPLOY_site1.site1-syncer", b'{"batch": 1}'),
        ("site1-syncer", "$JS.API.CONSUMER.INFO.DEPLOY_site1.site1-syncer", b""),
        ("hub-pusher", "$JS.API.CONSUMER.MSG.NEXT.DEPLOY_hub.hub-pusher", b'{"batch": 1}'),
        ("issuer", "$JS.API.CONSUMER.MSG.NEXT.CERTS.issuer", b'{"batch": 1}'),
        ("monitor", "certs.alert.payments.a1", b"{}"),
    ],
)
async def test_a_reply_is_no_way_to_publish_as_another(
    bus: SecuredBroker, identity: str, request_subject: str, body: bytes
) -> None:
    """The broker answers to whatever subject a request names, and doesn't ask whether the requester might."""
    targets = (
        "certs.ev.approved.forged",
        "certs.answer.web.forged",
        "certs.request.web.submit",
        "certs.deploy.site2.syncer.forged",
        "certs.status.site2.syncer.delivery_failed.forged",
        "certs.status.hub.issuer.revision_issued.forged",
        "certs.last.site2.syncer.heartbeat.forged",
        "certs.alert.web.forged",
        "certs.anchor.forged",
        "certs.dlq.hub.issuer",
    )
    async with AsyncExitStack() as connected:
        person = await connected.enter_async_context(Person(bus, identity))
        registry = await connected.enter_async_context(Person(bus, "registry"))
        operator = await connected.enter_async_context(Person(bus, OPERATOR))
        await registry.client.jetstream().publish("certs.deploy.site1.syncer.c1", b"order")
        await registry.client.jetstream().publish("certs.ev.approved.c1", b"event")
        await registry.client.jetstream().publish("certs.answer.payments.e1", b"answer")
        await registry.client.jetstream().publish("certs.deploy.hub.pusher.c1", b"order")
        await registry.client.jetstream().publish("certs.alert.payments.a0", b"alert")

        for target in targets:
            await person.client.publish(request_subject, body, reply=target)
        await person.settle()
        # Its own next request is answered after all of these.
        await operator.client.jetstream().streams_info()
        forged = []
        for stream in STREAMS:
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
        await victim.client.jetstream().publish("certs.request.payments.submit", b"{}")
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
        stored = await owner.client.jetstream().get_last_msg(
            subjects.answers_stream("payments"), subject, direct=True
        )
        assert stored.data == b"accepted"
        with pytest.raises((TimeoutError, NoRespondersError)):
            await owner.client.jetstream(timeout=0.3).get_last_msg(
                subjects.answers_stream("web"), "certs.answer.web.e1", direct=True
            )


async def test_an_owner_reads_its_alerts_only_also_those_that_came_while_it_was_away(bus: SecuredBroker) -> None:
    async with Person(bus, "owner-payments") as owner, Person(bus, "monitor") as monitor:
        await monitor.client.jetstream().publish(subjects.alert("web", "a1"), b"not its own")
        await monitor.client.jetstream().publish(subjects.alert("payments", "a2"), b"its own")
        alerts = await owner.client.jetstream().pull_subscribe("", alerts_durable("payments"), stream=subjects.ALERTS)
        [message] = await alerts.fetch(1, timeout=5)
        await message.ack_sync()

        assert message.data == b"its own"
        with pytest.raises(TimeoutError):
            await alerts.fetch(1, timeout=0.3)
