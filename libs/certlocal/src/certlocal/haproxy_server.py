"""HAProxy as Debian ships it, with a master process that can be told to reload."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from certlocal.debian import debian_program
from certlocal.errors import LocalError, ProcessFailedError
from certlocal.process import ChildProcess
from certlocal.tools import Tell

__all__ = ["HaproxyServer", "haproxy_program"]

_SOCKET_PATH_LIMIT: Final = 107  # sun_path of unix(7), less its closing zero
_WORKER: Final = re.compile(r"^(\d+)\s+worker\s", re.MULTILINE)
_FAILED: Final = re.compile(r"failed: (\d+)")


def haproxy_program(tell: Tell = print) -> Path:
    """Where HAProxy is; installed as Debian's package where that is possible and was not done.

    Raises:
        PartMissingError: it is not installed, and can't be from here.
    """
    return debian_program("haproxy", package="haproxy", tell=tell)


class HaproxyServer:
    def __init__(self, *, folder: Path, configuration: str, ports: Sequence[int] = (), tell: Tell = print) -> None:
        """`folder` gets the master's socket, so its path must be short. `ports` are those of the configuration.

        HAProxy shares its ports with whoever asks for that too, such as another HAProxy: one that it shares is
        not taken for ready.

        Raises:
            PartMissingError: HAProxy is not installed, and can't be from here.
            LocalError: the folder's path is too long.
        """
        self.configuration = configuration
        self.configuration_file = folder / "haproxy.cfg"
        self.master_socket = folder / "master.sock"
        self._folder = folder
        if len(os.fsencode(self.master_socket)) > _SOCKET_PATH_LIMIT:
            raise LocalError(f"{folder} is too long a path for a unix socket: give a shorter folder")
        self.process = ChildProcess(
            name="haproxy",
            argv=[
                str(haproxy_program(tell)),
                *("-W", "-S", str(self.master_socket)),
                *("-f", str(self.configuration_file)),
            ],
            log_path=folder / "haproxy.log",
            cwd=folder,
            ports=ports,
        )

    async def start(self) -> None:
        """Start it and wait until its worker, which holds the listening sockets, is there.

        Raises:
            ProcessFailedError: it refuses the configuration, or can't be started here.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self.configuration_file.write_text(self.configuration)
        self.master_socket.unlink(missing_ok=True)
        self.process.start()

        async def has_worker() -> bool:
            return _workers(await self._ask("show proc")) != set()

        await self.process.wait_ready(has_worker)

    async def stop(self) -> None:
        # SIGTERM ends the worker at once; a soft stop would wait for idle clients.
        await self.process.stop(grace_s=5.0)

    async def reload(self, *, timeout_s: float = 10.0) -> None:
        """Have a new worker read the configuration file again; the old one finishes its connections.

        Raises:
            ProcessFailedError: the new configuration is refused (the old worker goes on serving).
        """
        before = await self._ask("show proc")
        # 2.6 answers a reload with nothing at all, so success shows only in the list of processes.
        with contextlib.suppress(OSError):
            await self._ask("reload")
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, TimeoutError):
                now = await self._ask("show proc")
                if _failed(now) > _failed(before):
                    break
                if _workers(now) and not _workers(now) <= _workers(before):
                    return
            await asyncio.sleep(0.02)
        raise ProcessFailedError(f"haproxy did not reload; its log ends in:\n{self.process.last_lines()}")

    async def _ask(self, command: str) -> str:
        reader, writer = await asyncio.open_unix_connection(self.master_socket)
        try:
            writer.write(command.encode() + b"\n")
            # Without the half-close, 2.6 keeps the connection open and the read never ends.
            writer.write_eof()
            return (await asyncio.wait_for(reader.read(), 5.0)).decode()
        finally:
            writer.close()


def _workers(processes: str) -> set[str]:
    """Workers that serve; those that only finish old connections are listed further down."""
    return set(_WORKER.findall(processes.partition("# old workers")[0]))


def _failed(processes: str) -> int:
    found = _FAILED.search(processes)
    return int(found[1]) if found else 0
