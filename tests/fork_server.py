"""Starts our services by fork, from a process that has loaded them: loading takes most of a start's CPU time.

ChildProcess(name="registry", argv=[sys.executable, "-m", "registry"], log_path=…, start=fork_server())
code, out, err = await ended("issuer", "forecast", env={…})

What is forked runs the same `__main__` as `python -m`. /proc shows the command line and the environment of the fork
server, so a test that looks there starts its services as an operator does. This file is also the server:
`python -m tests.fork_server DESCRIPTOR`.
"""

import asyncio
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from certlocal.process import Program, Start, Started, execute
from tests.patience import HANG_S

__all__ = ["ended", "fork_server"]

_LOADED: Final = ("registry.app", "issuer.app", "issuer.escrow_app", "syncer.app", "cdn_pusher.app", "monitor.app")
_SERVICES: Final = frozenset({"registry", "issuer", "syncer", "cdn_pusher", "monitor"})
_ROOT: Final = Path(__file__).parents[1]
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_LOOK_S: Final = 0.01
_ORDER_BYTES: Final = 128 * 1024


def fork_server() -> Start:
    """The one of this process. It loads while others work, and ends with this process, as do all that it forked."""
    return _server().start


async def ended(*arguments: str, env: Mapping[str, str], given: str = "") -> tuple[int, str, str]:
    """Run `python -m ARGUMENTS` until it ends: its exit code, and what it wrote to either output. `env` is added to
    the environment, `given` is its standard input.
    """
    with tempfile.TemporaryFile() as standard_input, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        standard_input.write(given.encode())
        standard_input.seek(0)
        process = _server().fork(arguments, {**os.environ, **env}, None, standard_input, out, err)
        code = await asyncio.to_thread(process.wait, HANG_S)
        for file in (out, err):
            file.seek(0)
        return code, out.read().decode(), err.read().decode()


@functools.cache
def _server() -> "_ForkServer":
    return _ForkServer()


class _ForkServer:
    def __init__(self) -> None:
        self._door, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            self._server = subprocess.Popen(
                [sys.executable, "-m", __name__, str(far.fileno())],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[far.fileno()],
                start_new_session=True,
            )

    def start(self, program: Program) -> Started:
        """Fork it where it is one of our services in this interpreter, else execute it."""
        python, *arguments = program.argv
        if (
            python != sys.executable
            or arguments[0] != "-m"
            or arguments[1] not in _SERVICES
            or _has_python_settings(program.env)
        ):
            return execute(program)
        with Path(os.devnull).open("rb") as nothing, program.log_path.open("ab") as log:
            return self.fork(arguments[1:], program.env, program.cwd, nothing, log, log)

    def fork(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None, *standard: IO[bytes]
    ) -> "_Forked":
        """`standard` are input, output and error output."""
        ends, told = os.pipe()
        order = {"arguments": arguments, "env": env, "cwd": str(cwd or Path.cwd())}
        socket.send_fds(self._door, [json.dumps(order).encode()], [*(file.fileno() for file in standard), told])
        os.close(told)
        answer = self._door.recv(32)
        if not answer:
            os.close(ends)
            raise ChildProcessError(f"the fork server ended with {self._server.wait()}")
        return _Forked(int(answer), ends)


def _has_python_settings(env: Mapping[str, str]) -> bool:
    """Whether Python itself would be started otherwise than the fork server was."""
    return any(name.startswith("PYTHON") and env[name] not in {"", os.environ.get(name)} for name in env)


class _Forked:
    """A process that the fork server forked; `ends` is a pipe that tells its exit code once it has ended."""

    def __init__(self, pid: int, ends: int) -> None:
        self.pid = pid
        self._ends = ends
        # A scripted CA kills in a thread of its own.
        self._turn = threading.Lock()
        self._code: int | None = None

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + timeout if timeout is not None else None
        while True:
            with self._turn:
                if self._code is None and select.select([self._ends], [], [], 0.0)[0]:
                    # Nothing is told where the server itself was ended: that kills what it forked.
                    self._code = int(os.read(self._ends, 16) or -signal.SIGKILL)
                    os.close(self._ends)
                if self._code is not None:
                    return self._code
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(_LOOK_S)


def _serve(door: socket.socket) -> Mapping[str, Any] | None:
    """Fork for each order. Returns None once the parent has ended, and in each forked process its order."""
    telling: dict[int, int] = {}
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    server = os.getpid()
    while True:
        ready, _, _ = select.select([door.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _reap(telling)
        if door.fileno() not in ready:
            continue
        data, descriptors, _, _ = socket.recv_fds(door, _ORDER_BYTES, 4)
        if not data:
            return None
        *standard, told = descriptors
        settled, settles = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (door.detach(), woken, wake, told, settled, *telling.values()):
                os.close(descriptor)
            _settle(server, standard)
            os.close(settles)
            order: Mapping[str, Any] = json.loads(data)
            return order
        for descriptor in (settles, *standard):
            os.close(descriptor)
        # Whoever has its number may end its group: there must be one by then.
        os.read(settled, 1)
        os.close(settled)
        telling[pid] = told
        door.send(str(pid).encode())


def _reap(telling: dict[int, int]) -> None:
    while telling:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        told = telling.pop(pid)
        # Who asked for it may have ended, or wait no longer.
        with suppress(BrokenPipeError):
            os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(told)


def _settle(server: int, standard: Sequence[int]) -> None:
    """Live in a session of its own, with the standard streams that were sent, and end with the server."""
    os.setsid()
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The server may have ended before the call above: then nobody would ever send the signal.
    if os.getppid() != server:
        os._exit(1)


def _run(order: Mapping[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    os.chdir(order["cwd"])
    module, *arguments = order["arguments"]
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in _LOADED:
        importlib.import_module(name)
    # What is loaded stays, and its pages stay shared.
    gc.collect()
    gc.freeze()
    if order := _serve(socket.socket(fileno=int(sys.argv[1]))):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _run(order)
