"""What must be so at every CA: Pebble as this tree pins it, a Pebble of 2022 (Debian's: without renewal information,
profiles and Retry-After), and the scripted CA in its good mode.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import pytest
import pytest_asyncio

from certcore.certificate import Exposure, KeyAlgorithm
from certcore.events import RevisionIssued
from certcore.inspection import read_chain
from certcore.placements import PLATFORM
from certlocal.debian import debian_program
from certlocal.readiness import trusting
from certlocal.tools import Tell
from tests import servers
from tests.acme_ca.running import running_ca
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.issuer_process import ServedCa
from tests.integration.issuer.recipients import opened
from tests.integration.issuer.scene import IssuerScene, issuer_scene, until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

OLD, NEW, SCRIPTED = "pebble_of_2022", "pebble", "scripted"


class CountedCa(ServedCa, Protocol):
    def finalized_orders(self) -> list[str]: ...


@dataclass(frozen=True)
class Meeting:
    """An issuer and the CA that it uses. `finalized` counts the orders that were signed in this test."""

    kind: str
    ca: CountedCa
    scene: IssuerScene
    finalized: Callable[[], int]

    async def issue(self, name: str, *dns_names: str, revision: int = 1, **fields: object) -> tuple[str, ...]:
        """The DNS names of what was issued."""
        order = an_order(name, *dns_names, revision=revision, **fields)  # type: ignore[arg-type] # fields of an order
        await self.scene.peer.order(order)
        bundles = self.scene.registry.issued
        await until(lambda: (name, revision, PLATFORM) in bundles, what=f"{name}/{revision} is issued")
        bundle = bundles[name, revision, PLATFORM]
        opened(bundle, name, revision)
        return read_chain(bundle.chain_pem.encode())[0].dns_names


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[NEW, OLD, SCRIPTED])
async def kind_and_ca(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> AsyncIterator[tuple[str, CountedCa]]:
    if request.param == SCRIPTED:
        async with running_ca(tmp_path_factory.mktemp("ca"), tell=tell) as ca:
            ca.ca.service.nonces.refused = 0.15
            yield SCRIPTED, ca
        return
    program = debian_program("pebble", package="pebble", tell=tell) if request.param == OLD else None
    async with servers.pebble_ca(bad_nonces_percent=15, tell=tell, program=program) as pebble:
        yield request.param, pebble


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    kind_and_ca: tuple[str, CountedCa], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[IssuerScene]:
    folder: Path = tmp_path_factory.mktemp("issuer")
    async with issuer_scene(folder, kind_and_ca[1]) as running:
        yield running


@pytest.fixture
def meeting(kind_and_ca: tuple[str, CountedCa], scene: IssuerScene) -> Meeting:
    kind, ca = kind_and_ca
    before = len(ca.finalized_orders())
    return Meeting(kind, ca, scene, lambda: len(ca.finalized_orders()) - before)


async def test_the_old_one_is_old_and_the_others_are_not(meeting: Meeting) -> None:
    async with httpx.AsyncClient(verify=trusting(meeting.ca.ca_file), trust_env=False) as client:
        directory = (await client.get(meeting.ca.directory_url)).json()
    assert ("renewalInfo" in directory) is (meeting.kind != OLD)
    assert ("profiles" in directory["meta"]) is (meeting.kind != OLD)


@pytest.mark.parametrize("exposure", Exposure)
async def test_a_name_by_dns_and_by_http(meeting: Meeting, exposure: Exposure) -> None:
    name = f"one-{exposure}"
    assert await meeting.issue(name, f"{name}.example.org", exposure=exposure) == (f"{name}.example.org",)
    assert meeting.finalized() == 1


async def test_many_names_with_a_wildcard(meeting: Meeting) -> None:
    names = ("many.example.org", "*.many.example.org", "other.example.org")
    assert set(await meeting.issue("many", *names)) == set(names)
    assert meeting.finalized() == 1


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
async def test_each_kind_of_key(meeting: Meeting, algorithm: KeyAlgorithm) -> None:
    name = f"key-{algorithm}"
    await meeting.issue(name, f"{name}.example.org", key_algorithm=algorithm)
    assert meeting.finalized() == 1


async def test_a_renewal_that_replaces_what_was_before(meeting: Meeting) -> None:
    await meeting.issue("again", "again.example.org")
    report = meeting.scene.registry.issued["again", 1, PLATFORM].report
    assert report is not None
    assert report.ari_id
    await meeting.issue("again", "again.example.org", revision=2, replaces=report.ari_id)
    first, second = (meeting.scene.registry.issued["again", revision, PLATFORM] for revision in (1, 2))
    assert first.chain_pem != second.chain_pem
    assert meeting.finalized() == 2


async def test_an_account_outlives_a_restart(meeting: Meeting) -> None:
    await meeting.scene.issuer.stop()
    await meeting.scene.issuer.start()
    await meeting.issue("after-restart", "after-restart.example.org")
    registered = [line["ca"] for line in meeting.scene.logged("account_registered")]
    assert "by-dns" in registered
    assert len(set(registered)) == len(registered)


async def test_a_burst_with_bad_nonces_is_issued_once_each(meeting: Meeting) -> None:
    names = [f"burst-{number}" for number in range(24)]
    for name in names:
        await meeting.scene.peer.order(an_order(name, f"{name}.example.org"))
    await meeting.scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    assert meeting.finalized() == len(names)
    assert meeting.scene.registry.differing == []
