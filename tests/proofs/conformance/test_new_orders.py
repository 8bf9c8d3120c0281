"""What may go wrong with newOrder: how many orders it costs, and what people are told."""

import pytest

from certcore.events import FailureCode, MustAct
from certcore.placements import PLATFORM
from tests.acme_ca import acts
from tests.acme_ca.calls import Endpoint
from tests.acme_ca.orders import Order
from tests.acme_ca.signing import ari_id
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import until
from tests.proofs.conformance.stage import Stage

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


async def test_a_new_order_that_takes_its_time_is_waited_for(stage: Stage) -> None:
    rule = stage.misbehave(acts.slow(8.0), Endpoint.NEW_ORDER)
    await stage.issued_with_one_order(rule)
    assert stage.count(Endpoint.NEW_ORDER) == 1


async def test_a_new_order_whose_answer_is_lost_leaves_one_behind(stage: Stage) -> None:
    rule = stage.misbehave(acts.lost(), Endpoint.NEW_ORDER)
    await stage.order()
    await stage.issued()
    assert rule.hits == 1
    assert len(stage.finalized) == 1
    assert len(stage.orders) == 2


async def test_a_new_order_that_never_arrived_is_sent_again(stage: Stage) -> None:
    rule = stage.misbehave(acts.reset(), Endpoint.NEW_ORDER)
    await stage.issued_with_one_order(rule)


@pytest.mark.parametrize("answer", ["empty", "half", "no_location"])
async def test_a_new_order_that_can_not_be_read_leaves_one_behind_at_most(stage: Stage, answer: str) -> None:
    ways = {
        "empty": acts.answer(201),
        "half": acts.truncated(),
        "no_location": acts.without_headers("Location"),
    }
    rule = stage.misbehave(ways[answer], Endpoint.NEW_ORDER)
    await stage.order()
    await stage.issued()
    assert rule.hits == 1
    assert len(stage.finalized) == 1
    assert len(stage.orders) <= 2


@pytest.mark.parametrize("answer", ["500_problem", "500_empty", "503_html", "redirect", "other_shape"])
async def test_a_new_order_that_fails_at_the_ca_is_sent_again(stage: Stage, answer: str) -> None:
    ways = {
        "500_problem": acts.refuse("serverInternal", 500),
        "500_empty": acts.answer(500),
        "503_html": acts.html(503, wait=lambda: "1"),
        "redirect": acts.answer(302, headers={"Location": "https://127.0.0.1:1/elsewhere"}),
        "other_shape": acts.other_shape(500),
    }
    rule = stage.misbehave(ways[answer], Endpoint.NEW_ORDER)
    await stage.issued_with_one_order(rule)


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_limit_is_kept_to_as_long_as_the_ca_says(stage: Stage, form: str) -> None:
    wait = acts.http_date if form == "date" else lambda left: f"{left:.0f}"
    rule = stage.misbehave(acts.limited(3.0, wait=wait), Endpoint.NEW_ORDER, times=None)
    await stage.order()
    await stage.issued()
    assert rule.hits > 0
    assert len(stage.orders) == 1
    asked = stage.ca.asked(Endpoint.NEW_ORDER, stage.name)
    # Seconds are told rounded, so that the first to come after them may be a little early.
    early = [one for one in asked if one.at - asked[0].at < 2.0]
    assert len(early) == 1


async def test_a_profile_that_the_ca_refuses_is_not_asked_for_twice(stage: Stage) -> None:
    await stage.order(profile="unheard-of")
    failed = await stage.failed()
    assert (failed.code, failed.must_act) == (FailureCode.CA_REFUSED, MustAct.OPERATOR)
    assert "invalidProfile" in failed.reason
    assert stage.count(Endpoint.NEW_ORDER) == 1


async def test_a_profile_that_the_ca_leaves_out_is_no_failure(stage: Stage) -> None:
    def forget(order: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in order.items() if name != "profile"}

    stage.misbehave(acts.rewritten(forget), Endpoint.NEW_ORDER, Endpoint.ORDER, Endpoint.FINALIZE, times=None)
    await stage.order(profile="default")
    await stage.issued()
    assert len(stage.orders) == 1


@pytest.mark.parametrize("identifier", [{}, {"identifier": None}, {"identifier": {"type": "dns"}}])
async def test_subproblems_that_name_nobody_are_told(stage: Stage, identifier: dict[str, object]) -> None:
    inner = {"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "not that one", **identifier}
    stage.misbehave(acts.refuse("compound", 403, subproblems=[inner]), Endpoint.NEW_ORDER, times=None)
    await stage.order()
    failed = await stage.failed()
    assert failed.code == FailureCode.CA_REFUSED
    assert "not that one" in failed.reason
    assert stage.count(Endpoint.NEW_ORDER) == 1


async def _first(stage: Stage) -> str:
    """Issue a first revision, and return what the next says that it replaces."""
    await stage.issued_with_one_order()
    (order,) = stage.finalized
    assert order.leaf is not None
    return ari_id(order.leaf)


def _second(stage: Stage) -> list[Order]:
    return stage.orders[1:]


async def _renewed(stage: Stage, replaces: str) -> None:
    await stage.order(revision=2, replaces=replaces)
    await stage.issued(2)
    assert len(stage.finalized) == 2


async def test_a_renewal_says_what_it_replaces(stage: Stage) -> None:
    replaces = await _first(stage)
    await _renewed(stage, replaces)
    assert [order.replaces for order in _second(stage)] == [replaces]


@pytest.mark.parametrize("answer", ["500", "503_html", "lost_500", "malformed_html"])
async def test_a_replacement_is_not_given_up_for_an_answer_that_says_nothing_of_it(stage: Stage, answer: str) -> None:
    replaces = await _first(stage)
    ways = {
        "500": acts.refuse("serverInternal", 500),
        "503_html": acts.html(503, wait=lambda: "1"),
        "lost_500": acts.answer(500),
        "malformed_html": acts.html(400),
    }
    rule = stage.misbehave(ways[answer], Endpoint.NEW_ORDER)
    await _renewed(stage, replaces)
    assert rule.hits == 1
    assert [order.replaces for order in _second(stage)] == [replaces]


async def test_a_replacement_on_which_the_ca_fails_each_time_is_ordered_without(stage: Stage) -> None:
    """As Pebble does for every 256th certificate: its serial number begins with a zero octet."""
    replaces = await _first(stage)
    rule = stage.misbehave(
        acts.refuse("serverInternal", 500, "could not find an order for the given certificate"),
        Endpoint.NEW_ORDER,
        times=None,
        when=lambda call: "replaces" in call.payload,
    )
    await _renewed(stage, replaces)
    assert rule.hits > 1
    assert [order.replaces for order in _second(stage)] == [None]


async def test_a_replacement_that_another_order_has_taken_is_ordered_without(stage: Stage) -> None:
    replaces = await _first(stage)
    rule = stage.misbehave(acts.refuse("alreadyReplaced", 409), Endpoint.NEW_ORDER)
    await _renewed(stage, replaces)
    assert rule.hits == 1
    assert [order.replaces for order in _second(stage)] == [None]


async def test_a_replacement_whose_answer_was_lost_is_not_taken_twice(stage: Stage) -> None:
    replaces = await _first(stage)
    rule = stage.misbehave(acts.lost(), Endpoint.NEW_ORDER)
    await _renewed(stage, replaces)
    assert rule.hits == 1
    # The first is pending and nobody knows its URL: it keeps the replacement, as Let's Encrypt has it.
    assert [order.replaces for order in _second(stage)] == [replaces, None]


async def test_a_ca_without_renewal_information_is_not_told_of_a_replacement(stage: Stage) -> None:
    """The directory of a running issuer is of before: such a CA is told apart in test_every_ca.py."""
    replaces = await _first(stage)
    rule = stage.misbehave(acts.refuse("malformed", 404, "no certificate is known as that"), Endpoint.NEW_ORDER)
    await _renewed(stage, replaces)
    assert rule.hits == 1


async def test_orders_of_two_certificates_may_share_an_authorization(stage: Stage) -> None:
    stage.ca.books.shares_authorizations = True
    stage.conduct(validation_s=1.0)
    twin = f"{stage.certificate}-twin"
    await stage.order()
    await stage.scene.peer.order(an_order(twin, stage.name))
    await stage.issued()
    await until(lambda: (twin, 1, PLATFORM) in stage.scene.registry.issued, what="the twin is issued")
    assert len(stage.finalized) == 2
    assert len(stage.orders) == 2
