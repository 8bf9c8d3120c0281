"""A list, a round, a request and a report cost the same however many certificates are stored.

Counted in instructions of SQLite's virtual machine: they are the same in every run, and show a table that is looked
through, a sort of all rows, or a page that is found by passing all before it.
"""

from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.integration.registry.costs import Cost, counting, steps
from tests.integration.registry.many_rows import UNDER_WAY, ManyRows, copyable
from tests.integration.registry.world import MIGRATIONS, NOON, a_database

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

FEW: Final = 1000
MANY: Final = 4000
ROOM: Final = 1.3
"""Trees grow a level, and pages are cut elsewhere."""
LEAST: Final = 2.0
"""Thousands of instructions that are no difference."""
COUNTED: Final = ("GET /v1/sites", "GET /list")
"""They count all placements of each site, in an index that has all that is counted."""
A_PLACEMENT: Final = 0.025
"""Thousands of instructions to count one."""


async def costs(folder: Path, number: int, *, under_way: int = UNDER_WAY) -> dict[str, Cost]:
    with counting() as of:
        database = a_database(f"sqlite:///{folder / f'{number}-{under_way}.db'}")
        try:
            await database.upgrade(MIGRATIONS)
            rows = ManyRows(copyable(database, now=NOON))
            await rows.begin(under_way=under_way)
            await rows.up_to(number)
            found = await steps(copyable(database, now=NOON, first=10**12), number)
            return {step.name: await of(step.work) for step in found}
        finally:
            await database.close()


FILTERED: Final = "GET /v1/certificates?limit=50&"
"""What each condition finds is counted first, up to a bound."""
A_ROW: Final = 0.008
CONDITIONS: Final = 3


def allowed(name: str, few: Cost) -> float:
    room = max(few.instructions * ROOM, few.instructions + LEAST)
    if name.startswith(FILTERED):
        room += (MANY - FEW) * A_ROW * CONDITIONS
    return room + (MANY - FEW) * 2 * A_PLACEMENT if name.startswith(COUNTED) else room


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def few(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cost]:
    return await costs(tmp_path_factory.mktemp("few"), FEW)


async def test_nothing_costs_more_with_more_certificates(tmp_path: Path, few: dict[str, Cost]) -> None:
    many = await costs(tmp_path, MANY)
    grown = {
        name: (one.instructions, many[name].instructions)
        for name, one in few.items()
        if many[name].instructions > allowed(name, one)
    }
    assert grown == {}
    assert {name: cost.statements for name, cost in many.items()} == {
        name: cost.statements for name, cost in few.items()
    }


async def test_no_list_costs_more_with_more_certificates_under_way(tmp_path: Path, few: dict[str, Cost]) -> None:
    many = await costs(tmp_path, FEW + 3 * 19 * UNDER_WAY, under_way=20 * UNDER_WAY)
    grown = {
        name: (one.instructions, many[name].instructions)
        for name, one in few.items()
        if name.startswith("GET ") and many[name].instructions > allowed(name, one)
    }
    assert grown == {}
    lists = [name for name in few if name.startswith("GET ")]
    assert {name: many[name].statements for name in lists} == {name: few[name].statements for name in lists}
