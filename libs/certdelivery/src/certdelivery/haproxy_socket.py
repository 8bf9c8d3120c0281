"""HAProxy's runtime API as a socket: one command a connection, and the whole answer."""

import asyncio
from pathlib import Path

from certcore.errors import TransientError

__all__ = ["HaproxyAwayError", "HaproxySocket", "first_line"]


class HaproxyAwayError(TransientError):
    """It can't be reached, or gave no answer in time."""


class HaproxySocket:
    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s

    async def ask(self, command: bytes) -> str:
        """The answer to a command, which ends in a line break.

        Raises:
            HaproxyAwayError: there is none.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await asyncio.open_unix_connection(self._path)
                try:
                    writer.write(command)
                    # A long work streams a dot for each step: only EOF is the end.
                    reply = await reader.read()
                finally:
                    writer.close()
        except TimeoutError:
            raise HaproxyAwayError(f"{self._path}: no answer in {self._timeout_s:g} s") from None
        except OSError as error:
            raise HaproxyAwayError(f"{self._path}: {error.strerror or error}") from error
        if not reply:
            raise HaproxyAwayError(f"{self._path}: hung up without an answer")
        return reply.decode(errors="replace")


def first_line(reply: str) -> str:
    return next((line.strip() for line in reply.splitlines() if line.strip()), "nothing")[:200]
