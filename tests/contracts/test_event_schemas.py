"""Every event has a golden schema. A change that would break a consumer shows here before it is published.

`UPDATE_GOLDENS=1 make test T=tests/contracts` writes them anew: look at the difference before you commit it.
"""

import json
import os
from pathlib import Path

import pytest

from certcore.asyncapi import document
from certcore.door import RequestDoor
from certcore.events import catalogue
from certcore.targets import FILES, HAPROXY, KUBERNETES, TargetKinds

_FOLDER = Path(__file__).parent
_EVENTS = catalogue()


def _compare(path: Path, content: str) -> None:
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    assert path.exists(), f"{path.name} is missing: run with UPDATE_GOLDENS=1 and commit it"
    assert json.loads(path.read_text()) == json.loads(content)


@pytest.mark.parametrize("event_type", sorted(_EVENTS))
def test_an_event_keeps_its_golden_schema(event_type: str) -> None:
    schema = _EVENTS[event_type].model_json_schema()
    _compare(_FOLDER / "events" / f"{event_type}.json", json.dumps(schema, indent=2, sort_keys=True) + "\n")


def test_no_golden_is_left_without_its_event() -> None:
    goldens = {path.name.removesuffix(".json") for path in (_FOLDER / "events").glob("*.json")}
    assert goldens == set(_EVENTS)


def test_the_request_body_of_api_and_bus_keeps_its_golden_schema() -> None:
    schema = RequestDoor(TargetKinds([FILES, HAPROXY, KUBERNETES])).model.model_json_schema()
    _compare(_FOLDER / "certificate_spec.json", json.dumps(schema, indent=2, sort_keys=True) + "\n")


def test_the_asyncapi_document_is_the_generated_one() -> None:
    path = _FOLDER.parents[1] / "docs" / "asyncapi.json"
    _compare(path, json.dumps(document(), indent=2) + "\n")


@pytest.mark.parametrize("event_type", sorted(_EVENTS))
def test_an_event_type_carries_its_version(event_type: str) -> None:
    assert event_type.startswith("certbus.")
    assert event_type.rsplit(".", 1)[1] in {"v1", "v2"}


@pytest.mark.parametrize("event_type", sorted(_EVENTS))
def test_no_event_has_a_field_for_a_key(event_type: str) -> None:
    names = set(_names(_EVENTS[event_type].model_json_schema()))
    assert names.isdisjoint({"key", "key_pem", "private_key", "tls_key", "sealed", "token"})


def _names(schema: object) -> list[str]:
    if isinstance(schema, dict):
        found = list(schema.get("properties", {}))
        return found + [name for value in schema.values() for name in _names(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in _names(value)]
    return []
