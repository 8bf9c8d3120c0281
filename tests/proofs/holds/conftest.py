import os

import pytest

from tests.holds.disks import private_mounts


@pytest.fixture(scope="session", autouse=True)
def _own_mounts() -> None:
    private_mounts()


@pytest.fixture(scope="session")
def certificates() -> int:
    return int(os.environ.get("N") or 500)


@pytest.fixture(scope="session")
def duration_s() -> float:
    return float(os.environ.get("DURATION_S") or 600)
