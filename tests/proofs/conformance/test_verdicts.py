"""What a CA says in earnest: what is handed on, what is told to whom, and what is ordered again."""

import pytest

from certcore.events import FailureCode, MustAct
from certcore.placements import PLATFORM
from tests.acme_ca import acts
from tests.acme_ca.calls import Endpoint, problem
from tests.acme_ca.conduct import LeafFault
from tests.proofs.conformance.stage import Stage

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize("fault", [fault for fault in LeafFault if fault is not LeafFault.NO_PEM])
async def test_what_was_not_asked_for_is_not_handed_on(stage: Stage, fault: LeafFault) -> None:
    stage.conduct(faults=(fault,))
    await stage.order()
    failed = await stage.failed()
    assert (failed.code, failed.must_act) == (FailureCode.CERTIFICATE_UNFIT, MustAct.OPERATOR)
    assert (stage.certificate, 1, PLATFORM) not in stage.scene.registry.issued
    assert len(stage.finalized) == 1
    # Asked for once more, by a person: the next leaf is right.
    await stage.order()
    await stage.issued()
    assert len(stage.finalized) == 2


async def test_an_answer_that_is_no_chain_is_told_and_costs_no_other_order(stage: Stage) -> None:
    stage.conduct(faults=(LeafFault.NO_PEM,))
    await stage.order()
    failed = await stage.failed()
    assert (failed.code, failed.must_act) == (FailureCode.CA_UNREACHABLE, MustAct.NOBODY)
    assert "no chain as PEM" in failed.reason
    assert (stage.certificate, 1, PLATFORM) not in stage.scene.registry.issued
    assert len(stage.orders) == len(stage.finalized) == 1


@pytest.mark.parametrize("told_in_order", [True, False])
async def test_a_name_that_can_not_be_proven_is_its_owners_matter(stage: Stage, *, told_in_order: bool) -> None:
    verdict = problem("caa", 403, f"CAA of {stage.name} forbids it").document()
    stage.conduct(verdict=verdict, told_in_order=told_in_order)
    await stage.order()
    failed = await stage.failed()
    assert (failed.code, failed.must_act) == (FailureCode.CHALLENGE_FAILED, MustAct.DNS_OWNER)
    assert "forbids it" in failed.reason
    assert failed.next_try is not None
    assert len(stage.orders) == 1
    assert stage.finalized == []


async def test_an_order_that_turns_invalid_is_told_with_the_names_at_fault(stage: Stage) -> None:
    inner = {
        "type": "urn:ietf:params:acme:error:caa",
        "detail": "forbidden by CAA",
        "identifier": {"type": "dns", "value": stage.name},
    }
    stage.conduct(signing_looks=1, signing_problem=problem("compound", 403, subproblems=[inner]).document())
    await stage.order()
    failed = await stage.failed()
    assert f"{stage.name}: " in failed.reason
    assert "forbidden by CAA" in failed.reason
    assert len(stage.orders) == 1
    # It was finalized, and invalid is invalid: a second one is a second order's matter.
    assert len(stage.finalized) == 1


async def test_nothing_is_proven_where_the_ca_knows_it_already(stage: Stage) -> None:
    stage.conduct(valid_already=frozenset({stage.name}))
    await stage.issued_with_one_order()
    assert stage.count(Endpoint.CHALLENGE) == 0
    assert stage.scene.registry.issued[stage.certificate, 1, PLATFORM].report is not None


async def test_only_what_is_not_known_yet_is_proven(stage: Stage) -> None:
    other = f"other-{stage.name}"
    stage.conduct(valid_already=frozenset({stage.name}))
    await stage.order(other)
    await stage.issued()
    (order,) = stage.ca.finalized(stage.name, other)
    assert [authorization.answers for authorization in order.authorizations] == [0, 1]


async def test_a_ca_that_offers_no_way_that_is_known_here_is_an_operators_matter(stage: Stage) -> None:
    stage.conduct(offers=("dns-account-01",))
    await stage.order()
    failed = await stage.failed()
    assert (failed.code, failed.must_act, failed.next_try) == (FailureCode.CONFIGURATION, MustAct.OPERATOR, None)
    assert len(stage.orders) == 1


async def test_an_order_that_the_ca_denies_for_long_is_replaced_once(stage: Stage) -> None:
    """The account answers all the while, and each answer is a problem document about the order: it is lost."""
    stage.conduct(signing_looks=1)
    await _deny_orders(stage, count=1)
    await stage.order()
    await stage.issued()
    assert len(stage.orders) == 2
    assert [order.finalized_at is not None for order in stage.orders] == [True, True]


async def test_an_order_that_is_denied_twice_for_long_ends_in_a_report(stage: Stage) -> None:
    stage.conduct(signing_looks=1)
    await _deny_orders(stage, count=100)
    await stage.order()

    def given_up() -> bool:
        return any(one.code == FailureCode.ORDER_LOST and one.must_act == MustAct.OPERATOR for one in stage.failures)

    await stage.until(given_up, what="people are told that the CA loses orders")
    assert len(stage.orders) == 2


async def _deny_orders(stage: Stage, *, count: int) -> None:
    """From its finalize on, each of the first orders is denied."""

    def denied(order: str | None) -> bool:
        known = {one.id: one for one in stage.orders[:count]}
        return order in known and known[order].finalized_at is not None

    stage.ca.script.add(
        acts.refuse("malformed", 404, "no such order"),
        Endpoint.ORDER,
        Endpoint.FINALIZE,
        name=stage.name,
        times=None,
        when=lambda call: denied(call.order),
    )


@pytest.mark.parametrize("answer", ["404_html", "403_html", "404_empty"])
async def test_an_answer_without_a_problem_is_no_evidence_however_often_it_comes(stage: Stage, answer: str) -> None:
    ways = {"404_html": acts.html(404), "403_html": acts.html(403), "404_empty": acts.answer(404)}
    stage.conduct(signing_looks=1)
    rule = stage.misbehave(ways[answer], Endpoint.ORDER, times=None, after_finalize=True)
    await stage.order()
    await stage.until(lambda: rule.hits >= 4, what="it asked four times")
    stage.ca.script.remove(rule)
    await stage.issued()
    assert len(stage.orders) == len(stage.finalized) == 1, stage.told()


async def test_a_denial_counts_for_nothing_while_the_account_is_denied_too(stage: Stage) -> None:
    """Behind the wrong door nothing is known, and that says nothing about the order."""
    stage.conduct(signing_looks=1)
    denied = stage.misbehave(acts.refuse("malformed", 404), Endpoint.ORDER, times=None, after_finalize=True)
    account = stage.ca.script.add(acts.refuse("unauthorized", 403), Endpoint.ACCOUNT, times=None)
    await stage.order()
    await stage.until(lambda: denied.hits >= 4, what="it asked four times")
    stage.ca.script.remove(denied)
    stage.ca.script.remove(account)
    await stage.issued()
    assert len(stage.orders) == len(stage.finalized) == 1, stage.told()


async def test_an_account_that_is_unknown_for_a_moment_is_found_again(stage: Stage) -> None:
    rule = stage.misbehave(acts.refuse("accountDoesNotExist"), Endpoint.ORDER)
    await stage.issued_with_one_order(rule)
    assert len(stage.ca.books.accounts) == 1


async def test_an_account_that_the_ca_forgot_is_made_again_with_the_same_key(stage: Stage) -> None:
    (before,) = stage.ca.books.accounts.values()
    stage.ca.books.forget_accounts()
    # And the answer to that gets lost.
    rule = stage.ca.script.add(acts.lost(), Endpoint.NEW_ACCOUNT)
    await stage.issued_with_one_order(rule)
    (after,) = stage.ca.books.accounts.values()
    assert after.key == before.key
    assert after.id != before.id
