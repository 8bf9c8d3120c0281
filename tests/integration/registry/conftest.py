"""Three registries that the tests of this folder share: each test asks for certificates of its own name."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from certcore.api import Role
from tests.integration.registry.bus import Bus
from tests.integration.registry.stand_ins import StandIns
from tests.integration.registry.toy_kinds import install
from tests.ports import free_port
from tests.registry_process import Person, RunningRegistry, running_registry


@pytest.fixture(scope="package")
def provider_port() -> int:
    """Where the registry's provider is, once a test starts it: nobody else needs it."""
    return free_port()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def registry(provider_port: int) -> AsyncIterator[RunningRegistry]:
    # Health changes by time in a registry of its own: here, what is compared stays as it is.
    provider = f"http://127.0.0.1:{provider_port}"
    async with running_registry(health_sweep_every_s=3600.0, plugins=install, provider=provider) as running:
        await running.enrol("hub", "pusher")
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def bus(registry: RunningRegistry) -> AsyncIterator[Bus]:
    async with Bus.connect(registry.nats_url) as connected:
        yield connected


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def mortal() -> AsyncIterator[RunningRegistry]:
    """Another registry, for the tests that kill it and its broker; it looks for due renewals all the time."""
    async with running_registry(renewal_sweep_every_s=0.2, health_sweep_every_s=3600.0) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def watched() -> AsyncIterator[RunningRegistry]:
    """Another registry, which looks all the time whose health changed by time."""
    async with running_registry(health_sweep_every_s=0.2) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def ana(registry: RunningRegistry) -> Person:
    """A requester of the team shop, who may also approve what others ask for."""
    return await registry.person("ana", Role.REQUESTER, Role.APPROVER)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def ben(registry: RunningRegistry) -> Person:
    """The second person."""
    return await registry.person("ben", Role.APPROVER, owner="platform")


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def services(registry: RunningRegistry, bus: Bus) -> StandIns:
    return await StandIns.start(registry, bus)


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def deliverers(registry: RunningRegistry) -> dict[str, Person]:
    return {
        f"{place}-{service}": await registry.service(f"{place}-{service}", Role.DELIVERER, site=place, kind=service)
        for place, service in (("site1", "syncer"), ("site1", "pusher"), ("site2", "syncer"), ("hub", "pusher"))
    }
