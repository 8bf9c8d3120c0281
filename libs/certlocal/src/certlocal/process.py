"""A child process: logged into a file, stopped with all that it started, never outliving its parent."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from certcore.instance import INSTANCE_VARIABLE
from certlocal import parent_guard
from certlocal.errors import LocalError, PartMissingError, PortTakenError, ProcessFailedError
from certlocal.listeners import holder, listeners, opened_by_session

__all__ = ["Check", "ChildProcess", "Program", "Start", "Started", "execute"]

Check = Callable[[], Awaitable[bool]]
"""Whether a server answers as it should. Raising OSError or TimeoutError counts as: not yet."""


@dataclass(frozen=True)
class Program:
    """What is to run: `argv` begins with the program's path, `env` is all of its environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path | None
    log_path: Path
    """Both outputs are added to this file."""


class Started(Protocol):
    """A process that leads a session of its own."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Its exit code; None while it runs, negative where a signal ended it."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait so many seconds for its exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """


Start = Callable[[Program], Started]

_POLL_S: Final = 0.02
_TAIL_BYTES: Final = 16 * 1024


class ChildProcess:
    """One program, which may be started again after it ended.

    It belongs to no event loop, so that it may be started in one and stopped in another. Start it from a thread that
    lives as long as the parent (the main thread): the kernel ends a child with the thread that made it.
    """

    def __init__(
        self,
        *,
        name: str,
        argv: Sequence[str],
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ports: Sequence[int] = (),
        start: Start | None = None,
    ) -> None:
        """`env` is added to the parent's environment. At `ports` of 127.0.0.1 it must listen to be ready (TCP).
        `start` is `execute`, or does the same in another way.
        """
        self.name = name
        self.argv = tuple(argv)
        self.log_path = log_path
        self.ports = tuple(ports)
        self.instance = secrets.token_hex(16)
        """What a service of ours answers to show that it is this process: see `certcore.instance`."""
        self.env = {**(env or {}), INSTANCE_VARIABLE: self.instance}
        self._cwd = cwd
        self._start = start or execute
        self._process: Started | None = None
        self._log_start = 0

    def start(self) -> None:
        """Start it in a session of its own: the terminal's Ctrl-C reaches only the parent.

        Raises:
            PartMissingError: there is no such program.
        """
        if self.alive:
            return
        path = shutil.which(self.argv[0])
        if path is None:
            raise PartMissingError(f"{self.name}: there is no program {self.argv[0]}")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        program = Program((path, *self.argv[1:]), {**_environment(), **self.env}, self._cwd, self.log_path)
        self._process = self._start(program)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """None while it runs, and before its first start; negative where a signal ended it."""
        return self._process.poll() if self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def wait_ready(self, check: Check | None = None, *, timeout_s: float = 90.0) -> None:
        """Wait until it alone listens at its ports, then ask `check` until it says yes.

        Raises:
            PortTakenError: as below, and another program listens at one of its ports.
            ProcessFailedError: it ended, or was not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            if not self.alive:
                raise self._failure(self._ending())
            # Who else listens there is not even asked.
            if self._has_its_ports():
                if check is None:
                    return
                with suppress(OSError, TimeoutError):
                    if await asyncio.wait_for(check(), max(0.1, deadline - time.monotonic())):
                        return
            if time.monotonic() >= deadline:
                raise self._failure(f"was not ready after {timeout_s:g} s")
            await asyncio.sleep(_POLL_S)

    async def wait(self, *, timeout_s: float) -> int | None:
        """Wait until it ends; None where it still runs then."""
        deadline = time.monotonic() + timeout_s
        while self.alive and time.monotonic() < deadline:  # noqa: ASYNC110 # no event tells of a child's end
            await asyncio.sleep(_POLL_S)
        return self.returncode

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """Ask it to end by SIGTERM, then kill what is left of its group. Harmless where it is not running."""
        if self._process is None:
            return
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)
            await self.wait(timeout_s=grace_s)
        self.kill()
        await self.wait(timeout_s=5.0)

    def kill(self) -> None:
        """SIGKILL it and everything of its group, at once."""
        if self._process is None:
            return
        # The group's number stays taken while one of its members lives, so this can't hit strangers.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5.0)

    def last_lines(self, count: int = 15) -> str:
        """The end of its log since it was last started."""
        try:
            with self.log_path.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, end - _TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-count:])

    def _has_its_ports(self) -> bool:
        if sys.platform != "linux":
            # Nothing tells elsewhere; a server whose port is taken ends, and is found out by that.
            return True
        found = [listeners(port) for port in self.ports]
        return all(found) and all(self._owns(sockets) for sockets in found)

    def _owns(self, sockets: frozenset[int]) -> bool:
        return self._process is not None and opened_by_session(sockets, self._process.pid)

    def _failure(self, what: str) -> LocalError:
        if sys.platform == "linux":
            for port in self.ports:
                sockets = listeners(port)
                if sockets and not self._owns(sockets):
                    return PortTakenError(
                        f"{self.name} needs port {port} of 127.0.0.1, where {holder(sockets)} listens: "
                        f"stop that, or start again{self._told()}"
                    )
        return ProcessFailedError(f"{self.name} {what}{self._told()}")

    def _ending(self) -> str:
        code = self.returncode
        if code is None:
            return "was never started"
        return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"

    def _told(self) -> str:
        lines = self.last_lines()
        return f"; its log {self.log_path} ends in:\n{lines}" if lines else f"; its log {self.log_path} is empty"


def execute(program: Program) -> Started:
    """Fork and exec it; it is killed when this process ends."""
    guard = [sys.executable, "-I", "-S", parent_guard.__file__, str(os.getpid())]
    with program.log_path.open("ab") as log:
        return subprocess.Popen(
            [*guard, *program.argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=program.env,
            cwd=program.cwd,
            start_new_session=True,
        )


def _environment() -> dict[str, str]:
    # A child that may keep no compiled modules spends most of its start on compiling them.
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
