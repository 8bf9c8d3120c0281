"""Fixtures that start real servers. A server that can't be had fails the test with the reason."""

from collections.abc import AsyncIterator

import pytest_asyncio

from certlocal.tools import Tell
from tests import servers


@pytest_asyncio.fixture
async def nats_url() -> AsyncIterator[str]:
    """A fresh broker without streams, open to all."""
    async with servers.broker() as server:
        yield server.url


@pytest_asyncio.fixture
async def declared_bus() -> AsyncIterator[str]:
    """A fresh broker, open to all, with the streams and consumers of two sites."""
    async with servers.broker(sites=servers.SITES) as server:
        yield server.url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pebble(tell: Tell) -> AsyncIterator[servers.Pebble]:
    """An ACME CA that refuses 5 % of all nonces and validates without waiting."""
    async with servers.pebble_ca(tell=tell) as ca:
        yield ca


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kube(tell: Tell) -> AsyncIterator[servers.Kube]:
    """Two clusters, site1 and site2, that all tests of the run share."""
    async with servers.kubernetes(tell=tell) as clusters:
        yield clusters


@pytest_asyncio.fixture
async def haproxy(tell: Tell) -> AsyncIterator[servers.Haproxies]:
    """A factory: `await haproxy(configuration)`."""
    async with servers.haproxies(tell=tell) as start:
        yield start
