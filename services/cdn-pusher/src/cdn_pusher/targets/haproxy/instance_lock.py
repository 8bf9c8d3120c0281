"""One writer at a time for each HAProxy: interleaved writers put one certificate into the other's transaction."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from cdn_pusher.domain.errors import DeliveryError
from certcore.events import DeliveryReason

__all__ = ["InstanceLock"]

_POLL_S: Final = 0.01


class InstanceLock:
    """Excludes other tasks of this process and other processes alike; the kernel frees it with its holder."""

    def __init__(self, file: Path, *, patience_s: float = 60.0) -> None:
        self._file = file
        self._patience_s = patience_s
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the lock.

        Raises:
            DeliveryError: another process didn't release it in time, or its file can't be opened.
        """
        async with self._lock:
            try:
                descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise DeliveryError(DeliveryReason.REFUSED, f"{self._file}: {error.strerror}") from error
            try:
                await self._take(descriptor)
                yield
            finally:
                os.close(descriptor)

    async def _take(self, descriptor: int) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                while not _try(descriptor):  # noqa: ASYNC110 # there is no event for another process's lock
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            detail = f"{self._file} is held by another pusher since {self._patience_s:g} s"
            raise DeliveryError(DeliveryReason.UNREACHABLE, detail) from None


def _try(descriptor: int) -> bool:
    # Not the waiting form: a thread that waits for a lock can't be cancelled.
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
