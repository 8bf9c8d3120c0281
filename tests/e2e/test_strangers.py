"""Ports that somebody else has: the local system takes others, or says who is in its way; it shows him no token."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from certbus.errors import CommandError
from certlocal.errors import PortTakenError
from certlocal.home import Home
from certlocal.local_ca import LocalCa
from certlocal.system import LocalSystem
from tests.e2e.rounds import ask, until
from tests.e2e.strangers import Stranger, stranger
from tests.fork_server import fork_server

pytestmark = pytest.mark.e2e


def _system(folder: Path) -> LocalSystem:
    return LocalSystem(Home(folder), kubernetes=False, tell=print, start=fork_server())


async def test_a_system_gives_way_to_a_stranger_names_a_late_one_and_trusts_none(tmp_path: Path) -> None:
    # Before the choice: another port is taken.
    early = _system(tmp_path).registry_port
    with stranger(early) as seen:
        system = _system(tmp_path)
        assert system.registry_port != early

        # Between the choice and the start: the stranger is named, and the next start takes another port.
        with stranger(system.registry_port) as late:
            try:
                with pytest.raises(PortTakenError, match=f"registry needs port {system.registry_port} of 127.0.0.1"):
                    await system.start()
            finally:
                await system.stop()
            again = _system(tmp_path)
            assert again.registry_port not in {early, system.registry_port}
            try:
                await again.start()
                assert await ask(again, "alice", lambda registry: list(registry.sites()))
                await _a_stranger_that_follows_the_registry_is_shown_nothing(again, tmp_path / "stranger")
            finally:
                await again.stop()
    assert (seen.paths, late.paths) == ([], [])


async def _a_stranger_that_follows_the_registry_is_shown_nothing(system: LocalSystem, folder: Path) -> None:
    """Whether it speaks plain text, or TLS by a certificate of a CA of its own."""
    await system.hold("registry")
    for pair in (None, LocalCa(folder).server("registry")):
        with stranger(system.registry_port, shows=pair) as seen:
            with system.connect("admin") as registry, pytest.raises(CommandError, match="can't be reached"):
                list(registry.sites())
            # Nor by the command, in the same folder.
            home = {**os.environ, "CERTBUS_HOME": str(system.home.folder)}
            command = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "certbus", "cert", "list"), env=home, stderr=asyncio.subprocess.PIPE
            )
            _, told = await command.communicate()
            assert b"can't be reached" in told
            await _asked_by_a_service(system, seen)
            assert (seen.paths, seen.secrets) == ([], [])
    await system.release("registry")

    async def answered() -> bool:
        with system.connect("admin") as registry:
            return bool(list(registry.sites()))

    await until(answered, "the registry's answer")


async def _asked_by_a_service(system: LocalSystem, seen: Stranger) -> None:
    # At its start the monitor reads what it should watch.
    before = seen.visits
    await system.kill("monitor")

    async def visited() -> bool:
        return seen.visits > before

    await until(visited, "the monitor's question")
