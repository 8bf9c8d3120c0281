"""A CA that is silent, slow, or limits: what that costs its own jobs, and those of others."""

import time
from collections.abc import AsyncIterator, Collection, Iterator

import httpx
import pytest
import pytest_asyncio

from certcore.events import RevisionFailed, RevisionIssued, RevisionStarted
from certlocal.tools import Tell
from tests.acme_ca import acts
from tests.acme_ca.calls import Call, Endpoint, problem
from tests.acme_ca.conduct import Conduct
from tests.acme_ca.server import ScriptedCa, deaf_server, plain_ca
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import Scene, a_scene, until
from tests.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

IN_FLIGHT = 8
RETRY_AFTER_S = 5
SILENT = 200


@pytest.fixture(scope="module")
def running_desk() -> Iterator[ScriptedCa]:
    with plain_ca() as ca:
        ca.books.usual = Conduct(validation_looks=2, signing_s=0.01)
        yield ca


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    tmp_path_factory: pytest.TempPathFactory, tell: Tell, running_desk: ScriptedCa
) -> AsyncIterator[Scene]:
    silent = free_port()
    with deaf_server(silent):
        urls = {"desk": running_desk.directory_url, "silent": f"http://127.0.0.1:{silent}/dir"}
        cas = tuple(
            {
                "name": name,
                "directory_url": url,
                "challenges": ["http-01"],
                "in_flight": IN_FLIGHT,
                "public": False,
                "answer_limit_s": 5.0,
            }
            for name, url in urls.items()
        )
        outage = {"failures": 3, "first_pause_s": 1.0, "longest_pause_s": 2.0, "fallback_after_s": 6.0}
        async with a_scene(
            tmp_path_factory.mktemp("issuer"), tell=tell, more_cas=cas, more_settings={"outage": outage}
        ) as ready:
            yield ready


@pytest.fixture
def desk(running_desk: ScriptedCa) -> ScriptedCa:
    running_desk.script.clear()
    running_desk.forget_calls()
    return running_desk


async def _order(scene: Scene, names: Collection[str], issuer: str) -> None:
    for name in names:
        await scene.peer.order(an_order(name, f"{name}.example.org", issuer=issuer))


async def test_one_rate_limit_teaches_all_jobs_of_its_ca(scene: Scene, desk: ScriptedCa, tell: Tell) -> None:
    limit = problem("rateLimited", 429).telling(Retry_After=str(RETRY_AFTER_S))
    desk.script.add(acts.told(limit), Endpoint.NEW_ORDER)
    names = [f"l{number}" for number in range(60)]
    await _order(scene, names, "desk")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    opened = [call.at for call in desk.asked(Endpoint.NEW_ORDER)]
    until_then = [at for at in opened if at < opened[0] + RETRY_AFTER_S]
    reports = [failed for failed in scene.peer.reports(RevisionFailed) if failed.certificate_id in names]
    tell(f"one 429, {len(names)} jobs: {len(until_then)} newOrders until its time, {len(reports)} failure reports")
    assert len(until_then) <= 3
    assert len(reports) == 1
    assert len(desk.asked(Endpoint.FINALIZE)) == len(names)


async def test_a_limit_of_one_domain_holds_back_no_other(scene: Scene, desk: ScriptedCa) -> None:
    def of_the_domain(call: Call) -> bool:
        return call.names[0].endswith("full.example")

    detail = 'too many certificates (50) already issued for "full.example" in the last 168h0m0s'
    limit = problem("rateLimited", 429, detail).telling(Retry_After="86400")
    desk.script.add(acts.told(limit), Endpoint.NEW_ORDER, times=None, when=of_the_domain)
    await scene.peer.order(an_order("full-1", "a.full.example", issuer="desk"))
    await scene.peer.wait_for(RevisionFailed, certificate_ids=["full-1"])
    await scene.peer.order(an_order("full-2", "b.full.example", issuer="desk"))
    await scene.peer.order(an_order("roomy", "roomy.example.org", issuer="desk"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["roomy"])

    def waits() -> list[object]:
        rows = scene.journal("SELECT reason FROM job WHERE certificate_id = 'full-2' AND wait_until IS NOT NULL")
        return [row[0] for row in rows]

    await until(waits, what="the other job of that domain waits")
    assert waits() == ["ca_limits"]
    assert len(desk.asked(Endpoint.NEW_ORDER)) == 2


async def test_a_new_order_that_takes_long_is_one_order(scene: Scene, desk: ScriptedCa) -> None:
    # Longer than any other question may take.
    desk.script.add(acts.slow(6.0), Endpoint.NEW_ORDER, name="slow.example.org", times=None)
    await _order(scene, ["slow"], "desk")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["slow"])
    assert (len(desk.asked(Endpoint.NEW_ORDER)), len(desk.asked(Endpoint.FINALIZE))) == (1, 1)
    assert scene.peer.reports(RevisionFailed, "slow") == []


def _started(scene: Scene, names: Collection[str]) -> set[str]:
    return {event.certificate_id for event in scene.peer.reports(RevisionStarted)} & set(names)


async def test_a_ca_that_takes_up_to_three_seconds_is_asked_nine_times_a_certificate(
    scene: Scene, desk: ScriptedCa, tell: Tell
) -> None:
    names = [f"t{number}" for number in range(60)]
    for number, name in enumerate(names):
        desk.books.conduct[f"{name}.example.org"] = Conduct(validation_s=number * 7 % 30 / 10, signing_s=0.01)
    began = time.monotonic()
    await _order(scene, names, "desk")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    rate, each = len(names) / (time.monotonic() - began), len(desk.posted()) / len(names)
    tell(f"a CA of 0 to 3 s, {IN_FLIGHT} in flight: {each:.1f} requests a certificate, {rate:.1f}/s")
    assert each <= 9
    assert len(desk.asked(Endpoint.FINALIZE)) == len(names)


@pytest.mark.usefixtures("desk")
async def test_a_silent_ca_costs_a_good_one_nothing_and_is_told_once(scene: Scene, tell: Tell) -> None:
    alone, beside = [f"a{number}" for number in range(40)], [f"b{number}" for number in range(40)]
    silent = [f"s{number}" for number in range(SILENT)]
    began = time.monotonic()
    await _order(scene, alone, "desk")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=alone)
    took_alone = time.monotonic() - began
    await _order(scene, silent, "silent")
    accepted = "SELECT count(*) FROM job WHERE ca = 'silent'"
    await until(lambda: scene.journal(accepted)[0][0] == len(silent), what="every job of the silent CA is there")
    await until(lambda: len(_started(scene, silent)) >= IN_FLIGHT - 1, what="the silent CA's slots are taken")
    began = time.monotonic()
    await _order(scene, beside, "desk")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=beside)
    took_beside = time.monotonic() - began
    tell(f"40 jobs alone: {took_alone:.1f} s; beside {SILENT} at a silent CA: {took_beside:.1f} s")
    await until(lambda: scene.logged("ca_away"), what="the silent CA counts as away")
    async with httpx.AsyncClient(trust_env=False) as client:
        readyz = await client.get(f"{scene.issuer.url}/readyz")
        metrics = (await client.get(f"{scene.issuer.url}/metrics")).text
    assert readyz.status_code == 200
    assert "ok   ca silent: (is away) since" in readyz.text
    assert 'certbus_issuer_ca_away{ca="silent"} 1.0' in metrics
    assert 'certbus_issuer_ca_away{ca="desk"} 0.0' in metrics
    reports = [failed for failed in scene.peer.reports(RevisionFailed) if failed.certificate_id in silent]
    assert len(reports) <= 1


@pytest.mark.usefixtures("desk")
async def test_jobs_leave_a_ca_that_is_away_for_the_next_that_they_allow(scene: Scene) -> None:
    names = [f"f{number}" for number in range(3)]
    for name in names:
        await scene.peer.order(an_order(name, f"{name}.example.org", cas=("silent", "desk")))
    issued = await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    assert {event.ca for name, event in issued.items() if name in names} == {"desk"}
    left = [line for line in scene.logged("ca_left") if line["certificate_id"] in names]
    assert {line["reason"] for line in left} == {"ca_away"}
    started = {event.ca for event in scene.peer.reports(RevisionStarted, names[0])}
    assert started <= {"silent", "desk"}
    assert "desk" in started
