"""The registry's tests with PostgreSQL under every registry that runs."""

import asyncio
import os
import sys

_TESTS = ("tests/integration/registry", "tests/integration/certbus", "tests/contracts")


async def test_the_registry_s_suite_holds_on_postgresql() -> None:
    # Not of this run: its options and its seed are this one's own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", *_TESTS),
        env={**environment, "CERTBUS_TEST_DATABASE": "postgresql"},
    )
    assert await child.wait() == 0
