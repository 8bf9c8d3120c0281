"""A campaign at a simulated CA with Let's Encrypt's limits: short forms of `make prove PART=budgets`."""

import pytest

from tests.budgets.played import play

pytestmark = pytest.mark.integration


def test_no_order_is_refused_while_others_keep_to_what_is_left_to_them() -> None:
    one = play(7, orders=500, others=0.08)
    assert one.outcome.refusals == {}
    seen = one.outcome.seen
    assert seen["others"]
    assert seen["answer lost"]
    assert seen["failed validations"]
    # Whoever is told a time comes once more, and little oftener.
    assert seen["asked"] < 4 * one.orders


def test_without_a_margin_the_same_others_have_orders_refused() -> None:
    assert play(7, orders=500, others=0.08, share=1.0).outcome.refusals


def test_a_refusal_is_learned_from_and_nothing_is_granted_before_its_time() -> None:
    one = play(7, orders=300, others=0.5)
    refused = sum(one.outcome.refusals.values())
    assert 0 < refused < one.outcome.seen["orders"] / 4
    assert one.outcome.granted_while_held == 0
