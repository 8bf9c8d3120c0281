"""Which streams and consumers there are, as data: `certkit.declare` makes them, nobody else does."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from certcore import events, subjects
from certcore.durables import DURABLES

__all__ = ["DURABLES", "Consumer", "Topology", "topology"]

_MIB: Final = 1024 * 1024
_ACK_WAIT: Final = timedelta(seconds=60)
_DUPLICATE_WINDOW: Final = timedelta(hours=24)


@dataclass(frozen=True)
class Consumer:
    stream: str
    durable: str
    filters: tuple[str, ...]

    def config(self) -> ConsumerConfig:
        # No max_deliver: the failure policy counts tries and dead-letters before a message is dropped silently.
        # No backoff: it interferes with the delays of naks.
        return ConsumerConfig(
            durable_name=self.durable,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_WAIT.total_seconds(),
            max_deliver=-1,
            max_ack_pending=1000,
            filter_subject=self.filters[0] if len(self.filters) == 1 else None,
            filter_subjects=list(self.filters) if len(self.filters) > 1 else None,
        )


@dataclass(frozen=True)
class Topology:
    streams: tuple[StreamConfig, ...]
    consumers: tuple[Consumer, ...]


def topology(sites: Iterable[str], *, replicas: int = 1) -> Topology:
    """The streams and consumers of a bus that serves these sites."""
    sites = sorted(set(sites))

    def stream(
        name: str,
        filters: list[str],
        *,
        mib: int,
        discard: DiscardPolicy = DiscardPolicy.OLD,
        newest: int = -1,
        days: int = 0,
    ) -> StreamConfig:
        return StreamConfig(
            name=name,
            subjects=filters,
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            num_replicas=replicas,
            max_bytes=mib * _MIB,
            max_msg_size=_MIB,
            max_msgs_per_subject=newest,
            max_age=days * 86400.0,
            discard=discard,
            duplicate_window=_DUPLICATE_WINDOW.total_seconds(),
            allow_direct=True,
        )

    streams = [
        # What is old is handled and goes; without that, a stream that refuses when it is full would be full one day.
        # A full request stream refuses the publisher instead of losing somebody else's request.
        stream(subjects.REQUESTS, [subjects.ANY_REQUEST], mib=64, discard=DiscardPolicy.NEW, days=30),
        stream(subjects.CERTS, [subjects.ANY_EVENT, subjects.ANY_ANSWER], mib=256),
        stream(subjects.STATUS, [subjects.ANY_STATUS], mib=256, discard=DiscardPolicy.NEW, days=3),
        stream(subjects.ALERTS, [subjects.ANY_ALERT], mib=64),
        stream(subjects.DLQ, [subjects.ANY_DEAD_LETTER], mib=64),
    ]
    consumers = [
        Consumer(subjects.REQUESTS, DURABLES.REGISTRY_REQUESTS, (subjects.ANY_REQUEST,)),
        Consumer(subjects.STATUS, DURABLES.REGISTRY_STATUS, (subjects.ANY_STATUS,)),
        Consumer(subjects.ALERTS, DURABLES.REGISTRY_ALERTS, (subjects.ANY_ALERT,)),
        Consumer(
            subjects.CERTS,
            DURABLES.ISSUER,
            (
                subjects.events(events.CertificateApproved.type),
                subjects.events(events.CertificateRenewalDue.type),
            ),
        ),
        Consumer(subjects.CERTS, DURABLES.MONITOR, (subjects.events(events.EndpointsExpected.type),)),
    ]
    for site in sites:
        name = subjects.deploy_stream(site)
        # One message a certificate: a site that was away finds only the newest order.
        streams.append(stream(name, [f"certs.deploy.{site}.>"], mib=64, newest=1))
        consumers += [
            Consumer(name, DURABLES.of(site, service), (subjects.deploys(site, service),))
            for service in ("pusher", "syncer")
        ]
    return Topology(tuple(streams), tuple(consumers))
