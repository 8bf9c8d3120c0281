"""The command that makes a program of this host read its certificate again."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

__all__ = ["run_reload"]

_ENVIRONMENT: Final = ("PATH", "HOME", "LANG")
"""Passed on to the command; the syncer's other variables are its own settings."""


async def run_reload(argv: Sequence[str], *, timeout_s: float = 30.0) -> str | None:
    """Run it without a shell; None where it succeeded, else what went wrong.

    Its output is discarded: what another program prints about a key file may hold the key.
    """
    environment = {name: value for name in _ENVIRONMENT if (value := os.environ.get(name)) is not None}
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        return f"{argv[0]} can't be started: {error.strerror}"
    try:
        code = await asyncio.wait_for(process.wait(), timeout_s)
    except TimeoutError:
        return f"{argv[0]} did not end in {timeout_s:g} s"
    finally:
        # Ends its child processes too, also when the wait was cancelled.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return None if code == 0 else f"{argv[0]} ended with code {code}"
