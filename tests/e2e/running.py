"""A whole local system, for as long as a block runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from certlocal.home import Home
from certlocal.process import Start
from certlocal.system import LocalSystem

__all__ = ["running_system"]


@asynccontextmanager
async def running_system(folder: Path, *, start: Start) -> AsyncIterator[LocalSystem]:
    """`start` is for the processes of our services."""
    system = LocalSystem(Home(folder), kubernetes=False, tell=print, start=start)
    try:
        await system.start()
        yield system
    finally:
        await system.stop()
