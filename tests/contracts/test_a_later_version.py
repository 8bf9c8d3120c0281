"""What a later version writes is read today: more fields anywhere, other words, longer lists."""

import json
from typing import Any

import pytest

from certcore.events import DeliveryFailed, DeploymentOrdered, RequestSubmitted
from certcore.events.event import Event
from tests.contracts.today import WRITTEN, written_bodies

_READ = [kind for kind in WRITTEN.values() if kind is not RequestSubmitted]


def _with_more_fields(value: Any) -> Any:
    if isinstance(value, dict):
        # Labels are a requester's own words, and no fields.
        deeper = {name: item if name == "labels" else _with_more_fields(item) for name, item in value.items()}
        return deeper | {"later": {"any": [1]}}
    return [_with_more_fields(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", _READ, ids=lambda kind: kind.type)
def test_fields_that_are_unknown_anywhere_change_nothing_that_is_known(kind: type[Event]) -> None:
    for body in written_bodies(kind):
        read = kind.model_validate_json(json.dumps(_with_more_fields(json.loads(body))))
        assert _known(read.model_dump(mode="json")) == _known(json.loads(body))


def _known(value: Any) -> Any:
    """Targets keep the fields of a kind that is not installed: what was added is taken out again."""
    if isinstance(value, dict):
        return {name: _known(item) for name, item in value.items() if name != "later"}
    return [_known(item) for item in value] if isinstance(value, list) else value


def test_a_reason_that_is_unknown_is_kept_as_it_is() -> None:
    body = json.loads(written_bodies(DeliveryFailed)[0]) | {"reason": "quota_exhausted"}
    assert DeliveryFailed.model_validate(body).reason == "quota_exhausted"


def test_an_order_with_more_namespaces_than_the_door_takes_is_read_whole() -> None:
    body = json.loads(written_bodies(DeploymentOrdered)[0])
    namespaces = [f"team-{number}" for number in range(1001)]
    body["placements"][0]["target"] = {"kind": "kubernetes", "name": "web", "site": "fra1", "namespaces": namespaces}
    order = DeploymentOrdered.model_validate(body)
    assert order.unreadable == ()
    assert order.placements[0].target.fields["namespaces"] == namespaces
