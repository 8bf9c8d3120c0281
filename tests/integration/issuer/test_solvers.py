"""The places where challenge records are shown: a real challenge DNS, and the responder itself."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.errors import SolverError
from issuer.domain.job import JobId
from issuer.solvers.challtestsrv import ChalltestsrvSolver
from issuer.solvers.http01 import Http01Responder
from tests import servers
from tests.integration.issuer.knot_world import StoredRecords
from tests.integration.issuer.txt_records import txt_values
from tests.ports import free_port

pytestmark = pytest.mark.integration

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
APEX = ChallengeRecord(
    JobId("a", 1), ChallengeKind.DNS_01, "https://ca.test/1", "a.example.org", "_acme-challenge.a.example.org", "one"
)
WILDCARD = replace(APEX, url="https://ca.test/2", record_value="two")
OTHER_JOB = replace(APEX, job=JobId("b", 1), url="https://ca.test/3", record_value="three")
WEB = replace(APEX, kind=ChallengeKind.HTTP_01, record_name=TOKEN, record_value=f"{TOKEN}.thumbprint")


async def values(pebble: servers.Pebble) -> set[str]:
    return set(await txt_values(pebble.dns, APEX.record_name))


async def test_records_that_share_a_name_stay_until_the_last_is_removed(pebble: servers.Pebble) -> None:
    stored = StoredRecords(APEX, WILDCARD, OTHER_JOB)
    async with ChalltestsrvSolver(url=pebble.challtestsrv_url, records_at=stored.at) as solver:
        await solver.present([APEX, WILDCARD])
        await solver.present([OTHER_JOB, APEX])
        assert await values(pebble) == {"one", "two", "three"}
        await solver.clean_up([APEX, WILDCARD])
        assert "three" in await values(pebble)
        stored.records = [OTHER_JOB]
        await solver.clean_up([OTHER_JOB])
        assert await values(pebble) == set()


async def test_what_was_never_shown_can_be_removed(pebble: servers.Pebble) -> None:
    async with ChalltestsrvSolver(url=pebble.challtestsrv_url, records_at=StoredRecords(APEX).at) as solver:
        await solver.clean_up([APEX])
        await solver.clean_up([APEX])


async def test_a_dns_that_is_away_is_an_error_of_the_solver() -> None:
    async with ChalltestsrvSolver(url=f"http://127.0.0.1:{free_port()}", records_at=StoredRecords().at) as solver:
        with pytest.raises(SolverError):
            await solver.present([APEX])


@pytest_asyncio.fixture
async def responder() -> AsyncIterator[tuple[Http01Responder, httpx.AsyncClient]]:
    stored = StoredRecords(replace(WEB, record_name="x" * 20, record_value="from the journal"))
    port = free_port()
    responder = Http01Responder(host="127.0.0.1", port=port, records_at=stored.at)
    async with responder, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield responder, client


async def test_a_token_is_answered_while_its_record_is_shown(
    responder: tuple[Http01Responder, httpx.AsyncClient],
) -> None:
    shown, client = responder
    path = f"/.well-known/acme-challenge/{TOKEN}"
    assert (await client.get(path)).status_code == 404
    await shown.present([WEB])
    answer = await client.get(path)
    assert (answer.status_code, answer.text) == (200, f"{TOKEN}.thumbprint")
    await shown.clean_up([WEB])
    await shown.clean_up([WEB])
    assert (await client.get(path)).status_code == 404


async def test_a_token_that_another_process_showed_is_answered_from_the_journal(
    responder: tuple[Http01Responder, httpx.AsyncClient],
) -> None:
    _, client = responder
    assert (await client.get(f"/.well-known/acme-challenge/{'x' * 20}")).text == "from the journal"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/.well-known/acme-challenge/",
        "/.well-known/acme-challenge/short",
        f"/x/.well-known/acme-challenge/{TOKEN}",
    ],
)
async def test_nothing_else_is_answered(responder: tuple[Http01Responder, httpx.AsyncClient], path: str) -> None:
    shown, client = responder
    await shown.present([WEB])
    assert (await client.get(path)).status_code == 404


async def test_a_responder_that_does_not_run_shows_nothing() -> None:
    with pytest.raises(SolverError, match="not running"):
        await Http01Responder(host="127.0.0.1", port=0, records_at=StoredRecords().at).present([WEB])


async def test_a_port_that_is_taken_is_told_at_once(
    responder: tuple[Http01Responder, httpx.AsyncClient],
) -> None:
    _, client = responder

    second = Http01Responder(host="127.0.0.1", port=client.base_url.port or 0, records_at=StoredRecords().at)
    with pytest.raises(OSError, match="in use"):
        await second.__aenter__()
