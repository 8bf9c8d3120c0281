"""The command as a test runs it: in this process, or as one of its own where it waits or reads."""

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from certbus.cli import run
from tests.patience import HANG_S

__all__ = ["Command", "Ended", "certbus", "request_words", "until"]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def check(self) -> None:
        """What holds for every command: no traceback, no token."""
        assert "Traceback" not in self.err
        assert "cb_" not in self.out + self.err


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not holds():  # noqa: ASYNC110 # what it waits for happens in other processes
            await asyncio.sleep(0.02)


class Command:
    """`certbus` as its own process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._reading = [
            asyncio.create_task(self._read(process.stdout, self.out)),
            asyncio.create_task(self._read(process.stderr, self.err)),
        ]

    @classmethod
    async def start(cls, *words: str, stdin: str = "", under: Sequence[str] = ()) -> "Command":
        """`under` is a program that becomes the command that it is given."""
        process = await asyncio.create_subprocess_exec(
            *under,
            sys.executable,
            *("-m", "certbus", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdin is not None
        process.stdin.write(stdin.encode())
        process.stdin.close()
        return cls(process)

    @staticmethod
    async def _read(stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        while line := await stream.readline():
            lines.append(line.decode())

    async def tells(self, words: str) -> None:
        """Wait until a line on stderr holds these words."""
        await until(lambda: any(words in line for line in self.err))

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    async def ended(self) -> Ended:
        async with asyncio.timeout(HANG_S):
            code = await self._process.wait()
            await asyncio.gather(*self._reading)
        ended = Ended(code, "".join(self.out), "".join(self.err))
        ended.check()
        return ended


async def certbus(*words: str) -> Ended:
    """The command in this process: a start of Python for each would take most of the time."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = await asyncio.to_thread(run, words)
    ended = Ended(code, out.getvalue(), err.getvalue())
    ended.check()
    return ended


def request_words(name: str, *, exposure: str = "internal") -> list[str]:
    return [
        *("request", "create", name, "--as", "ana", "--exposure", exposure),
        *("--dns", f"{name}.example.org", "--dns", f"www.{name}.example.org"),
        *("--target", "files:site=site1,name=web"),
        *("--target", f"kubernetes:site=site2,namespaces=web+shop,secret={name}-tls,name=pods"),
        *("--endpoint", f"https://{name}.example.org:8443=web"),
        *("--endpoint", f"https://www.{name}.example.org=pods"),
    ]
