"""A whole local system, for as long as a block runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from certlocal.home import Home
from certlocal.system import LocalSystem

__all__ = ["running_system"]


@asynccontextmanager
async def running_system(folder: Path) -> AsyncIterator[LocalSystem]:
    system = LocalSystem(Home(folder), kubernetes=False, tell=print)
    try:
        await system.start()
        yield system
    finally:
        await system.stop()
