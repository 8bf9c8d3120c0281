"""CAA records of a real server."""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from certlocal.tools import Tell
from issuer.adapters.caa import ResolvedCaa
from issuer.adapters.dns_settings import ViewSettings
from issuer.adapters.dns_zones import Zones
from issuer.domain.caa import CaaAsker, CaaReason
from tests.integration.issuer.knot_world import KnotWorld, knot_world
from tests.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ASKER = CaaAsker(identities=("ca.test",), account_url="https://ca.test/acct/1", methods=frozenset({"dns-01"}))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tell: Tell) -> AsyncIterator[KnotWorld]:
    async with knot_world(tell=tell) as world:
        yield world


def caa(resolver: str) -> ResolvedCaa:
    settings = ViewSettings(resolvers=(resolver,))
    now = time.monotonic
    return ResolvedCaa(Zones(view="default", settings=settings, timeout_s=0.5, now=now), now=now)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a.b.example.test"], CaaReason.CA_NAMED),
        (["example.test"], CaaReason.CA_NAMED),
        (["example.test", "*.example.test"], CaaReason.CA_NOT_NAMED),
        (["x.free.example.test"], CaaReason.CA_NOT_NAMED),
        (["open.acme.test"], CaaReason.CA_NOT_NAMED),
    ],
)
async def test_records_are_found_by_climbing(world: KnotWorld, names: list[str], reason: CaaReason) -> None:
    verdict = await caa(world.primary.address).allows(names, ASKER)
    assert (verdict.allowed, verdict.reason) == (reason is CaaReason.CA_NAMED, reason)


async def test_resolvers_that_do_not_answer_forbid_nothing() -> None:
    verdict = await caa(f"127.0.0.1:{free_port()}").allows(["a.example.test", "b.example.test"], ASKER)
    assert (verdict.allowed, verdict.reason) == (True, CaaReason.NOT_ANSWERED)
    assert "don't answer for CAA" in verdict.detail
