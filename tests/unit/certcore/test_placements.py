from hypothesis import given
from hypothesis import strategies as st

from certcore.events import DeploymentOrdered
from certcore.placements import Action, epoch_of, generation

numbers = st.integers(0, 2**32 - 1)
epochs = st.integers(0, 2**30)


@given(epochs, numbers, epochs, numbers)
def test_a_generation_grows_by_epoch_first_and_by_number_then(
    epoch: int, number: int, other_epoch: int, other: int
) -> None:
    assert (generation(epoch, number) < generation(other_epoch, other)) == ((epoch, number) < (other_epoch, other))


@given(epochs, numbers)
def test_a_generation_says_of_which_epoch_it_is(epoch: int, number: int) -> None:
    assert epoch_of(generation(epoch, number)) == epoch
    assert generation(epoch, number) < 2**63


def test_in_the_first_epoch_a_generation_is_its_number() -> None:
    assert generation(0, 7) == 7


def test_an_order_with_an_action_of_a_newer_registry_is_read_as_it_is() -> None:
    order = {"target": {"name": "web", "kind": "files"}, "generation": 3, "action": "freeze"}
    event = DeploymentOrdered.model_validate({"certificate_id": "c", "name": "n", "placements": [order]})
    assert event.placements[0].action == "freeze"
    assert event.placements[0].action not in set(Action)
