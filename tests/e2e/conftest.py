"""A whole local system for the tests of a module."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from certlocal.home import Home
from certlocal.system import LocalSystem


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalSystem]:
    folder: Path = tmp_path_factory.mktemp("home")
    local = LocalSystem(Home(folder), kubernetes=False, tell=print)
    try:
        await local.start()
        yield local
    finally:
        await local.stop()
