from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from certdelivery.orders import Standing, standing
from certdelivery.placements import Placement, placements_of
from tests.issuing import SITE, Authority, order_for, target
from tests.unit.certdelivery.shelf import ShelfDriver

ISSUED = Authority().issue()


def _placement(generation: int, revision: int = 1, *, shelf: str = "a") -> Placement:
    order = order_for(ISSUED, generation, [target("shelf", "web", shelves=[shelf])], revision=revision)
    (placement,) = placements_of(
        order, place=SITE, drivers={"shelf": ShelfDriver()}, configured={"shelf": ["a", "b"]}
    )
    return placement


def test_the_first_order_of_a_placement_counts() -> None:
    assert standing(None, _placement(3)) is Standing.FIRST


def test_a_higher_generation_counts_and_a_lower_one_does_not() -> None:
    assert standing(_placement(3), _placement(4)) is Standing.NEWER
    assert standing(_placement(3), _placement(2)) is Standing.OLDER
    assert not Standing.OLDER.urgent


def test_the_revision_is_never_compared() -> None:
    assert standing(_placement(3, revision=3), _placement(4, revision=2)) is Standing.NEWER
    assert standing(_placement(4, revision=2), _placement(3, revision=3)) is Standing.OLDER


def test_the_same_order_again_only_says_look_again() -> None:
    again = replace(_placement(3), traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    assert standing(_placement(3), again) is Standing.SAME
    assert not Standing.SAME.urgent


def test_a_changed_order_of_the_same_generation_counts() -> None:
    assert standing(_placement(3), _placement(3, shelf="b")) is Standing.CHANGED


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 5)), min_size=1))
def test_whatever_the_sequence_of_orders_the_highest_generation_is_the_one_that_counts(
    orders: list[tuple[int, int]],
) -> None:
    known: Placement | None = None
    for generation, revision in orders:
        offered = _placement(generation, revision)
        if standing(known, offered) is not Standing.OLDER:
            known = offered
    assert known is not None
    assert known.generation == max(generation for generation, _ in orders)
