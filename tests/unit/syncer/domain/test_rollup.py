from datetime import timedelta

from certcore.events import DeliveryReason
from syncer.domain.placement import Place, PlaceKind
from syncer.domain.rollup import AtPlace, Fails, Holds, rollup
from syncer.domain.target import Failure
from tests.unit.syncer.issuing import NOON

BLUE, GREEN = Place(PlaceKind.CLUSTER, "blue"), Place(PlaceKind.CLUSTER, "green")
HELD = AtPlace()


def _failed(reason: DeliveryReason, detail: str, seconds: int = 1) -> AtPlace:
    return AtPlace(failures=(Failure(reason, detail),), next_try=NOON + timedelta(seconds=seconds))


def test_a_target_holds_only_where_all_its_places_do() -> None:
    assert rollup({BLUE: HELD, GREEN: None}, unknown=None) is None
    assert rollup({BLUE: HELD, GREEN: HELD}, unknown=None) == Holds(repaired=False)
    assert rollup({BLUE: HELD, GREEN: AtPlace(repaired=True)}, unknown=None) == Holds(repaired=True)


def test_one_failing_place_is_told_while_another_was_not_looked_at_yet() -> None:
    said = rollup({BLUE: None, GREEN: _failed(DeliveryReason.UNREACHABLE, "green is down")}, unknown=None)
    assert said == Fails(DeliveryReason.UNREACHABLE, "green is down", NOON + timedelta(seconds=1))


def test_what_a_person_must_mend_comes_first_and_the_next_try_is_the_earliest() -> None:
    said = rollup(
        {
            BLUE: _failed(DeliveryReason.UNREACHABLE, "blue is down", 2),
            GREEN: _failed(DeliveryReason.CONFLICT, "a/b: is not certbus's", 5),
        },
        unknown=None,
    )
    assert isinstance(said, Fails)
    assert said.reason is DeliveryReason.CONFLICT
    assert said.detail == "a/b: is not certbus's; blue is down"
    assert said.next_try == NOON + timedelta(seconds=2)


def test_only_the_first_few_of_many_failures_are_named() -> None:
    failures = tuple(Failure(DeliveryReason.REFUSED, f"ns{number}: no" + "x" * 300) for number in range(200))
    said = rollup({BLUE: AtPlace(failures=failures)}, unknown=None)
    assert isinstance(said, Fails)
    assert said.detail.endswith("; and 197 more")
    assert len(said.detail) <= 500


def test_an_unknown_place_fails_the_target_although_the_others_hold() -> None:
    said = rollup({BLUE: HELD}, unknown="this site has no cluster red")
    assert said == Fails(DeliveryReason.UNKNOWN_PLACE, "this site has no cluster red", None)


def test_every_reason_has_a_rank() -> None:
    for reason in DeliveryReason:
        said = rollup({BLUE: _failed(reason, "x")}, unknown=None)
        assert isinstance(said, Fails)
        assert said.reason is reason
