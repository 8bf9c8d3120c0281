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
    dead_lettered_at,
    deliverers_at,
    durable,
    places,
    requests_durable,
)
from certkit.bounds import Bounds

__all__ = ["FORM", "Consumer", "Topology", "topology"]

FORM: Final = {"certbus.form": "2"}
"""Metadata of each stream: streams of the form before have none, and `certkit.migration` replaces them."""

_ACK_WAIT: Final = timedelta(seconds=60)
_MONTH: Final = timedelta(days=30)

_OUR_WINDOW: Final = timedelta(hours=24)
_THEIR_WINDOW: Final = timedelta(minutes=2)
"""How long the broker remembers message ids. It keeps them in memory, with no other bound than this time: so it is
short where others than the registry and the monitor publish. Those who read there know the events' ids themselves.
"""


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

    @property
    def reserved_bytes(self) -> int:
        """What the broker counts as used: the sum of the streams' sizes, however little they hold."""
        return sum(config.max_bytes or 0 for config in self.streams)


def topology(
    sites: Iterable[str], *, owners: Iterable[str] = (), replicas: int = 1, bounds: Bounds | None = None
) -> Topology:
    """The streams and consumers of a bus that serves these sites, and on which these owners ask.

    Raises:
        ValueError: a site has the hub's name.
    """
    everywhere, owners, bounds = places(sites), tuple(sorted(set(owners))), bounds or Bounds()
    streams = [*_central_streams(owners, bounds)]
    consumers = [*_central_consumers(owners)]
    for place in everywhere:
        streams += _streams_of(place, owners, bounds)
        consumers += _consumers_of(place)
    return Topology(
        everywhere, owners, tuple(replace(config, num_replicas=replicas) for config in streams), tuple(consumers)
    )


def _central_streams(owners: tuple[str, ...], bounds: Bounds) -> list[StreamConfig]:
    requests = _stream(
        subjects.REQUESTS, subjects.ANY_REQUEST, size=bounds.requests_of(len(owners)), largest=bounds.request
    )
    return [
        # Who has too much waiting is refused; nobody else's is dropped for it.
        replace(
            requests,
            retention=RetentionPolicy.WORK_QUEUE,
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_msgs_per_subject=bounds.waiting_requests,
        ),
        *(
            _stream(
                subjects.answers_stream(owner),
                subjects.answers(owner),
                size=bounds.answers,
                largest=bounds.answer,
                age=_MONTH,
                window=_OUR_WINDOW,
            )
            for owner in owners
        ),
        _stream(subjects.CERTS, subjects.ANY_EVENT, size=bounds.events, largest=bounds.event, window=_OUR_WINDOW),
        _stream(
            subjects.ALERTS,
            subjects.ANY_ALERT,
            size=bounds.alerts,
            largest=bounds.alert,
            newest=bounds.alerts_kept,
            age=_MONTH,
            window=_OUR_WINDOW,
        ),
        _stream(subjects.ANCHOR, subjects.ANY_ANCHOR, size=bounds.anchors, largest=bounds.anchor, window=_OUR_WINDOW),
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


def _streams_of(place: str, owners: tuple[str, ...], bounds: Bounds) -> list[StreamConfig]:
    sizes = bounds.hub if place == HUB else bounds.site
    status = _stream(
        subjects.status_stream(place), subjects.statuses(place), size=sizes.status, largest=bounds.report
    )
    last = _stream(
        subjects.last_stream(place),
        subjects.lasts(place),
        size=sizes.last,
        largest=bounds.last_value,
        newest=1,
        # A last value older than a month is of no use.
        age=_MONTH,
    )
    return [
        # One message for each certificate: after an outage a consumer gets only the newest deployment.
        _stream(
            subjects.deploy_stream(place),
            subjects.deploys_at(place),
            size=sizes.deploy,
            largest=bounds.event,
            newest=1,
            window=_OUR_WINDOW,
        ),
        replace(status, retention=RetentionPolicy.WORK_QUEUE, discard=DiscardPolicy.NEW),
        replace(last, max_msgs=sizes.last_subjects),
        # The oldest letters of a durable go when it has too many; the size is never reached.
        _stream(
            subjects.dead_letter_stream(place),
            subjects.dead_letters(place),
            size=bounds.letters_of(len(dead_lettered_at(place, owners))),
            largest=bounds.letter,
            newest=bounds.letters_kept,
        ),
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


def _stream(
    name: str,
    filters: str,
    *,
    size: int,
    largest: int,
    newest: int = -1,
    age: timedelta = timedelta(0),
    window: timedelta = _THEIR_WINDOW,
) -> StreamConfig:
    """Drops what is oldest where it is full."""
    return StreamConfig(
        name=name,
        subjects=[filters],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_bytes=size,
        max_msgs=-1,
        max_msg_size=largest,
        max_msgs_per_subject=newest,
        max_age=age.total_seconds(),
        discard=DiscardPolicy.OLD,
        duplicate_window=window.total_seconds(),
        allow_direct=True,
        metadata=dict(FORM),
    )
