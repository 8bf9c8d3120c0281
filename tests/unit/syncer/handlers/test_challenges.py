"""What a syncer does about challenges: shown, said, tried again, removed; never what is older than what it knows."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from certcore.challenges import ChallengeAction
from certcore.cloudevents import Envelope
from certcore.errors import PermanentError, TransientError
from certcore.events import ChallengeShown, ChallengeWanted, Event
from certdelivery.reports import Reports
from certkit.registry_client import Listed
from syncer.domain.answer import Answer
from syncer.domain.answer_place import NotShownError
from syncer.handlers.challenges import Challenges
from syncer.installed_places import BuiltPlace

HOST: Final = "shop.example.org"
ENVELOPE: Final = Envelope(id="1", type="", source="", subject="")
REMOVE: Final = ChallengeAction.REMOVE


def wanted(number: int = 1, *, host: str = HOST, ends_in_s: float = 3600.0, **changes: Any) -> ChallengeWanted:
    token = f"{number:040d}"
    return ChallengeWanted(
        challenge_token=token,
        host=host,
        key_authorization=f"{token}.{'k' * 43}",
        expires_at=datetime.now(UTC) + timedelta(seconds=ends_in_s),
        **changes,
    )


@dataclass
class Shelf:
    """A place: what it shows by token."""

    shown: dict[str, str] = field(default_factory=dict)
    problem: Exception | None = None
    hangs: asyncio.Event | None = None

    async def show(self, answer: Answer) -> None:
        await self._may()
        self.shown[answer.token] = answer.key_authorization

    async def remove(self, answer: Answer) -> None:
        await self._may()
        self.shown.pop(answer.token, None)

    async def close(self) -> None:
        pass

    async def _may(self) -> None:
        if self.hangs is not None:
            await self.hangs.wait()
        if self.problem is not None:
            raise self.problem


@dataclass
class Looks:
    wrong: str = ""

    async def problem(self, answer: Answer, servers: Sequence[str]) -> str:  # noqa: ARG002 # a fake
        return self.wrong if servers else ""


@dataclass
class Registry:
    """The level, and what was reported."""

    level: list[ChallengeWanted] = field(default_factory=list)
    meanwhile: Callable[[], Any] | None = None
    said: list[ChallengeShown] = field(default_factory=list)
    away: int = 0

    async def challenges(self) -> Listed[ChallengeWanted]:
        found = list(self.level)
        if self.meanwhile is not None:
            await self.meanwhile()
        return Listed(found, complete=True)

    async def publish(self, event: Event, *, about: str) -> None:
        assert len(about) == 32
        if self.away:
            self.away -= 1
            raise TransientError("the bus is away")
        assert isinstance(event, ChallengeShown)
        self.said.append(event)

    def lines(self) -> list[tuple[str, bool, str]]:
        return [(str(event.action), event.shown, event.detail) for event in self.said]


@dataclass
class Scene:
    challenges: Challenges
    registry: Registry
    shelf: Shelf
    looks: Looks

    async def hear(self, event: ChallengeWanted) -> None:
        await self.challenges.on_wanted(event, ENVELOPE)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 # what a fake holds has no event
                await asyncio.sleep(0.005)

    async def said(self, number: int) -> list[tuple[str, bool, str]]:
        await self.until(lambda: len(self.registry.said) >= number)
        return self.registry.lines()


@asynccontextmanager
async def scene(places: dict[str, BuiltPlace] | None = None, *, checked: bool = False) -> AsyncIterator[Scene]:
    shelf, registry, looks = Shelf(), Registry(), Looks()
    built = {"edge": BuiltPlace(shelf, (), ("http://127.0.0.1",) if checked else ())} if places is None else places
    challenges = Challenges(
        site="fra1",
        places=built,
        looks=looks,
        source=registry,
        reports=Reports(registry, place="fra1"),
        clock=lambda: datetime.now(UTC),
        # The first pause is half a second.
        jitter=lambda: 1.0,
    )
    task = asyncio.create_task(challenges.run())
    try:
        yield Scene(challenges, registry, shelf, looks)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await challenges.close()


async def test_what_is_wanted_is_shown_and_said_and_removed_and_said() -> None:
    async with scene() as here:
        event = wanted()
        await here.hear(event)
        assert await here.said(1) == [("show", True, "")]
        assert here.shelf.shown == {event.challenge_token: event.key_authorization}
        await here.hear(event.model_copy(update={"action": REMOVE}))
        assert (await here.said(2))[1:] == [("remove", False, "")]
        assert here.shelf.shown == {}


async def test_the_same_again_is_said_again_as_the_registry_misses_it() -> None:
    async with scene() as here:
        event = wanted()
        for number in (1, 2, 3):
            await here.hear(event)
            assert await here.said(number) == [("show", True, "")] * number


async def test_a_place_that_is_away_is_said_once_and_tried_again() -> None:
    async with scene() as here:
        here.shelf.problem = NotShownError("/run/haproxy.sock: no answer in 5 s")
        await here.hear(wanted())
        assert await here.said(1) == [("show", False, "edge: /run/haproxy.sock: no answer in 5 s")]
        here.shelf.problem = None
        assert (await here.said(2))[1:] == [("show", True, "")]


async def test_a_driver_that_breaks_ends_nobody_else_s_work() -> None:
    broken, well = Shelf(problem=ValueError("secret words")), Shelf()
    places = {"broken": BuiltPlace(broken, ("*.broken.test",), ()), "well": BuiltPlace(well, (), ())}
    async with scene(places) as here:
        await here.hear(wanted(1, host="a.broken.test"))
        await here.hear(wanted(2))
        found = await here.said(2)
        assert ("show", True, "") in found
        assert sorted(shown for _, shown, _ in found) == [False, True]


async def test_a_place_that_hangs_delays_no_other() -> None:
    stuck, well = Shelf(hangs=asyncio.Event()), Shelf()
    places = {"stuck": BuiltPlace(stuck, ("*.stuck.test",), ()), "well": BuiltPlace(well, (), ())}
    async with scene(places) as here:
        await here.hear(wanted(1, host="a.stuck.test"))
        await here.hear(wanted(2))
        assert await here.said(1) == [("show", True, "")]
        assert stuck.hangs is not None
        stuck.hangs.set()
        assert len(await here.said(2)) == 2


async def test_it_counts_as_shown_only_when_the_site_s_own_server_answers_right() -> None:
    async with scene(checked=True) as here:
        here.looks.wrong = "http://127.0.0.1 answers the challenge of shop.example.org with 404"
        await here.hear(wanted())
        assert await here.said(1) == [("show", False, f"edge: {here.looks.wrong}")]
        here.looks.wrong = ""
        assert (await here.said(2))[1:] == [("show", True, "")]


async def test_where_nothing_is_configured_the_way_out_is_said() -> None:
    async with scene({}) as here:
        event = wanted()
        await here.hear(event)
        [(_, shown, detail)] = await here.said(1)
        assert (shown, detail) == (
            False,
            "no place is configured where the syncer of fra1 could show it: add one to its `challenges`",
        )
        await here.hear(event.model_copy(update={"action": REMOVE}))
        assert (await here.said(2))[1:] == [("remove", False, "")]


async def test_what_is_over_is_removed_though_nobody_says_so() -> None:
    async with scene() as here:
        await here.hear(wanted(1, ends_in_s=0.3))
        await here.hear(wanted(2))
        await here.until(lambda: len(here.shelf.shown) == 2)
        await here.until(lambda: list(here.shelf.shown) == [wanted(2).challenge_token])
        # The registry knows the time as well: nothing is said of it.
        assert await here.said(2) == [("show", True, "")] * 2


async def test_a_report_that_was_not_stored_is_made_again() -> None:
    async with scene() as here:
        here.registry.away = 1
        await here.hear(wanted())
        assert await here.said(1) == [("show", True, "")]


async def test_after_a_start_the_level_tells_what_no_event_does() -> None:
    async with scene() as here:
        gone = wanted(2).model_copy(update={"action": REMOVE})
        here.shelf.shown[gone.challenge_token] = gone.key_authorization
        here.registry.level = [wanted(1), gone]
        await here.challenges.read()
        assert sorted(await here.said(2)) == [("remove", False, ""), ("show", True, "")]
        assert list(here.shelf.shown) == [wanted(1).challenge_token]


async def test_a_round_puts_back_what_was_lost_and_says_nothing_new() -> None:
    async with scene() as here:
        event = wanted()
        here.registry.level = [event]
        await here.challenges.read()
        await here.said(1)
        here.shelf.shown.clear()
        await here.challenges.read()
        await here.until(lambda: bool(here.shelf.shown))
        assert len(here.registry.said) == 1


async def test_what_a_registry_lost_stays_until_its_time_is_over() -> None:
    async with scene() as here:
        await here.hear(wanted(1, ends_in_s=1.0))
        await here.said(1)
        here.shelf.shown.clear()
        await here.challenges.read()
        # Looked at again, and put back.
        await here.until(lambda: bool(here.shelf.shown))
        await here.until(lambda: not here.shelf.shown)


async def test_a_list_that_is_older_than_an_event_changes_nothing() -> None:
    async with scene() as here:
        event = wanted()
        await here.hear(event)
        await here.said(1)
        here.registry.level = [event]
        gone = event.model_copy(update={"action": REMOVE})

        async def meanwhile() -> None:
            await here.hear(gone)
            await here.said(2)
            # Its successor comes, too.
            await here.hear(wanted(2))
            await here.said(3)

        here.registry.meanwhile = meanwhile
        await here.challenges.read()
        # What comes after everything that the list brought.
        await here.hear(wanted(3))
        await here.until(lambda: wanted(3).challenge_token in here.shelf.shown)
        assert here.shelf.shown.keys() == {wanted(2).challenge_token, wanted(3).challenge_token}


@pytest.mark.parametrize(
    "change",
    [
        {"challenge_token": "../../etc/passwd-and-so-on"},
        {"challenge_token": "short"},
        {"key_authorization": "x"},
        {"host": "a b"},
    ],
)
async def test_what_could_be_more_than_a_word_is_set_aside(change: dict[str, str]) -> None:
    async with scene() as here:
        event = wanted().model_copy(update=change)
        with pytest.raises(PermanentError, match="can't be shown"):
            await here.hear(event)
        here.registry.level = [event, wanted(2)]
        await here.challenges.read()
        await here.said(1)
        assert list(here.shelf.shown) == [wanted(2).challenge_token]
