"""Notices that a stream was lost, and has it filled again; tells when a lane is parked."""

import asyncio
from contextlib import suppress
from typing import Final, Protocol

import structlog

from certcore import subjects
from certcore.clock import Clock
from certcore.errors import TransientError
from certcore.events import Severity
from registry.adapters.jetstream import JetStream
from registry.adapters.outbox import SOURCE, Bell
from registry.adapters.relay import Relay
from registry.adapters.store import Store, Transaction
from registry.domain.stream_epoch import Found, StreamEpoch, Verdict, judge
from registry.handlers.refill import refill

__all__ = ["Alarms", "StreamWatch"]

log = structlog.get_logger()

LANE_PARKED: Final = "lane_parked"
STREAM_LOST: Final = "stream_lost"

_GLANCE_S: Final = 1.0


class Alarms(Protocol):
    """Raising what is raised and resolving what is not changes nothing."""

    def raise_(
        self, transaction: Transaction, *, reason: str, subject: str, severity: Severity, summary: str
    ) -> None: ...

    def resolve(self, transaction: Transaction, *, reason: str, subject: str) -> None: ...


class StreamWatch:
    """A lane that is parked for `parked_long_s` seconds is told: a change of the broker's leader takes less."""

    def __init__(
        self,
        *,
        store: Store,
        jetstream: JetStream,
        relay: Relay,
        alarms: Alarms,
        bell: Bell,
        clock: Clock,
        every_s: float = 10.0,
        parked_long_s: float = 15.0,
    ) -> None:
        self._store = store
        self._jetstream = jetstream
        self._relay = relay
        self._alarms = alarms
        self._bell = bell
        self._clock = clock
        self._every_s = every_s
        self._parked_long_s = parked_long_s
        self._seen: dict[str, int] = {}
        self._unnoted: set[str] = set()
        """Streams that were found to be rewound, which isn't stored yet."""
        self._rewound: dict[str, int] = {}
        """Their last sequence then, until their consumers are mended."""
        self._told: set[tuple[str, str]] | None = None
        """Alarms that are raised, as reason and subject, by whatever process; None before the first look."""

    async def run(self) -> None:
        """Look in rounds, and soon after a reconnection or a lower acknowledgement."""
        await self._jetstream.open()
        loop = asyncio.get_running_loop()
        # Another registry may have looked since.
        self._told = None
        self._seen.clear()
        while True:
            due, reconnects = loop.time() + self._every_s, self._jetstream.reconnects
            try:
                await self.look()
            except TransientError as error:
                log.warning("streams_not_looked_at", error=str(error))
            while loop.time() < due and not self._relay.lower() and self._jetstream.reconnects == reconnects:
                await asyncio.sleep(_GLANCE_S)
                await self.tell_parked()

    async def look(self) -> None:
        """Compare every stream with what was known of it, and publish again what the lost ones should hold.

        Raises:
            TransientError: the broker or the database doesn't answer; the next look goes on.
        """
        if self._told is None:
            self._told = await self._store.read(_raised)
        known = await self._store.read(lambda transaction: transaction.stream_epochs.all())
        lower = self._relay.lower() | self._unnoted
        streams, silent = await self._jetstream.all()
        found = {name: Found(state.created, state.last_sequence) for name, state in streams.items()}
        verdicts = dict(judge(known, self._seen, found, silent=silent, lower=lower))
        for name, verdict in verdicts.items():
            if verdict is Verdict.REWOUND:
                self._unnoted.add(name)
                self._rewound[name] = min(
                    found[name].last_sequence, self._rewound.get(name, known[name].last_sequence)
                )
            if verdict.lost:
                # Before it is noted: what is noted then is only of the present stream.
                self._relay.restarted(name)
        await self._note(known, found, verdicts)
        self._unnoted.clear()
        self._seen.update({name: item.last_sequence for name, item in found.items()})
        done = set[str]()
        for name, verdict in verdicts.items():
            if name in found and (verdict.lost or (name in known and known[name].lost_at is not None)):
                await self._bring_back(name, found[name].last_sequence, done)

    async def _note(
        self, known: dict[str, StreamEpoch], found: dict[str, Found], verdicts: dict[str, Verdict]
    ) -> None:
        now = self._clock()
        changed = [
            StreamEpoch(name, found[name].created, found[name].last_sequence, now if verdict.lost else None)
            for name, verdict in verdicts.items()
            if verdict.lost or verdict is Verdict.NEW
        ]
        told = set() if self._told is None else set(self._told)
        lost = {name: verdict for name, verdict in verdicts.items() if verdict.lost or verdict is Verdict.MISSING}
        new = {name: verdict for name, verdict in lost.items() if verdict.lost or (STREAM_LOST, name) not in told}
        fine = {name for name, item in known.items() if item.lost_at is None} - lost.keys()
        over = sorted(name for name in fine if (STREAM_LOST, name) in told)

        def work(transaction: Transaction) -> None:
            for epoch in changed:
                transaction.stream_epochs.save(epoch)
            for name, verdict in new.items():
                self._raise(transaction, STREAM_LOST, name, _summary(name, verdict))
            for name in over:
                self._alarms.resolve(transaction, reason=STREAM_LOST, subject=name)

        if changed or new or over:
            await self._store.write(work)
            self._bell.ring()
        self._told = (told | {(STREAM_LOST, name) for name in lost}) - {(STREAM_LOST, name) for name in over}
        for name, verdict in new.items():
            log.error("stream_lost", stream=name, verdict=str(verdict))

    async def _bring_back(self, name: str, last: int, done: set[str]) -> None:
        try:
            await self._mend_consumers(name, self._rewound.get(name, last))
            await self._refill(name, done)
        except TransientError as error:
            # It stays lost until the next look, and the others are brought back.
            log.warning("stream_not_brought_back", stream=name, error=str(error))
            return
        self._rewound.pop(name, None)

    async def _refill(self, name: str, done: set[str]) -> None:
        count = await refill(self._store, name, now=self._clock(), done=done)

        def work(transaction: Transaction) -> None:
            epoch = transaction.stream_epochs.all().get(name)
            if epoch is not None:
                transaction.stream_epochs.save(StreamEpoch(name, epoch.created, epoch.last_sequence))

        await self._store.write(work)
        self._bell.ring()
        log.warning("stream_refilled", stream=name, events=count)

    async def _mend_consumers(self, name: str, last: int) -> None:
        """A consumer that was given more than the stream has now would wait for that number, and skip what is new."""
        for consumer in await self._jetstream.consumers(name):
            if consumer.delivered > last:
                await self._jetstream.reset(name, consumer.name)
                log.warning("consumer_reset", stream=name, consumer=consumer.name, delivered=consumer.delivered)

    async def tell_parked(self) -> None:
        """Raise and end the alarms of lanes that are parked, as soon as one look was made."""
        if self._told is None:
            return
        parked = self._relay.parked()
        long = {name: reason for name, (since, reason) in parked.items() if since >= self._parked_long_s}
        told = {subject for reason, subject in self._told if reason == LANE_PARKED}
        new, over = long.keys() - told, told - parked.keys()
        if not new and not over:
            return

        def work(transaction: Transaction) -> None:
            for name in sorted(new):
                self._raise(transaction, LANE_PARKED, name, f"stream {name} takes no events: {long[name]}")
            for name in sorted(over):
                self._alarms.resolve(transaction, reason=LANE_PARKED, subject=name)

        with suppress(TransientError):
            await self._store.write(work)
            self._bell.ring()
            self._told |= {(LANE_PARKED, name) for name in new}
            self._told -= {(LANE_PARKED, name) for name in over}

    def _raise(self, transaction: Transaction, reason: str, subject: str, summary: str) -> None:
        severity = Severity.CRITICAL if subject == subjects.CERTS else Severity.WARNING
        self._alarms.raise_(transaction, reason=reason, subject=subject, severity=severity, summary=summary)


def _raised(transaction: Transaction) -> set[tuple[str, str]]:
    found = transaction.alerts.open(source=SOURCE, reasons=(LANE_PARKED, STREAM_LOST))
    return {(item.reason, item.subject) for item in found}


def _summary(name: str, verdict: Verdict) -> str:
    match verdict:
        case Verdict.MISSING:
            return f"stream {name} is gone: declare the streams (python -m certkit.declare --apply)"
        case Verdict.REMADE:
            return f"stream {name} was made anew: what it should hold is published again"
        case _:
            # Measured: a server that found a damaged file acknowledges messages and drops them until it starts again.
            return (
                f"stream {name} lost its newest messages, and what it should hold is published again: look at the"
                " broker's disk, and restart the broker"
            )
