"""The rounds: each endpoint is looked at when it is due, judged, reported where that matters, and alerted on."""

import asyncio
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from certcore.certificate import endpoint_address
from certcore.clock import Clock
from certcore.errors import TransientError
from certcore.events import EndpointObserved, ServingVerdict
from certprobe.handshake import Handshake, HandshakeError, Prober, TrustRootsError
from monitor.adapters.gauges import Gauges
from monitor.adapters.store import Announcement, Store
from monitor.domain.alerting import Decision, alert_of, decide, resolution
from monitor.domain.resolver import ResolutionError, Resolver
from monitor.domain.roster import Roster, Watch
from monitor.domain.schedule import REPORT_EVERY, Periods, first_look, next_look
from monitor.domain.verdict import Look, judge, summarize, unresolved
from monitor.domain.watched import EndpointRecord, Expected
from monitor.handlers.alerts import AlertRelay
from monitor.handlers.observations import Observations, Shake

__all__ = ["Patrol"]

log = structlog.get_logger()

_HANDSHAKES_AT_ONCE: Final = 64
_GATHER_S: Final = 0.02
"""Looks that end together are scheduled together: the roster is read at most 50 times a second."""

_DEAD: Final = frozenset({ServingVerdict.UNREACHABLE, ServingVerdict.TLS_FAILED})


class _Sight:
    """What one look met: a handshake or its failure at each address, or no address at all."""

    def __init__(self) -> None:
        self.found: list[tuple[Shake, Handshake | HandshakeError]] = []
        self.no_address: str | None = None

    def judged(self, expected: Expected, *, host: str, now: datetime, trust: bool) -> Look:
        if self.no_address is not None:
            return unresolved(self.no_address)
        return summarize(
            [
                judge(shake.address, found, host=host, expected=expected, now=now, trust=trust)
                for shake, found in self.found
            ]
        )

    def earliest_expiry(self) -> datetime | None:
        seen = [found.leaf.not_after for _, found in self.found if isinstance(found, Handshake)]
        return min(seen, default=None)


class Patrol:
    def __init__(
        self,
        *,
        roster: Roster,
        store: Store,
        resolver: Resolver,
        prober: Prober,
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
        self._resolver = resolver
        self._prober = prober
        self._trust = trust
        self._observations = observations
        self._relay = relay
        self._gauges = gauges
        self._clock = clock
        self._periods = periods
        self._jitter = jitter
        self._news = asyncio.Event()
        self._slots = asyncio.Semaphore(_HANDSHAKES_AT_ONCE)

    def wake(self) -> None:
        self._news.set()

    async def remember(self) -> None:
        """Go on where the last process stopped: what it watched is watched, whether the registry answers or not."""
        expected, records = await self._store.load()
        self._roster.remember(expected, records, now=self._clock())
        watches = self._roster.watches()
        for watch in watches:
            watch.due += first_look(endpoints=len(watches), periods=self._periods, jitter=self._jitter())

    async def run(self) -> None:
        async with asyncio.TaskGroup() as looks:
            while True:
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
        heard = watch.heard
        # Should anything go wrong, it is looked at again all the same.
        watch.due = self._clock() + self._periods.routine
        try:
            await self._conclude(watch, await self._see(watch), heard)
        except TransientError as error:
            # The bus didn't take the report: it is still owed, and made at the next look.
            watch.owed = True
            log.warning("observation_not_stored", url=watch.record.url, error=str(error))
        except TrustRootsError as error:
            log.warning("look_not_judged", url=watch.record.url, error=str(error))
        except Exception:  # one endpoint's fault must not end the watch over all others
            log.exception("look_broke_off", url=watch.record.url)
        finally:
            watch.looking = False
            if watch.heard != heard:
                watch.due = self._clock()
            self._news.set()

    async def _see(self, watch: Watch) -> _Sight:
        sight = _Sight()
        host, port = endpoint_address(watch.record.url)
        try:
            async with self._slots:
                addresses = await self._resolver.addresses(host)
        except ResolutionError as error:
            sight.no_address = str(error)
            return sight
        sight.found = list(await asyncio.gather(*(self._shake(address, port, host) for address in addresses)))
        return sight

    async def _shake(self, address: str, port: int, host: str) -> tuple[Shake, Handshake | HandshakeError]:
        async with self._slots:
            began = time.time_ns()
            found: Handshake | HandshakeError
            try:
                found = await self._prober.shake(address, port, server_name=host)
            except HandshakeError as error:
                found = error
            return Shake(address, began, time.time_ns()), found

    async def _conclude(self, watch: Watch, sight: _Sight, heard: int) -> None:
        expected = self._roster.expected(watch.record.certificate_id)
        if expected is None or self._roster.watch(watch.record.key) is not watch:
            return
        now = self._clock()
        host, _ = endpoint_address(watch.record.url)
        look = sight.judged(expected, host=host, now=now, trust=self._trust)
        age = now - expected.since
        self._schedule(watch, look, age, now)
        self._gauges.show(watch.record.key, look.verdict, sight.earliest_expiry())
        decision = decide(watch.record, look, rollout_age=age, grace=self._periods.grace)
        observed = _observed(watch.record, look, now)
        record, announcements = _following(decision, look, expected, observed)
        if announcements:
            # An alert is kept before it is told, so that it is told once whatever happens in between.
            log.info("alert_decided", url=record.url, reason=decision.reason, verdict=look.verdict)
            await self._store.save_record(record, announcements)
            watch.record = record
            await self._relay.flush()
        try:
            if watch.owed or watch.reported is None or _news(watch.reported, observed):
                record = await self._report(record, sight, expected, observed)
                watch.reported = observed
                # What was asked for while this look was under way is answered by the next one.
                watch.owed = watch.heard != heard
        finally:
            if record != watch.record and self._roster.watch(record.key) is watch:
                await self._store.save_record(record)
                watch.record = record

    def _schedule(self, watch: Watch, look: Look, age: timedelta, now: datetime) -> None:
        watch.dead_looks = watch.dead_looks + 1 if look.verdict in _DEAD else 0
        following = next_look(
            verdict=look.verdict,
            rollout_age=age,
            dead_looks=watch.dead_looks,
            periods=self._periods,
            jitter=self._jitter(),
        )
        watch.due = now + following.after

    async def _report(
        self, record: EndpointRecord, sight: _Sight, expected: Expected, observed: EndpointObserved
    ) -> EndpointRecord:
        wanted = expected.event.wanted_revision
        if observed.verdict is not ServingVerdict.WANTED or record.proven_revision == wanted:
            await self._observations.report(observed)
            return record
        await self._observations.prove(observed, [shake for shake, _ in sight.found], expected)
        log.info("revision_proven", url=observed.url, revision=wanted, fingerprint=observed.served_fingerprint_sha256)
        return record.model_copy(update={"proven_revision": wanted})


def _following(
    decision: Decision, look: Look, expected: Expected, observed: EndpointObserved
) -> tuple[EndpointRecord, list[Announcement]]:
    """The record after a look, and what is to be told of its alert."""
    now, record, announcements = observed.observed_at, decision.record, []
    if decision.ends and record.alert is not None:
        announcements.append(Announcement(resolution(record.alert, now=now)))
        record = record.model_copy(update={"alert": None})
    if decision.begins is not None:
        record = record.model_copy(update={"episode": record.episode + 1})
        alert = alert_of(record, look, expected, severity=decision.begins, now=now)
        announcements.append(Announcement(alert))
        record = record.model_copy(update={"alert": alert})
    if record.observed is None or _differ(record.observed, observed):
        record = record.model_copy(update={"observed": observed})
    return record, announcements


def _observed(record: EndpointRecord, look: Look, now: datetime) -> EndpointObserved:
    return EndpointObserved(
        certificate_id=record.certificate_id,
        url=record.url,
        verdict=look.verdict,
        served_revision=look.served_revision,
        served_fingerprint_sha256=look.served_fingerprint_sha256,
        addresses=look.addresses,
        observed_at=now,
    )


def _news(reported: EndpointObserved, observed: EndpointObserved) -> bool:
    return _differ(reported, observed) or observed.observed_at - reported.observed_at >= REPORT_EVERY


def _differ(one: EndpointObserved, other: EndpointObserved) -> bool:
    """Whether two looks found different things; how a failure was worded is none of them."""
    return _facts(one) != _facts(other)


def _facts(observed: EndpointObserved) -> tuple[object, ...]:
    addresses = [(item.address, item.verdict, item.fingerprint_sha256) for item in observed.addresses]
    return (observed.verdict, observed.served_revision, observed.served_fingerprint_sha256, addresses)
