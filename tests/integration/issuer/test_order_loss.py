"""A CA, or what stands before it, that denies orders: one answer isn't believed; what is lost is replaced once."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from certcore.events import FailureCode, MustAct, RevisionFailed, RevisionIssued
from certlocal.tools import Tell
from tests.acme_ca import acts
from tests.acme_ca.calls import Call, Endpoint, Reply
from tests.acme_ca.conduct import Conduct
from tests.acme_ca.script import Proceed
from tests.acme_ca.server import ScriptedCa, plain_ca
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import Scene, a_scene, until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

FAULTS = (
    acts.refuse("malformed", 404),
    acts.html(404),
    acts.refuse("unauthorized", 403),
    acts.html(403),
    acts.html(503),
    acts.answer(404),
)


@pytest.fixture(scope="module")
def running_desk() -> Iterator[ScriptedCa]:
    with plain_ca() as ca:
        ca.books.usual = Conduct(validation_looks=2, signing_s=0.01)
        yield ca


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    tmp_path_factory: pytest.TempPathFactory, tell: Tell, running_desk: ScriptedCa
) -> AsyncIterator[Scene]:
    ca = {"name": "desk", "directory_url": running_desk.directory_url, "challenges": ["http-01"]}
    async with a_scene(tmp_path_factory.mktemp("issuer"), tell=tell, more_cas=(ca,)) as ready:
        yield ready


@pytest.fixture
def desk(running_desk: ScriptedCa) -> ScriptedCa:
    running_desk.script.clear()
    running_desk.forget_calls()
    return running_desk


def opened_and_finalized(desk: ScriptedCa) -> tuple[int, int]:
    """How often either was asked for."""
    return len(desk.asked(Endpoint.NEW_ORDER)), len(desk.asked(Endpoint.FINALIZE))


def abandoned(scene: Scene, name: str) -> list[str]:
    return [line["reason"] for line in scene.logged("order_abandoned") if line["certificate_id"] == name]


async def test_one_false_answer_to_every_poll_costs_no_second_order(
    scene: Scene, desk: ScriptedCa, tell: Tell
) -> None:
    told = Counter[int]()
    looks: dict[str | None, int] = {}

    async def every_other(call: Call, proceed: Proceed) -> Reply:
        times = looks[call.order] = looks.get(call.order, 0) + 1
        if times % 2 == 0:
            return await proceed()
        which = (list(looks).index(call.order) + times // 2) % len(FAULTS)
        told[which] += 1
        return await FAULTS[which](call, proceed)

    desk.script.add(every_other, Endpoint.ORDER, times=None)
    names = [f"p{number}" for number in range(10)]
    for name in names:
        await scene.peer.order(an_order(name, f"{name}.example.org", issuer="desk"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    opened, finalized = opened_and_finalized(desk)
    tell(f"false answers, by kind: {sorted(told.items())}; {opened} orders, {finalized} finalized")
    assert set(told) == set(range(len(FAULTS)))
    assert opened == finalized == len(names)


async def test_an_order_that_is_denied_for_long_is_replaced_once_then_a_person_is_asked(
    scene: Scene, desk: ScriptedCa
) -> None:
    def is_finalized(call: Call) -> bool:
        return call.order in {order.id for order in desk.finalized()}

    desk.script.add(acts.refuse("malformed", 404), Endpoint.ORDER, times=None, when=is_finalized)
    await scene.peer.order(an_order("lost", "lost.example.org", issuer="desk"))

    def told() -> list[RevisionFailed]:
        return [failed for failed in scene.peer.reports(RevisionFailed, "lost") if failed.next_try is None]

    await until(told, what="it is given up")
    (failed,) = told()
    assert (failed.code, failed.must_act) == (FailureCode.ORDER_LOST, MustAct.OPERATOR)
    assert "a finalize may have been sent" in failed.reason
    assert abandoned(scene, "lost") == ["order_lost", "order_lost"]
    assert opened_and_finalized(desk) == (2, 2)


async def test_nothing_is_lost_while_the_account_is_not_answered_either(scene: Scene, desk: ScriptedCa) -> None:
    nobody_known = desk.script.add(
        acts.refuse("unauthorized", 403),
        Endpoint.ORDER,
        Endpoint.ACCOUNT,
        times=None,
        when=lambda _: bool(desk.asked(Endpoint.FINALIZE)),
    )
    await scene.peer.order(an_order("unknown", "unknown.example.org", issuer="desk"))
    # More than are needed of an order.
    await until(lambda: len(desk.asked(Endpoint.ACCOUNT)) >= 4, what="four denials")
    desk.script.remove(nobody_known)
    await scene.peer.order(an_order("unknown", "unknown.example.org", issuer="desk"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["unknown"])
    assert opened_and_finalized(desk) == (1, 1)


async def test_denials_are_counted_on_after_a_restart(scene: Scene, desk: ScriptedCa) -> None:
    def of_the_first(call: Call) -> bool:
        finalized = desk.finalized("restarted.example.org")
        return bool(finalized) and call.order == finalized[0].id

    def denials() -> int:
        rows = scene.journal("SELECT denials FROM job WHERE certificate_id = 'restarted'")
        return rows[0][0] if rows else 0

    desk.script.add(acts.refuse("malformed", 404), Endpoint.ORDER, times=None, when=of_the_first)
    await scene.peer.order(an_order("restarted", "restarted.example.org", issuer="desk"))
    await until(lambda: denials() >= 1, what="a denial")
    scene.issuer.process.kill()
    await scene.issuer.process.wait(timeout_s=30)
    before = denials()
    assert scene.journal("SELECT finalize_sent_at FROM job WHERE certificate_id = 'restarted'")[0][0] is not None
    await scene.issuer.start()
    await until(lambda: denials() > before or abandoned(scene, "restarted"), what="one more")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["restarted"])
    assert abandoned(scene, "restarted") == ["order_lost"]
    assert opened_and_finalized(desk) == (2, 2)
