"""The registry is restored from a copy that is some renewals old, beside sites that run on."""

import asyncio
import os
import re
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from certkit.background import end_tasks
from certlocal.services import SITES
from tests.holds.figures import Figure
from tests.holds.fleet import Fleet

__all__ = ["restored_copy", "watching_delivered"]

_REVISION: Final = re.compile(r"revision-(\d+)")
_RENEWALS: Final = 3


async def restored_copy(fleet: Fleet, *, count: int, unknown: int) -> list[Figure]:
    """`count` certificates are three revisions further than the copy, `unknown` ones came after it.

    The copy is made and put back by the registry's own commands.
    """
    names = [f"restored-{number}" for number in range(count)]
    await fleet.request_all(names)
    await fleet.live(names)
    copies = fleet.system.home.path("copies")
    assert (await _registry(fleet, "backup", "--to", str(copies)))[0] == 0
    [copy] = map(str, copies.iterdir())
    for revision in range(2, _RENEWALS + 2):
        await fleet.renew(names)
        await fleet.live(names, revision=revision)
    later = [f"after-the-copy-{number}" for number in range(unknown)]
    await fleet.request_all(later)
    await fleet.live(later)
    orders = await fleet.one_order_each()
    async with watching_delivered(fleet) as older:
        refused = await _registry(fleet, "restore", copy, "--older")
        assert refused[0] == 1, refused
        assert "in use" in refused[1]
        await fleet.system.hold("registry")
        began = time.monotonic()
        restored = await _registry(fleet, "restore", copy, "--older")
        assert restored[0] == 0, restored
        await fleet.system.release("registry")
        await fleet.live(names, revision=_RENEWALS + 1)
        await fleet.well(names)
        took = time.monotonic() - began
        assert len(fleet.system.pebble.finalized_orders()) == orders, "ordered again what is valid"
        kept = [name for name in later if not _serves(fleet, name)]
        assert not kept, f"withdrawn at a site because the registry doesn't know them: {kept}"
        fleet.names = [name for name in fleet.names if name not in later]
        # And it goes on from the highest.
        await fleet.renew(names[:2])
        await fleet.live(names[:2], revision=_RENEWALS + 2)
        assert len(fleet.system.pebble.finalized_orders()) == orders + len(names[:2])
    assert not older, f"an older revision over a newer one: {older}"
    figure = Figure(
        f"registry restored from a copy {_RENEWALS} renewals old ({count} certificates): all ok", took, 120.0
    )
    return [figure, Figure("  orders finalized at the CA for what was valid", 0.0, 0.0, unit="")]


async def _registry(fleet: Fleet, *arguments: str) -> tuple[int | None, str]:
    """Run a command of the registry with the settings of the service; its exit code, and all that it says."""
    service = fleet.system.services["registry"].process
    environment = {**os.environ, **service.env}
    command = await asyncio.create_subprocess_exec(
        *service.argv, *arguments, env=environment, stdout=PIPE, stderr=STDOUT
    )
    told, _ = await command.communicate()
    return command.returncode, told.decode()


@asynccontextmanager
async def watching_delivered(fleet: Fleet) -> AsyncIterator[list[str]]:
    """Look at the delivered files of every site all the time; yields each that went back to an older revision."""
    highest: dict[Path, int] = {}
    older: list[str] = []
    stores = [fleet.system.delivered_files(site, "any").parents[1] for site in SITES]

    async def look() -> None:
        while True:
            for link in [
                Path(folder, "current") for store in stores if store.exists() for folder in os.scandir(store)
            ]:
                revision = _revision(link)
                if revision is None:
                    continue
                if revision < highest.get(link, 0):
                    older.append(f"{link}: {highest[link]} → {revision}")
                highest[link] = revision
            await asyncio.sleep(0.25)

    looking = asyncio.create_task(look())
    try:
        yield older
        assert not looking.done(), "the look at the delivered files broke off"
    finally:
        await end_tasks([looking])


def _revision(link: Path) -> int | None:
    try:
        found = _REVISION.match(str(link.readlink()))
    except OSError:
        return None
    return int(found[1]) if found else None


def _serves(fleet: Fleet, name: str) -> bool:
    return any(_revision(fleet.system.delivered_files(site, name)) for site in SITES)
