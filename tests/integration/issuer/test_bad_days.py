"""A job whose CA leaves an order unanswered, loses an answer, or signs something else: what is ordered again, and
what never is.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from certcore.events import RevisionFailed, RevisionIssued
from certcore.placements import PLATFORM
from certlocal.tools import Tell
from tests.authority import Authority
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import Scene, a_scene, until
from tests.integration.issuer.scripted_ca import Answer, ScriptedCa, problem, scripted_ca

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PATIENCE_S = 8.0


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedCa]:
    with scripted_ca() as ca:
        yield ca


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory, tell: Tell, scripted: ScriptedCa) -> AsyncIterator[Scene]:
    ca = {"name": "scripted", "directory_url": f"{scripted.url}/dir", "challenges": ["http-01"]}
    folder = tmp_path_factory.mktemp("issuer")
    async with a_scene(folder, tell=tell, patience_s=PATIENCE_S, more_cas=(ca,)) as ready:
        yield ready


@pytest.fixture
def scene(running: Scene, scripted: ScriptedCa) -> Iterator[Scene]:
    """The scripted CA starts each test anew, with an order that is ready at once."""
    scripted.asked.clear()
    scripted.nonce_answer = Answer()
    scripted.tell("/newOrder", *(_opened(scripted, number) for number in (1, 2, 3)))
    for number in (1, 2, 3):
        scripted.tell(f"/order/{number}", Answer(body=_order(scripted, number, "ready")))
        scripted.tell(f"/finalize/{number}", Answer(body=_order(scripted, number, "processing")))
    yield running
    scripted.let_go.set()
    scripted.let_go.clear()


def _order(scripted: ScriptedCa, number: int, status: str) -> dict[str, object]:
    certificate = {"certificate": f"{scripted.url}/certificate/{number}"} if status == "valid" else {}
    return scripted.order(status, finalize=f"{scripted.url}/finalize/{number}", **certificate)


def _opened(scripted: ScriptedCa, number: int) -> Answer:
    return Answer(201, _order(scripted, number, "ready"), headers={"Location": f"{scripted.url}/order/{number}"})


def sign(scripted: ScriptedCa, number: int) -> None:
    scripted.tell(f"/order/{number}", Answer(body=_order(scripted, number, "valid")))
    scripted.tell(f"/certificate/{number}", Answer(make=lambda: scripted.certify().encode()))


async def order(scene: Scene, name: str) -> None:
    await scene.peer.order(an_order(name, f"{name}.example.org", issuer="scripted"))


def abandoned(scene: Scene, name: str) -> list[str]:
    return [line["reason"] for line in scene.logged("order_abandoned") if line["certificate_id"] == name]


def _failed(scene: Scene, name: str) -> list[str]:
    return [line["reason"] for line in scene.logged("job_failed") if line["certificate_id"] == name]


async def test_a_finalize_whose_answer_is_lost_is_looked_up_and_never_sent_twice(
    scene: Scene, scripted: ScriptedCa
) -> None:
    scripted.tell("/finalize/1", Answer(hang_up=True))
    sign(scripted, 1)
    await order(scene, "lost-answer")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["lost-answer"])
    assert len(scripted.asked_at("/finalize")) == 1
    assert len(scripted.asked_at("/newOrder")) == 1


async def test_a_finalize_that_never_arrived_is_sent_again(scene: Scene, scripted: ScriptedCa) -> None:
    ready = Answer(body=_order(scripted, 1, "ready"))
    scripted.tell("/finalize/1", Answer(hang_up=True), Answer(body=_order(scripted, 1, "processing")))
    scripted.tell("/order/1", ready, Answer(body=_order(scripted, 1, "valid")))
    scripted.tell("/certificate/1", Answer(make=lambda: scripted.certify().encode()))
    await order(scene, "lost-question")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["lost-question"])
    assert [asked.path for asked in scripted.asked if "/newAccount" not in asked.path] == [
        "/newOrder",
        "/finalize/1",
        "/order/1",
        "/finalize/1",
        "/order/1",
        "/certificate/1",
    ]


async def test_an_order_that_was_not_ready_is_looked_at_again(scene: Scene, scripted: ScriptedCa) -> None:
    scripted.tell("/finalize/1", problem("orderNotReady", 403))
    sign(scripted, 1)
    await order(scene, "not-ready")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["not-ready"])
    assert len(scripted.asked_at("/newOrder")) == 1


async def test_an_order_that_stays_unanswered_is_replaced_when_patience_ends(
    scene: Scene, scripted: ScriptedCa
) -> None:
    scripted.tell("/order/1", Answer(hang=True))
    sign(scripted, 2)
    await order(scene, "unanswered")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["unanswered"])
    assert abandoned(scene, "unanswered") == ["order_stalled"]
    assert [asked.path for asked in scripted.asked_at("/finalize")] == ["/finalize/1", "/finalize/2"]


async def test_a_finalize_is_never_repeated_elsewhere_while_the_whole_ca_is_silent(
    scene: Scene, scripted: ScriptedCa
) -> None:
    scripted.tell("/order/1", Answer(hang=True))
    scripted.nonce_answer = Answer(hang=True)
    await order(scene, "silent")
    # Longer than patience: each look takes five seconds, and as long the question whether anybody is there.
    await until(lambda: len(_failed(scene, "silent")) >= 2, what="two looks that failed")
    assert set(_failed(scene, "silent")) == {"ca_unreachable"}
    assert abandoned(scene, "silent") == []
    assert len(scripted.asked_at("/newOrder")) == 1
    scripted.nonce_answer = Answer()
    sign(scripted, 1)
    await scene.peer.order(an_order("silent", "silent.example.org", issuer="scripted"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["silent"])
    assert len(scripted.asked_at("/finalize")) == 1


async def test_a_slow_ca_is_waited_for_with_one_order(scene: Scene, scripted: ScriptedCa) -> None:
    processing = Answer(body=_order(scripted, 1, "processing"), headers={"Retry-After": "1"})
    scripted.tell("/order/1", *[processing] * 3, Answer(body=_order(scripted, 1, "valid")))
    scripted.tell("/certificate/1", Answer(make=lambda: scripted.certify().encode()))
    await order(scene, "slow")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["slow"])
    assert len(scripted.asked_at("/order/1")) == 4
    assert len(scripted.asked_at("/finalize")) == 1


async def test_what_was_not_asked_for_is_not_handed_on(scene: Scene, scripted: ScriptedCa) -> None:
    foreign = Authority().issue("foreign.example.org").chain_pem.encode()
    scripted.tell("/order/1", Answer(body=_order(scripted, 1, "valid")))
    scripted.tell("/certificate/1", Answer(raw=foreign))
    sign(scripted, 2)
    await order(scene, "foreign")
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["foreign"]))["foreign"]
    assert failed.reason.startswith("certificate_unfit: ")
    assert ("foreign", 1, PLATFORM) not in scene.registry.issued
    await order(scene, "foreign")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["foreign"])
    assert abandoned(scene, "foreign") == ["certificate_unfit"]


async def test_a_rate_limit_is_reported_with_the_time_that_the_ca_named_and_kept(
    scene: Scene, scripted: ScriptedCa
) -> None:
    scripted.tell("/newOrder", problem("rateLimited", 429, headers={"Retry-After": "7200"}), _opened(scripted, 1))
    sign(scripted, 1)
    await order(scene, "limited")
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["limited"]))["limited"]
    assert failed.reason == "rate_limited: rateLimited: rateLimited it is"
    assert failed.next_try is not None
    assert timedelta(minutes=118) < failed.next_try - datetime.now(UTC) <= timedelta(minutes=120)
    # Asked for again, it isn't tried before: the limit is the CA's.
    await order(scene, "limited")

    def waits() -> list[str]:
        return [line["reason"] for line in scene.logged("job_waits") if line["certificate_id"] == "limited"]

    await until(waits, what="it waits")
    assert waits() == ["ca_limits"]
    assert len(scripted.asked_at("/newOrder")) == 1
