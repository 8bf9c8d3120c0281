"""One issuer beside one scripted CA for all tests of a module. Each test has names of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from certlocal.tools import Tell
from tests.acme_ca.running import RunningCa, running_ca
from tests.acme_ca.server import ScriptedCa
from tests.integration.issuer.scene import IssuerScene, issuer_scene
from tests.proofs.conformance.stage import PATIENCE_S, Stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> AsyncIterator[RunningCa]:
    async with running_ca(tmp_path_factory.mktemp("ca"), tell=tell) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, served: RunningCa) -> AsyncIterator[IssuerScene]:
    folder: Path = tmp_path_factory.mktemp("issuer")
    async with issuer_scene(folder, served, patience_s=PATIENCE_S) as running:
        yield running


@pytest.fixture
def ca(served: RunningCa) -> Iterator[ScriptedCa]:
    """Does all things right again after each test."""
    yield served.ca
    served.ca.script.clear()
    served.ca.service.nonces.refused = 0.0
    served.ca.service.knows_ari = True
    served.ca.books.shares_authorizations = False


@pytest.fixture
def stage(scene: IssuerScene, ca: ScriptedCa, request: pytest.FixtureRequest) -> Stage:
    return Stage(scene, ca, request.node.name)
