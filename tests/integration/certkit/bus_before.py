"""A bus of the form before: its streams and consumers as that declare step made them, with messages in each."""

import json
from pathlib import Path
from typing import Final

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

__all__ = ["MOVED", "fill", "held", "make", "publish"]

_FIXTURE: Final = Path(__file__).with_suffix(".json")

# stream → (subject, id, whether its consumer had handled it), in the order of publication.
_MESSAGES: Final = {
    "REQUESTS": [
        ("certs.request.payments.shop", "r1", True),
        ("certs.request.web.site", "r2", False),
        ("certs.request.payments.stock", "r3", True),
        ("certs.request.payments.books", "r4", False),
        ("certs.request.web.blog.old", "r5", False),
    ],
    "CERTS": [
        ("certs.ev.approved.c1", "e1", True),
        ("certs.answer.payments.r1", "a1", False),
        ("certs.ev.expected.c1", "e2", False),
        ("certs.answer.payments.r3", "a2", False),
        ("certs.ev.approved.c2", "e3", False),
    ],
    "DEPLOY_site1": [
        ("certs.deploy.site1.syncer.c1", "d1", True),
        ("certs.deploy.site1.syncer.c2", "d2", False),
    ],
    "STATUS": [
        ("certs.status.hub.issuer.started.c1", "s1", True),
        ("certs.status.hub.issuer.issued.c1", "s2", False),
        ("certs.status.site1.syncer.heartbeat.site1", "s3", True),
        ("certs.status.site1.syncer.succeeded.c1", "s4", True),
        ("certs.status.site1.pusher.failed.c1", "s5", False),
        ("certs.status.hub.monitor.observed.c1", "s6", False),
        ("certs.status.site1.syncer.heartbeat.site1", "s7", False),
        ("certs.status.site1.syncer.heartbeat.site1", "s8", False),
        ("certs.status.site2.syncer.reviewed.site2", "s9", False),
        ("certs.status.site2.syncer.novelty.c9", "s10", False),
        ("certs.status.hub.issuer.failed.c2", "s11", False),
    ],
    "ALERTS": [
        ("certs.alert.critical.payments", "al1", True),
        ("certs.alert.warning.web", "al2", False),
        ("certs.alert.critical.payments", "al3", False),
        ("certs.alert.critical.payments", "al4", False),
    ],
    "DLQ": [
        ("certs.dlq.registry-status", "l1", False),
        ("certs.dlq.site1-syncer", "l2", False),
        ("certs.dlq.monitor", "l3", False),
        ("certs.dlq.site1-syncer", "l4", False),
        ("certs.dlq.site9-pusher", "l5", False),
    ],
}

MOVED: Final = {
    "REQUESTS": [
        ("certs.request.web.submit", "r2"),
        ("certs.request.payments.submit", "r4"),
        ("certs.request.web.submit", "r5"),
    ],
    "ANSWERS_payments": [("certs.answer.payments.r1", "a1"), ("certs.answer.payments.r3", "a2")],
    "ANSWERS_web": [],
    "CERTS": [("certs.ev.approved.c1", "e1"), ("certs.ev.expected.c1", "e2"), ("certs.ev.approved.c2", "e3")],
    "ALERTS": [
        ("certs.alert.web.warning", "al2"),
        ("certs.alert.payments.critical", "al3"),
        ("certs.alert.payments.critical", "al4"),
    ],
    "ANCHOR": [],
    "DEPLOY_hub": [],
    "DEPLOY_site1": [("certs.deploy.site1.syncer.c1", "d1"), ("certs.deploy.site1.syncer.c2", "d2")],
    "DEPLOY_site2": [],
    "STATUS_hub": [
        ("certs.status.hub.issuer.revision_issued.c1", "s2"),
        ("certs.status.hub.monitor.observed.c1", "s6"),
        ("certs.status.hub.issuer.revision_failed.c2", "s11"),
    ],
    "STATUS_site1": [("certs.status.site1.pusher.delivery_failed.c1", "s5")],
    "STATUS_site2": [
        ("certs.status.site2.syncer.reviewed.site2", "s9"),
        ("certs.status.site2.syncer.novelty.c9", "s10"),
    ],
    "LAST_hub": [],
    "LAST_site1": [("certs.last.site1.syncer.heartbeat.syncer", "s8")],
    "LAST_site2": [],
    "DLQ_hub": [
        ("certs.dlq.hub.registry-status", "l1"),
        ("certs.dlq.hub.monitor", "l3"),
        ("certs.dlq.hub.site9-pusher", "l5"),
    ],
    "DLQ_site1": [("certs.dlq.site1.site1-syncer", "l2"), ("certs.dlq.site1.site1-syncer", "l4")],
    "DLQ_site2": [],
}
"""What each stream holds when the declare step moved the messages above."""

_CONSUMERS: Final = {
    "REQUESTS": "registry-requests",
    "CERTS": "issuer",
    "DEPLOY_site1": "site1-syncer",
    "STATUS": "registry-status",
    "ALERTS": "registry-alerts",
}


async def make(client: Client) -> None:
    """The streams and consumers, empty."""
    before = json.loads(_FIXTURE.read_text())
    for config in before["streams"]:
        await _api(client, f"STREAM.CREATE.{config['name']}", config)
    for consumer in before["consumers"]:
        stream, config = consumer["stream"], consumer["config"]
        order = {"stream_name": stream, "config": config}
        await _api(client, f"CONSUMER.DURABLE.CREATE.{stream}.{config['durable_name']}", order)


async def fill(client: Client) -> None:
    """The messages; what was not handled is with its consumer, or was given back for later, or never fetched."""
    js = client.jetstream()
    for stream, messages in _MESSAGES.items():
        for subject, name, _ in messages:
            await publish(js, subject, name)
        if stream not in _CONSUMERS:
            continue
        handled = {name for _, name, done in messages if done}
        reading = await js.pull_subscribe("", _CONSUMERS[stream], stream=stream)
        while handled:
            [message] = await reading.fetch(1, timeout=5)
            name = (message.headers or {})["ce-id"]
            if name in handled:
                await message.ack_sync()
                handled.discard(name)
            else:
                await message.nak(delay=600)
        await reading.unsubscribe()


async def publish(js: JetStreamContext, subject: str, name: str) -> None:
    await js.publish(subject, b"{}", headers={"ce-id": name, "Nats-Msg-Id": name})


async def held(js: JetStreamContext) -> dict[str, list[tuple[str, str]]]:
    """Subject and id of all that each stream holds, oldest first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for info in await js.streams_info():
        name = info.config.name or ""
        found[name] = []
        for number in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            try:
                message = await js.get_msg(name, number)
            except NotFoundError:
                continue
            found[name].append((message.subject or "", (message.headers or {})["ce-id"]))
    return found


async def _api(client: Client, call: str, body: object) -> None:
    reply = await client.request(f"$JS.API.{call}", json.dumps(body).encode(), timeout=5)
    assert "error" not in json.loads(reply.data), reply.data
