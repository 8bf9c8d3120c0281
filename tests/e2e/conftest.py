"""A whole local system for the tests of a module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from certlocal.system import LocalSystem
from tests.e2e.running import running_system
from tests.fork_server import fork_server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalSystem]:
    async with running_system(tmp_path_factory.mktemp("home"), start=fork_server()) as local:
        yield local
