"""Shows the answers to challenges that the registry tells of, says what came of it, and removes them in time."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from certcore.challenges import unfit_challenge
from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.errors import CertbusError, PermanentError
from certcore.events import ChallengeShown, ChallengeWanted, Event
from certdelivery.reports import Reports
from certkit.bus import Handler
from certkit.failure_policy import describe
from certkit.registry_client import Listed
from syncer.domain.answer import Answer, Key, Outcome, Work, again_at, answer_of, report_of, work_on
from syncer.domain.answer_place import choose_place
from syncer.installed_places import BuiltPlace

__all__ = ["ChallengeSource", "Challenges", "Looks"]

log = structlog.get_logger()

_AT_ONCE: Final = 16
"""Of one place."""

_LONGEST_PAUSE: Final = timedelta(minutes=5)
_NOWHERE: Final = ""
"""Stands for the place of hosts for which no place is configured."""


class ChallengeSource(Protocol):
    """As `certkit.registry_client.RegistryClient`."""

    async def challenges(self) -> Listed[ChallengeWanted]:
        """What this site should show, and what it has still to say is removed.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the answer can't be read.
        """


class Looks(Protocol):
    async def problem(self, answer: Answer, servers: Sequence[str]) -> str:
        """What is wrong with what the servers answer; empty where nothing is."""


@dataclass
class _Item:
    """One challenge. `said` is what was reported last; `due` is when there is something to do.

    What is `over` is kept until the next list is asked for: a list that is under way may still name it.
    """

    wanted: ChallengeWanted
    place: str
    taken: int
    due: datetime
    failures: int = 0
    said: ChallengeShown | None = None
    over: bool = False


class Challenges:
    def __init__(
        self,
        *,
        site: str,
        places: Mapping[str, BuiltPlace],
        looks: Looks,
        source: ChallengeSource,
        reports: Reports,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._site = site
        self._places = places
        self._rules = {name: built.match for name, built in places.items()}
        self._looks = looks
        self._source = source
        self._reports = reports
        self._clock = clock
        self._jitter = jitter
        self._items: dict[Key, _Item] = {}
        self._taken = 0
        self._wake = {name: asyncio.Event() for name in (*places, _NOWHERE)}

    @property
    def handlers(self) -> Mapping[type[Event], Handler]:
        """What is consumed of DEPLOY_<place>."""
        return {ChallengeWanted: self.on_wanted}

    async def on_wanted(self, event: ChallengeWanted, _: Envelope) -> None:
        """Acknowledged as soon as it is in memory: after a crash all are read from the registry again.

        Raises:
            PermanentError: nothing can be made of it.
        """
        problem = _unfit(event)
        if problem is not None:
            raise PermanentError(f"a challenge can't be shown: {problem}")
        self._take(event)

    async def read(self) -> None:
        """A round: look again at everything, and take what no event told. What isn't listed stays until its end: a
        registry that was restored may have lost it, and what is to be removed is listed until it was.

        Raises:
            TransientError, PermanentError: the registry's list can't be read. What is known is looked at all the
                same.
        """
        began, now = self._taken, self._clock()
        self._items = {key: item for key, item in self._items.items() if not item.over}
        for item in self._items.values():
            item.due = min(item.due, now)
        self._wake_all()
        listed = await self._source.challenges()
        for wanted in listed.items:
            if (problem := _unfit(wanted)) is not None:
                log.error("challenge_refused", problem=problem)
                continue
            known = self._items.get(_key(wanted))
            # What an event told since the list was asked for is newer.
            if known is None or (known.taken <= began and known.wanted != wanted):
                self._take(wanted)

    async def run(self) -> None:
        """Work until cancelled. Each place has a turn of its own: one that hangs delays no other."""
        async with asyncio.TaskGroup() as group:
            for name in self._wake:
                group.create_task(self._serve(name), name=f"challenges {name or 'nowhere'}")

    async def close(self) -> None:
        for name, built in self._places.items():
            try:
                await built.place.close()
            except Exception as error:  # noqa: BLE001 # drivers come from other packages: the others are closed too
                log.warning("not_closed", place=name, error=describe(error))

    def _take(self, wanted: ChallengeWanted) -> None:
        key, place = _key(wanted), choose_place(wanted.host, self._rules) or _NOWHERE
        self._taken += 1
        # What was said before is said again: the registry tells again what it doesn't know to be shown.
        self._items[key] = _Item(wanted, place, self._taken, due=self._clock())
        log.info("challenge_taken", host=wanted.host, action=str(wanted.action), place=place)
        self._wake[place].set()

    def _wake_all(self) -> None:
        for event in self._wake.values():
            event.set()

    async def _serve(self, place: str) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def settled(item: _Item) -> None:
            async with slots:
                await self._settle(item)

        wake = self._wake[place]
        while True:
            wake.clear()
            now = self._clock()
            await asyncio.gather(*(settled(item) for item in self._under_way(place) if item.due <= now))
            ahead = [item.due for item in self._under_way(place)]
            pause = min([_LONGEST_PAUSE, *(at - self._clock() for at in ahead)])
            with suppress(TimeoutError):
                async with asyncio.timeout(max(pause.total_seconds(), 0)):
                    await wake.wait()

    def _under_way(self, place: str) -> list[_Item]:
        return [item for item in self._items.values() if item.place == place and not item.over]

    async def _settle(self, item: _Item) -> None:
        wanted, work = item.wanted, work_on(item.wanted, now=self._clock())
        outcome = await self._outcome(item, work)
        if self._items.get(_key(wanted)) is not item:
            # Something else is wanted by now, and will be settled after this.
            return
        item.failures = 0 if outcome.done(work) else item.failures + 1
        now = self._clock()
        item.due = again_at(wanted, work, outcome, failures=item.failures, jitter=self._jitter(), now=now)
        if work is not Work.REMOVE_ENDED and not await self._said(item, outcome):
            return
        item.over = work is not Work.SHOW and outcome.done(work)

    async def _outcome(self, item: _Item, work: Work) -> Outcome:
        """Whatever a place raises is what is said of it: drivers come from other packages, too."""
        answer = answer_of(item.wanted)
        built = self._places.get(item.place)
        if built is None:
            return Outcome(shown=False, problem="" if work is not Work.SHOW else self._way_out(answer.host))
        try:
            if work is not Work.SHOW:
                await built.place.remove(answer)
                return Outcome(shown=False)
            await built.place.show(answer)
        except Exception as error:  # noqa: BLE001 # as above: one that breaks must not end the others' work
            return Outcome(shown=work is not Work.SHOW, problem=f"{item.place}: {_described(error)}"[:500])
        problem = await self._looks.problem(answer, built.check_urls)
        return Outcome(shown=not problem, problem=f"{item.place}: {problem}" if problem else "")

    def _way_out(self, host: str) -> str:
        what = f"matches {host}" if self._places else "is configured"
        return f"no place {what} where the syncer of {self._site} could show it: add one to its `challenges`"

    async def _said(self, item: _Item, outcome: Outcome) -> bool:
        """Report it where it is news; False where that isn't known to be stored, and is to be tried again."""
        report = report_of(item.wanted, outcome)
        if report == item.said:
            return True
        try:
            await self._reports.challenge(report)
        except CertbusError as error:
            log.warning("challenge_not_reported", host=item.wanted.host, error=str(error))
            item.failures += 1
            item.due = self._clock() + timedelta(seconds=1)
            return False
        log.info("challenge_reported", host=report.host, shown=report.shown, detail=report.detail)
        item.said = report
        return True


def _described(error: Exception) -> str:
    return str(error) if isinstance(error, CertbusError) else describe(error)


def _key(wanted: ChallengeWanted) -> Key:
    return (wanted.host, wanted.challenge_token)


def _unfit(wanted: ChallengeWanted) -> str | None:
    return unfit_challenge(host=wanted.host, token=wanted.challenge_token, key_authorization=wanted.key_authorization)
