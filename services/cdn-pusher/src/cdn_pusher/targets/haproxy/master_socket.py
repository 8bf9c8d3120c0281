"""HAProxy's master process: a reload for what is too long for the runtime API."""

import asyncio
import re
import time
from pathlib import Path
from typing import Final

from cdn_pusher.domain.errors import DeliveryError
from certcore.events import DeliveryReason

__all__ = ["MasterSocket"]

_WORKER: Final = re.compile(r"^(\d+)\s+worker\s", re.MULTILINE)
_FAILED: Final = re.compile(r"failed: (\d+)")
_POLL_S: Final = 0.05
_CALL_S: Final = 5.0


class MasterSocket:
    def __init__(self, path: Path, *, timeout_s: float) -> None:
        """`timeout_s` is how long a reload may take."""
        self._path = path
        self._timeout_s = timeout_s

    async def reload(self) -> None:
        """Have a new worker read all files; returns when it has taken over.

        Raises:
            DeliveryError: the files are refused (the old worker goes on serving), or the master doesn't answer.
        """
        before = await self._ask("show proc")
        # 2.6 answers a reload with nothing at all, and with success or not since: the list of processes shows it.
        await self._ask("reload")
        try:
            async with asyncio.timeout(self._timeout_s):
                while not await self._took_over(before):  # noqa: ASYNC110 # HAProxy sends no event
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            detail = f"no new worker in {self._timeout_s:g} s"
            raise DeliveryError(DeliveryReason.RELOAD_FAILED, detail) from None

    async def serves(self, worker: str) -> bool:
        """Whether a process is the present worker: asked again while the master reads the files of a reload itself,
        and refuses connections.

        Raises:
            DeliveryError: it gives no answer for `timeout_s`.
        """
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return worker in _workers(await self._ask("show proc"))
            except DeliveryError:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(_POLL_S)

    async def _took_over(self, before: str) -> bool:
        try:
            now = await self._ask("show proc")
        except DeliveryError:
            return False  # the master restarts itself meanwhile
        if _failed(now) > _failed(before):
            detail = "HAProxy refuses its files; the old worker continues to serve"
            raise DeliveryError(DeliveryReason.RELOAD_FAILED, detail)
        return bool(_workers(now) - _workers(before))

    async def _ask(self, command: str) -> str:
        try:
            async with asyncio.timeout(_CALL_S):
                reader, writer = await asyncio.open_unix_connection(self._path)
                try:
                    writer.write(command.encode() + b"\n")
                    # Without the half-close the master of 2.6 keeps the connection open for ever.
                    writer.write_eof()
                    return (await reader.read()).decode(errors="replace")
                finally:
                    writer.close()
        except OSError as error:  # a timeout is one too
            detail = f"{self._path}: {error.strerror or 'no answer'}"
            raise DeliveryError(DeliveryReason.UNREACHABLE, detail) from error


def _workers(processes: str) -> set[str]:
    """Workers that serve; those that only finish old connections are listed further down."""
    return set(_WORKER.findall(processes.partition("# old workers")[0]))


def _failed(processes: str) -> int:
    found = _FAILED.search(processes)
    return int(found[1]) if found else 0
