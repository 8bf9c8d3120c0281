"""The looks: each endpoint is looked at when it is due, judged, reported where that matters, and alerted on."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from certcore.clock import Clock
from certcore.errors import TransientError
from certcore.events import EndpointObserved, ServingVerdict
from certprobe.handshake import TrustRootsError
from monitor.adapters.gauges import Gauges
from monitor.adapters.store import Announcement, Store
from monitor.domain.alerting import AlertEvent, decide
from monitor.domain.reporting import decide_report, observation
from monitor.domain.roster import Roster, Watch
from monitor.domain.schedule import Periods, first_look, next_look
from monitor.domain.verdict import Look
from monitor.domain.watched import EndpointRecord, Expected
from monitor.handlers.alerts import AlertRelay
from monitor.handlers.handshakes import Handshakes, Sight
from monitor.handlers.observations import Observations

__all__ = ["Patrol"]

log = structlog.get_logger()

_GATHER_S: Final = 0.02
"""Looks that end together are scheduled together: the roster is read at most 50 times a second."""

_DEAD: Final = frozenset({ServingVerdict.UNREACHABLE, ServingVerdict.TLS_FAILED})


class Patrol:
    def __init__(
        self,
        *,
        roster: Roster,
        store: Store,
        handshakes: Handshakes,
        trust: bool,
        observations: Observations,
        relay: AlertRelay,
        gauges: Gauges,
        clock: Clock,
        periods: Periods,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._roster = roster
        self._store = store
        self._handshakes = handshakes
        self._trust = trust
        self._observations = observations
        self._relay = relay
        self._gauges = gauges
        self._clock = clock
        self._periods = periods
        self._jitter = jitter
        self._news = asyncio.Event()
        self._leaving = False

    def wake(self) -> None:
        self._news.set()

    def leave(self) -> None:
        """Begin no more looks; `run` returns when those that were begun have ended."""
        self._leaving = True
        self.wake()

    async def remember(self) -> None:
        """Watch what the last process watched, whether the registry answers or not."""
        expected, records = await self._store.load()
        self._roster.remember(expected, records, now=self._clock())
        watches = self._roster.watches()
        for watch in watches:
            watch.due += first_look(endpoints=len(watches), periods=self._periods, jitter=self._jitter())

    async def run(self) -> None:
        async with asyncio.TaskGroup() as looks:
            while not self._leaving:
                self._news.clear()
                for watch in self._roster.due(now=self._clock()):
                    watch.looking = True
                    looks.create_task(self._look(watch))
                await self._rest()

    async def _rest(self) -> None:
        due = self._roster.next_due()
        seconds = None if due is None else max(0.0, (due - self._clock()).total_seconds())
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
                await asyncio.sleep(_GATHER_S)
        except TimeoutError:
            return

    async def _look(self, watch: Watch) -> None:
        calls = watch.calls
        # Should anything go wrong, it is looked at again all the same.
        watch.due = self._clock() + self._periods.routine
        try:
            await self._conclude(watch, await self._handshakes.at(watch.record.url), calls)
        except TransientError as error:
            # The bus didn't take the report: the next look makes it.
            watch.asked = True
            log.warning("observation_not_stored", url=watch.record.url, error=str(error))
        except TrustRootsError as error:
            log.warning("look_not_judged", url=watch.record.url, error=str(error))
        except Exception:  # one endpoint's fault must not end the watch over all others
            log.exception("look_broke_off", url=watch.record.url)
        finally:
            watch.looking = False
            if watch.calls != calls:
                watch.due = self._clock()
            self._news.set()

    async def _conclude(self, watch: Watch, sight: Sight, calls: int) -> None:
        expected = self._roster.expected(watch.record.certificate_id)
        endpoint = expected.endpoint(watch.record.url) if expected else None
        if expected is None or endpoint is None or self._roster.watch(watch.record.key) is not watch:
            return
        now = self._clock()
        look = sight.judged(endpoint, now=now, trust=self._trust)
        decision = decide(watch.record, look, expected=expected, now=now, grace=self._periods.grace)
        record = decision.record
        rollout = expected.rollouts[record.url]
        self._schedule(watch, record, look, now - rollout.since, now)
        self._gauges.show(record.key, look.verdict, sight.earliest_expiry())
        if decision.announcement is not None:
            log.info("alert_decided", url=record.url, reason=decision.reason, verdict=look.verdict)
            await self._announce(watch, record, decision.announcement)
        observed = observation(record, look, generation=expected.event.generation, now=now)
        last = watch.reported or record.observed
        reporting = decide_report(observed, record=record, last=last, asked=watch.asked, rollout=rollout)
        try:
            if reporting.published:
                record = await self._report(record, sight, expected, observed)
                watch.reported = observed
                # What was asked for while this look was under way is answered by the next one.
                watch.asked = watch.asked and watch.calls != calls
            watch.looked_at = now
        finally:
            await self._store_record(watch, record)

    async def _announce(self, watch: Watch, record: EndpointRecord, event: AlertEvent) -> None:
        """Store the alert before it is published, so that it is published once whatever happens in between."""
        # Whoever ends the watch meanwhile finds the alert in its record, and resolves it.
        before, watch.record = watch.record, record
        try:
            await self._store.save_record(record, [Announcement.of(event)])
        except BaseException:  # what was not stored was not decided
            watch.record = before
            raise
        await self._relay.flush()

    async def _store_record(self, watch: Watch, record: EndpointRecord) -> None:
        if self._roster.watch(record.key) is not watch:
            return
        if record.differs_from(watch.record):
            await self._store.save_record(record)
        watch.record = record

    def _schedule(self, watch: Watch, record: EndpointRecord, look: Look, age: timedelta, now: datetime) -> None:
        watch.dead_looks = watch.dead_looks + 1 if look.verdict in _DEAD else 0
        following = next_look(
            verdict=look.verdict,
            bad_looks=record.bad_looks,
            rollout_age=age,
            dead_looks=watch.dead_looks,
            periods=self._periods,
            jitter=self._jitter(),
        )
        watch.due = now + following.after

    async def _report(
        self, record: EndpointRecord, sight: Sight, expected: Expected, observed: EndpointObserved
    ) -> EndpointRecord:
        """The record after the report was stored."""
        rollout = expected.rollouts[record.url]
        if observed.verdict is ServingVerdict.WANTED and record.proven_generation != rollout.generation:
            await self._observations.prove(observed, sight.shakes, traceparent=expected.event.traceparent)
            log.info(
                "rollout_proven", url=observed.url, revision=observed.served_revision, variant=observed.served_variant
            )
            record = record.model_copy(update={"proven_generation": rollout.generation})
        else:
            await self._observations.report(observed)
        return record.with_observed(observed)
