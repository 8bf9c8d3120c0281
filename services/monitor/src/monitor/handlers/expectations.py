"""What should be served: changes come by events, all of it is read from the registry's API."""

import random
from collections.abc import Callable
from datetime import datetime

import structlog

from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.events import EndpointsExpected
from certkit.registry_client import RegistryClient
from certkit.telemetry import current_traceparent
from monitor.adapters.gauges import Gauges
from monitor.adapters.store import Announcement, Store
from monitor.domain.alerting import resolution
from monitor.domain.roster import News, Roster
from monitor.domain.schedule import Periods, first_look
from monitor.handlers.alerts import AlertRelay

__all__ = ["Expectations"]

log = structlog.get_logger()


class Expectations:
    def __init__(
        self,
        *,
        roster: Roster,
        store: Store,
        registry: RegistryClient,
        relay: AlertRelay,
        gauges: Gauges,
        wake: Callable[[], None],
        clock: Clock,
        periods: Periods,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._roster = roster
        self._store = store
        self._registry = registry
        self._relay = relay
        self._gauges = gauges
        self._wake = wake
        self._clock = clock
        self._periods = periods
        self._jitter = jitter
        self._read_once = False
        self._unsaved: set[str] = set()
        """Certificates whose expectation is in memory, and may not be stored."""

    def not_read(self) -> str | None:
        """Why the service isn't ready yet."""
        return None if self._read_once else "the registry's expectations were not read yet"

    async def on_endpoints_expected(self, event: EndpointsExpected, _: Envelope) -> None:
        # The trace of the event itself, of which the stored one may be an earlier part.
        event = event.model_copy(update={"traceparent": current_traceparent() or event.traceparent})
        news = self._roster.expect(event, now=self._clock(), asked=True)
        log.info("endpoints_expected", certificate=event.name, generation=event.generation, news=news)
        await self._keep(event, news, asked=True)

    async def refresh(self) -> None:
        """Read all expectations of the registry, and stop watching what it doesn't name any more.

        Where a part of its answer can't be read, everything stays watched.

        Raises:
            TransientError: the registry can't be reached.
            PermanentError: its answer can't be read.
        """
        listed_at = self._roster.moment()
        listed = await self._registry.expectations()
        endpoints = sum(len(event.endpoints) for event in listed.items)
        for event in listed.items:
            delay = first_look(endpoints=endpoints, periods=self._periods, jitter=self._jitter())
            news = self._roster.expect(event, now=self._clock(), asked=False, listed_at=listed_at, delay=delay)
            await self._keep(event, news, asked=False)
        if listed.complete:
            await self._drop_others({event.certificate_id for event in listed.items}, listed_at)
        self._read_once = True

    async def _drop_others(self, ids: set[str], listed_at: int) -> None:
        for certificate_id in self._roster.keep_only(ids, listed_at=listed_at):
            log.info("certificate_no_longer_watched", certificate_id=certificate_id)
            await self._dismiss(certificate_id, self._clock())
            await self._store.drop_expected(certificate_id)
            self._unsaved.discard(certificate_id)

    async def _keep(self, event: EndpointsExpected, news: News, *, asked: bool) -> None:
        expected = self._roster.expected(event.certificate_id)
        if expected is None or news is News.OLDER:
            return
        if news is News.KNOWN and event.certificate_id not in self._unsaved:
            # A registry that lost a stream repeats everything: what is new waits behind it.
            if asked:
                self._wake()
            return
        self._unsaved.add(event.certificate_id)
        await self._store.save_expected(expected)
        await self._dismiss(event.certificate_id, self._clock())
        self._unsaved.discard(event.certificate_id)
        self._wake()

    async def _dismiss(self, certificate_id: str, now: datetime) -> None:
        """Stop watching endpoints that are expected no more. Their alerts are resolved here: no look will do it."""
        gone = self._roster.dismiss(certificate_id)
        if not gone:
            return
        alerts = [watch.record.alert for watch in gone if watch.record.alert is not None]
        ended = [Announcement.of(resolution(alert, now=now)) for alert in alerts]
        await self._store.drop_records([watch.record.key for watch in gone], ended)
        for watch in gone:
            self._gauges.forget(watch.record.key)
        if ended:
            await self._relay.flush()
