"""A home that the commit before placements, generations and variants made goes on with this one."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from certcore.api import CertificateState
from certcore.conditions import Health
from certlocal.process import execute
from certlocal.system import LocalSystem
from tests.e2e.running import running_system
from tests.patience import HANG_S

_ROOT: Final = Path(__file__).parents[3]
_BEFORE: Final = "c4ee184"


@contextmanager
def _checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """The tree of a commit, beside this one."""
    git = ["git", "-C", str(_ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def _issued(home: Path) -> dict[str, tuple[int, str]]:
    """The newest revision of each certificate and its serial, as the registry's database has them."""
    query = (
        "SELECT c.name, r.number, r.serial FROM certificate c JOIN revision r ON r.certificate_id = c.id"
        " ORDER BY r.number"
    )
    (database,) = home.glob("**/registry.db")
    with closing(sqlite3.connect(database)) as connection:
        return {name: (number, serial) for name, number, serial in connection.execute(query)}


async def _started(home: Path) -> tuple[dict[str, tuple[int, str]], int]:
    """Start this version in the home: what is live then, and how many orders the CA finalized ever."""
    async with running_system(home, start=execute) as system:
        return await _all_well(system), len(system.pebble.finalized_orders())


def _start(home: Path) -> tuple[dict[str, tuple[int, str]], int]:
    return asyncio.run(_started(home))


async def _all_well(system: LocalSystem) -> dict[str, tuple[int, str]]:
    """Wait until every certificate is live and well; its revision and serial."""
    deadline = time.monotonic() + HANG_S
    while True:
        with system.connect() as registry:
            views = [registry.certificate(item.name) for item in list(registry.certificates())]
        if all((view.state, view.health) == (CertificateState.LIVE, Health.OK) for view in views):
            return {view.name: (view.revision.number, view.revision.serial) for view in views if view.revision}
        assert time.monotonic() < deadline, [
            (view.name, view.state, view.health, view.health_reason) for view in views
        ]
        await asyncio.sleep(0.2)


def test_what_was_live_is_live_and_nothing_is_issued_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with _checked_out(_BEFORE, tmp_path / "before") as tree:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        subprocess.run(["make", "run", "ONCE=1", f"CERTBUS_HOME={home}"], cwd=tree, env=environment, check=True)
    before = _issued(home)
    assert len(before) >= 3

    # In a process of its own: a launcher keeps its ports until it ends, and the second start needs them.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as launcher:
        after, finalized = launcher.submit(_start, home).result()
    assert after == before
    assert finalized == sum(number for number, _ in before.values())
    certbus = Path(sys.executable).parent / "certbus"
    subprocess.run([certbus, "run", "--once"], env={**os.environ, "CERTBUS_HOME": str(home)}, check=True)
