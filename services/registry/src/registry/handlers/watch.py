"""Rounds that look for what is wrong with the system itself, and raise and end its alerts."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

import structlog

from certcore.clock import Clock
from certcore.errors import TransientError
from certkit.standstill import Standstill
from registry.adapters.outbox import SOURCE, Bell
from registry.adapters.store import Store, Transaction
from registry.domain.alarm import (
    Alarm,
    BusState,
    Halt,
    Letters,
    Patience,
    Start,
    judge_bus,
    judge_letters,
    judge_services,
)
from registry.domain.alert import Finding
from registry.domain.site import expected_services
from registry.handlers.alarms import Alarms

__all__ = ["Bus", "Watch"]

log = structlog.get_logger()

_OF_LETTERS: Final = frozenset({Alarm.DEAD_LETTERS})
_OTHERS: Final = frozenset(Alarm) - _OF_LETTERS


class Bus(Protocol):
    """The bus as it is seen from here."""

    async def answers(self) -> bool: ...

    async def connections(self) -> int:
        """How often a lost connection was made again."""
        ...

    async def dead_letters(self) -> Sequence[Letters]:
        """The dead letters that are kept, by place.

        Raises:
            TransientError: the broker doesn't tell.
        """
        ...


class Watch:
    """`look` is a round of the background, within `running`. `bus_is` is told how the broker says it is."""

    def __init__(
        self,
        *,
        store: Store,
        alarms: Alarms,
        bell: Bell,
        bus: Bus,
        standstill: Standstill,
        clock: Clock,
        patience: Patience,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """`leads`: of several registries, one raises and ends alerts."""
        self._store = store
        self._alarms = alarms
        self._bell = bell
        self._bus = bus
        self._standstill = standstill
        self._stood_still_s = 0.0
        self._host = ""
        self._patience = patience
        self._leads = leads
        self._clock = clock
        self._start = Start(at=clock(), clean=True)
        self._state = BusState()
        self._connections = 0
        self._expected_since: dict[tuple[str, str], datetime] = {}

    @asynccontextmanager
    async def running(self, host: str, *, failed: Callable[[], bool]) -> AsyncIterator[None]:
        """Note that this registry starts, and at the end that it stops as it should, unless it failed."""
        self._host = host
        self._start = await self._store.write(lambda transaction: transaction.runs.begin(host, self._clock()))
        if not self._start.clean:
            log.warning("started_without_a_stop", host=host)
        yield
        if failed():
            return
        # A database that takes no writes now: the next start is told as one without a stop.
        with suppress(TransientError):
            await self._store.write(lambda transaction: transaction.runs.end(host, self._clock()))

    async def bus_is(self, problem: str | None) -> None:
        """Take the broker's word about its health; None where it is well."""
        self._state = replace(self._state, problem=problem)

    async def look(self) -> None:
        """Judge, and raise or end alerts where that changed.

        Raises:
            DatabaseBusyError: the database can't be read or written now.
        """
        await self._look_at_itself()
        await self._look_at_bus()
        if not self._leads():
            return
        letters = await self._letters()
        reasons = _OTHERS if letters is None else frozenset(Alarm)
        now = self._clock()

        def judged(transaction: Transaction) -> list[Finding]:
            seen = transaction.services.all()
            expected = expected_services(transaction.sites.all(), seen)
            self._expected_since = {key: self._expected_since.get(key, now) for key in expected}
            return [
                *judge_services(
                    self._expected_since,
                    seen,
                    start=self._start,
                    bus=self._state,
                    now=now,
                    patience=self._patience,
                    halt=transaction.runs.last_halt(),
                ),
                *judge_bus(self._state, now=now),
                *judge_letters(letters or (), now=now),
            ]

        def changed(transaction: Transaction) -> bool:
            present = transaction.alerts.open(source=SOURCE, reasons=reasons)
            return self._alarms.differ(present, judged(transaction))

        def settle(transaction: Transaction) -> None:
            self._alarms.settle(transaction, judged(transaction), reasons=reasons)

        if await self._store.read(changed):
            await self._store.write(settle)
            self._bell.ring()

    async def _look_at_itself(self) -> None:
        """Note that this registry stood still, in its row: another that shares the database tells the same."""
        with self._standstill.telling() as seconds:
            if seconds == self._stood_still_s or seconds < self._patience.stood_still.total_seconds():
                return
            halt = Halt(seconds, self._clock())
            await self._store.write(lambda transaction: transaction.runs.halted(self._host, halt))
            self._stood_still_s = seconds

    async def _look_at_bus(self) -> None:
        answers, now = await self._bus.answers(), self._clock()
        if not answers:
            self._state = replace(self._state, unreachable_since=self._state.unreachable_since or now)
            return
        if self._state.unreachable_since is not None:
            self._state = replace(self._state, unreachable_since=None, back_at=now)
        connections = await self._bus.connections()
        if connections != self._connections:
            self._state = replace(self._state, cut_at=now)
        self._connections = connections

    async def _letters(self) -> Sequence[Letters] | None:
        if self._state.unreachable_since is not None:
            return None
        try:
            return await self._bus.dead_letters()
        except TransientError as error:
            log.warning("dead_letters_not_read", error=str(error))
            return None
