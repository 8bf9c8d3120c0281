"""A CA, or what stands before it, that denies orders: one answer isn't believed; what is lost is replaced once."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from certcore.events import FailureCode, MustAct, RevisionFailed, RevisionIssued
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.order_desk import OrderDesk, no_fault
from tests.integration.issuer.scene import Scene, a_scene, until
from tests.integration.issuer.scripted_ca import Answer, Asked, problem, serving

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

HTML = {"Content-Type": "text/html"}
FAULTS = (
    problem("malformed", 404),
    Answer(404, raw=b"<html>not found</html>", headers=HTML),
    problem("unauthorized", 403),
    Answer(403, raw=b"<html>forbidden</html>", headers=HTML),
    Answer(503, raw=b"<html>maintenance</html>", headers=HTML),
    Answer(404, raw=b""),
)


@pytest.fixture(scope="module")
def running_desk() -> Iterator[OrderDesk]:
    with serving(OrderDesk) as ca:
        yield ca


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    tmp_path_factory: pytest.TempPathFactory, tell: Tell, running_desk: OrderDesk
) -> AsyncIterator[Scene]:
    ca = {"name": "desk", "directory_url": f"{running_desk.url}/dir", "challenges": ["http-01"]}
    async with a_scene(tmp_path_factory.mktemp("issuer"), tell=tell, more_cas=(ca,)) as ready:
        yield ready


@pytest.fixture
def desk(running_desk: OrderDesk) -> OrderDesk:
    running_desk.fault = no_fault
    running_desk.opened.clear()
    running_desk.finalized.clear()
    return running_desk


def _is_poll(asked: Asked) -> bool:
    return asked.path.startswith("/order/")


def abandoned(scene: Scene, name: str) -> list[str]:
    return [line["reason"] for line in scene.logged("order_abandoned") if line["certificate_id"] == name]


async def test_one_false_answer_to_every_poll_costs_no_second_order(
    scene: Scene, desk: OrderDesk, tell: Tell
) -> None:
    told = Counter[int]()

    def every_other(asked: Asked, times: int) -> Answer | None:
        if not _is_poll(asked) or times % 2 == 0:
            return None
        which = (int(asked.path.split("/")[2]) + times // 2) % len(FAULTS)
        told[which] += 1
        return FAULTS[which]

    desk.fault = every_other
    names = [f"p{number}" for number in range(10)]
    for name in names:
        await scene.peer.order(an_order(name, f"{name}.example.org", issuer="desk"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    tell(
        f"false answers, by kind: {sorted(told.items())}; {len(desk.opened)} orders, {len(desk.finalized)} finalized"
    )
    assert set(told) == set(range(len(FAULTS)))
    assert len(desk.opened) == len(desk.finalized) == len(names)


async def test_an_order_that_is_denied_for_long_is_replaced_once_then_a_person_is_asked(
    scene: Scene, desk: OrderDesk
) -> None:
    def no_orders(asked: Asked, _: int) -> Answer | None:
        finalized = _is_poll(asked) and int(asked.path.split("/")[2]) in desk.finalized
        return problem("malformed", 404) if finalized else None

    desk.fault = no_orders
    await scene.peer.order(an_order("lost", "lost.example.org", issuer="desk"))

    def told() -> list[RevisionFailed]:
        return [failed for failed in scene.peer.reports(RevisionFailed, "lost") if failed.next_try is None]

    await until(told, what="it is given up")
    (failed,) = told()
    assert (failed.code, failed.must_act) == (FailureCode.ORDER_LOST, MustAct.OPERATOR)
    assert "a finalize may have been sent" in failed.reason
    assert abandoned(scene, "lost") == ["order_lost", "order_lost"]
    assert (len(desk.opened), len(desk.finalized)) == (2, 2)


async def test_nothing_is_lost_while_the_account_is_not_answered_either(scene: Scene, desk: OrderDesk) -> None:
    asked_account = 0

    def nobody_known(asked: Asked, _: int) -> Answer | None:
        nonlocal asked_account
        asked_account += asked.path.startswith("/account/")
        of_account = asked.path.startswith(("/order/", "/account/"))
        return problem("unauthorized", 403) if of_account and desk.finalized else None

    desk.fault = nobody_known
    await scene.peer.order(an_order("unknown", "unknown.example.org", issuer="desk"))
    # More than are needed of an order.
    await until(lambda: asked_account >= 4, what="four denials")
    desk.fault = no_fault
    await scene.peer.order(an_order("unknown", "unknown.example.org", issuer="desk"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["unknown"])
    assert (len(desk.opened), len(desk.finalized)) == (1, 1)


async def test_denials_are_counted_on_after_a_restart(scene: Scene, desk: OrderDesk) -> None:
    def no_orders(asked: Asked, _: int) -> Answer | None:
        first = _is_poll(asked) and desk.finalized[:1] == [int(asked.path.split("/")[2])]
        return problem("malformed", 404) if first else None

    def denials() -> int:
        rows = scene.journal("SELECT denials FROM job WHERE certificate_id = 'restarted'")
        return rows[0][0] if rows else 0

    desk.fault = no_orders
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
    assert (len(desk.opened), len(desk.finalized)) == (2, 2)
