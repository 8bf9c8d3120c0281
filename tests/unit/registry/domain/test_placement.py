from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from certcore.intent import Target
from certcore.placements import PLATFORM
from registry.domain.placement import Placement
from tests.unit.registry.samples import KINDS, NOON, placement

maybe_numbers = st.none() | st.integers(0, 3)


def test_a_target_that_makes_its_own_key_has_a_variant_of_its_own_name() -> None:
    cdn = Placement.of("c-1", Target(name="edge", kind="cdn"), KINDS["cdn"])
    assert (cdn.variant, cdn.place, cdn.service, cdn.recipient) == ("edge", "hub", "pusher", "hub-pusher")
    web = Placement.of("c-1", Target(name="web", kind="files", site="site1"), KINDS["files"])
    assert (web.variant, web.place, web.service, web.recipient) == (PLATFORM, "site1", "syncer", "site1-syncer")


def test_a_rollback_is_a_higher_generation_with_an_earlier_revision() -> None:
    later = NOON + timedelta(hours=1)
    back = placement(wanted=2, holds=2, failed_generation=1).ordered(1, 3, later)
    assert (back.wanted, back.generation, back.ordered_at) == (1, 3, later)
    assert (back.is_held, back.is_failed, back.held) == (False, False, 2)


@given(maybe_numbers, maybe_numbers, maybe_numbers, maybe_numbers, st.integers(0, 3))
def test_a_placement_is_held_or_failed_and_never_both(
    wanted: int | None, held: int | None, held_generation: int | None, failed: int | None, generation: int
) -> None:
    found = placement(
        wanted=wanted, held=held, held_generation=held_generation, failed_generation=failed, generation=generation
    )
    assert not (found.is_held and found.is_failed)
    assert found.is_held <= (found.held == found.wanted and found.held_generation == found.generation)
