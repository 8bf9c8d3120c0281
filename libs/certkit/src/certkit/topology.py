"""All streams and consumers, as data; only `certkit.declare` makes them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
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
from certcore.identities import (
    ALERTS_DURABLE,
    HUB,
    READS_REPORTS,
    Service,
    alerts_durable,
    deliverers_at,
    durable,
    places,
    requests_durable,
)

__all__ = ["FORM", "Consumer", "Topology", "topology"]

FORM: Final = {"certbus.form": "2"}
"""Metadata of each stream: streams of the form before have none, and `certkit.migration` replaces them."""

_MIB: Final = 1024 * 1024
_ACK_WAIT: Final = timedelta(seconds=60)
_DUPLICATE_WINDOW: Final = timedelta(hours=24)
_MONTH: Final = timedelta(days=30)

_UNHANDLED_REQUESTS: Final = 200
_REQUEST_BYTES: Final = 128 * 1024
# All that one owner may have waiting, so that none takes another's room.
_REQUESTS_MIB: Final = 32


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
    """`places` and `owners` are those that the streams and consumers are for."""

    places: tuple[str, ...]
    owners: tuple[str, ...]
    streams: tuple[StreamConfig, ...]
    consumers: tuple[Consumer, ...]

    def stream(self, name: str) -> StreamConfig:
        return next(config for config in self.streams if config.name == name)


def topology(sites: Iterable[str], *, owners: Iterable[str] = (), replicas: int = 1) -> Topology:
    """The streams and consumers of a bus that serves these sites, and on which these owners ask.

    Raises:
        ValueError: a site has the hub's name.
    """
    everywhere, owners = places(sites), tuple(sorted(set(owners)))
    streams = [*_central_streams(owners)]
    consumers = [*_central_consumers(owners)]
    for place in everywhere:
        streams += _streams_of(place)
        consumers += _consumers_of(place)
    return Topology(
        everywhere, owners, tuple(replace(config, num_replicas=replicas) for config in streams), tuple(consumers)
    )


def _central_streams(owners: tuple[str, ...]) -> list[StreamConfig]:
    requests = _stream(subjects.REQUESTS, subjects.ANY_REQUEST, mib=_REQUESTS_MIB * max(1, len(owners)))
    return [
        # A full stream refuses a new request instead of dropping another owner's.
        replace(
            requests,
            retention=RetentionPolicy.WORK_QUEUE,
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_msgs_per_subject=_UNHANDLED_REQUESTS,
            max_msg_size=_REQUEST_BYTES,
        ),
        _stream(subjects.ANSWERS, subjects.ANY_ANSWER, mib=64, age=_MONTH),
        _stream(subjects.CERTS, subjects.ANY_EVENT, mib=256),
        _stream(subjects.ALERTS, subjects.ANY_ALERT, mib=64, newest=16, age=_MONTH),
        _stream(subjects.ANCHOR, subjects.ANY_ANCHOR, mib=16),
    ]


def _central_consumers(owners: tuple[str, ...]) -> list[Consumer]:
    ordered = (
        subjects.events(events.CertificateApproved.type),
        subjects.events(events.CertificateRenewalDue.type),
        subjects.events(events.CsrAccepted.type),
    )
    expected = (subjects.events(events.EndpointsExpected.type),)
    return [
        Consumer(subjects.CERTS, durable(HUB, Service.ISSUER), ordered),
        Consumer(subjects.CERTS, durable(HUB, Service.MONITOR), expected),
        Consumer(subjects.ALERTS, ALERTS_DURABLE, (subjects.ANY_ALERT,)),
        *(Consumer(subjects.REQUESTS, requests_durable(owner), (subjects.request(owner),)) for owner in owners),
        *(Consumer(subjects.ALERTS, alerts_durable(owner), (subjects.alerts(owner),)) for owner in owners),
    ]


def _streams_of(place: str) -> list[StreamConfig]:
    status = _stream(subjects.status_stream(place), subjects.statuses(place), mib=64)
    return [
        # One message for each certificate: after an outage a consumer gets only the newest deployment.
        _stream(subjects.deploy_stream(place), subjects.deploys_at(place), mib=64, newest=1),
        replace(status, retention=RetentionPolicy.WORK_QUEUE, discard=DiscardPolicy.NEW),
        # A last value older than a month is of no use.
        _stream(subjects.last_stream(place), subjects.lasts(place), mib=32, newest=1, age=_MONTH),
        _stream(subjects.dead_letter_stream(place), subjects.dead_letters(place), mib=64),
    ]


def _consumers_of(place: str) -> list[Consumer]:
    deploy = subjects.deploy_stream(place)
    return [
        *(
            Consumer(deploy, durable(place, service), (subjects.deploys(place, service),))
            for service in deliverers_at(place)
        ),
        Consumer(subjects.status_stream(place), READS_REPORTS, (subjects.statuses(place),)),
        Consumer(subjects.last_stream(place), READS_REPORTS, (subjects.lasts(place),)),
    ]


def _stream(name: str, filters: str, *, mib: int, newest: int = -1, age: timedelta = timedelta(0)) -> StreamConfig:
    """Drops what is oldest where it is full."""
    return StreamConfig(
        name=name,
        subjects=[filters],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_bytes=mib * _MIB,
        max_msg_size=_MIB,
        max_msgs_per_subject=newest,
        max_age=age.total_seconds(),
        discard=DiscardPolicy.OLD,
        duplicate_window=_DUPLICATE_WINDOW.total_seconds(),
        allow_direct=True,
        metadata=dict(FORM),
    )
