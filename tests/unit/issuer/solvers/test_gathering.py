import asyncio
from collections.abc import Sequence

import pytest

from issuer.domain.errors import SolverError
from issuer.solvers.rfc2136.gathering import Change, Gathering, RefusedUpdateError


class Server:
    """Takes UPDATEs, except those with a name of `refused`; while `away`, it answers nothing."""

    def __init__(self, *, refused: Sequence[str] = (), away: bool = False) -> None:
        self.batches: list[list[str]] = []
        self._refused = refused
        self._away = away

    async def update(self, zone: str, changes: Sequence[Change]) -> None:  # noqa: ARG002
        names = [change.name for change in changes]
        self.batches.append(names)
        await asyncio.sleep(0)
        if self._away:
            raise SolverError("away")
        if set(names) & set(self._refused):
            raise RefusedUpdateError("refused")

    @property
    def gathering(self) -> Gathering:
        return Gathering(self.update, window_s=0.0, most=10)


def change(name: str) -> Change:
    return Change(name, "value", add=True)


async def sent(gathering: Gathering, *names: str) -> list[object]:
    waiting = [done for name in names for done in gathering.add("zone.", [change(name)])]
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_comes_together_is_sent_together() -> None:
    server = Server()
    assert await sent(server.gathering, "a", "b", "c") == [None] * 3
    assert server.batches == [["a", "b", "c"]]


async def test_a_batch_is_of_bounded_size() -> None:
    server = Server()
    gathering = server.gathering
    await asyncio.gather(*gathering.add("zone.", [change(f"n{number}") for number in range(25)]))
    assert [len(batch) for batch in server.batches] == [10, 10, 5]


async def test_whoever_is_on_the_way_is_waited_for() -> None:
    server = Server()
    gathering = server.gathering
    with gathering.announced():
        first = gathering.add("zone.", [change("a")])
        for _ in range(20):
            await asyncio.sleep(0)
        second = gathering.add("zone.", [change("b")])
    await asyncio.gather(*first, *second)
    assert server.batches == [["a", "b"]]


async def test_zones_are_updated_apart() -> None:
    server = Server()
    gathering = server.gathering
    await asyncio.gather(*gathering.add("one.", [change("a")]), *gathering.add("two.", [change("b")]))
    assert server.batches == [["a"], ["b"]]


async def test_a_refused_name_holds_up_no_other() -> None:
    server = Server(refused=["c"])
    results = await sent(server.gathering, "a", "b", "c", "d", "e")
    assert [isinstance(result, RefusedUpdateError) for result in results] == [False, False, True, False, False]
    assert len(server.batches) <= 7


async def test_a_server_that_refuses_everything_is_not_asked_for_each_name() -> None:
    server = Server(refused=[f"n{number}" for number in range(100)])
    gathering = Gathering(server.update, window_s=0.0, most=100)
    results = await sent(gathering, *(f"n{number}" for number in range(100)))
    assert all(isinstance(result, RefusedUpdateError) for result in results)
    assert len(server.batches) == 12


async def test_a_server_that_is_away_is_asked_once() -> None:
    server = Server(away=True)
    assert [str(result) for result in await sent(server.gathering, "a", "b")] == ["away"] * 2
    assert server.batches == [["a", "b"]]


async def test_whoever_went_away_meanwhile_takes_nothing_from_the_others() -> None:
    server = Server()
    gathering = server.gathering
    gone, [stays] = gathering.add("zone.", [change("a")]), gathering.add("zone.", [change("b")])
    gone[0].cancel()
    await stays
    await gathering.end()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_fault_of_our_own_leaves_nobody_waiting() -> None:
    async def broken(_: str, __: Sequence[Change]) -> None:
        raise ZeroDivisionError

    gathering = Gathering(broken, window_s=0.0, most=10)
    [done] = gathering.add("zone.", [change("a")])
    with pytest.raises(SolverError, match="broke off"):
        await done
