import os

import pytest


@pytest.fixture(scope="session")
def seed() -> int:
    """The one that `make prove` prints."""
    return int(os.environ["CERTBUS_SEED"])
