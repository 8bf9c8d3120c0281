import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from certcore.certificate import CertificateSpec
from certcore.door import RequestDoor
from certcore.rejection import RejectedError, Rejection
from certcore.targets import FILES, HAPROXY, KUBERNETES, TargetKind, TargetKinds, TargetRequest


class ShelfTarget(TargetRequest):
    kind: Literal["shelf"] = "shelf"
    row: int = Field(ge=1)


SHELF = TargetKind("shelf", "pusher", ShelfTarget)
DOOR = RequestDoor(TargetKinds([FILES, HAPROXY, KUBERNETES, SHELF]))
GOOD: dict[str, Any] = {
    "name": "orders",
    "dns_names": ["orders.internal.example.test"],
    "exposure": "internal",
    "targets": [{"kind": "files", "name": "host", "site": "site1"}],
    "endpoints": [{"url": "https://orders.internal.example.test:8443", "target": "host"}],
}


def read(door: RequestDoor = DOOR, /, **changed: Any) -> CertificateSpec:
    body = {key: value for key, value in {**GOOD, **changed}.items() if value is not None}
    return door.read(json.dumps(body).encode())


def rejections(door: RequestDoor = DOOR, /, **changed: Any) -> list[Rejection]:
    with pytest.raises(RejectedError) as caught:
        read(door, **changed)
    return caught.value.rejections


def target(**fields: Any) -> dict[str, Any]:
    """One target beside the good one, which the endpoint names."""
    return {"targets": [*GOOD["targets"], {"name": "x", **fields}]}


def test_a_good_request_is_read() -> None:
    spec = read()
    assert (spec.name, spec.kind) == ("orders", "new")
    assert spec.targets[0].site == "site1"


def test_a_kind_from_another_package_is_read_with_its_own_fields() -> None:
    found = read(**target(kind="shelf", row=3)).targets[1]
    assert isinstance(found, ShelfTarget)
    assert (found.row, found.site, SHELF.at_site) == (3, None, False)


def test_without_that_package_its_kind_is_refused_and_the_known_ones_are_named() -> None:
    door = RequestDoor(TargetKinds([FILES, HAPROXY]))
    [found] = rejections(door, **target(kind="shelf", row=3))
    assert (found.field, found.message) == ("targets.1.kind", "must be one of files, haproxy")


def test_a_door_may_know_one_kind_alone() -> None:
    door = RequestDoor(TargetKinds([FILES]))
    assert read(door).targets[0].kind == "files"
    [found] = rejections(door, **target(kind="shelf", site="site1"))
    assert (found.field, found.message) == ("targets.1.kind", "must be one of files")
    [unknown] = rejections(door, **target(kind="files", site="site1", files="x"))
    assert unknown.field == "targets.1.files"


@pytest.mark.parametrize(
    ("changed", "field", "way_out"),
    [
        ({"kind": "revoke"}, "kind", 'must be "new"'),
        ({"name": "Bad Name"}, "name", "1 to 63 lower-case letters, digits and hyphens"),
        ({"name": "a" * 64}, "name", "1 to 63"),
        ({"name": None}, "name", "is missing"),
        ({"name": 7}, "name", "should be a valid string"),
        ({"dns_names": []}, "dns_names", "give at least one"),
        ({"dns_names": ["orders.internal.example.test", "no name"]}, "dns_names.1", "give at least two labels"),
        ({"dns_names": ["*.co.uk"]}, "dns_names.0", "public suffix"),
        ({"dns_names": ["a.*.example.org"]}, "dns_names.0", "only the whole first label may be *"),
        ({"dns_names": [f"h{n}.example.org" for n in range(101)]}, "dns_names", "at most 100 are allowed"),
        ({"dns_names": ["orders.internal.example.test"] * 2}, "dns_names.1", "is given twice"),
        ({"exposure": "secret"}, "exposure", "'internal' or 'public'"),
        ({"key_algorithm": "dsa"}, "key_algorithm", "'ec-p256'"),
        ({"colour": "blue"}, "colour", "is not a field of a request"),
        ({"files": "blue"}, "files", "is not a field of a request"),
        ({"targets": []}, "targets", "give at least one"),
        (target(kind="ftp", site="site1"), "targets.1.kind", "must be one of files, haproxy, kubernetes, shelf"),
        (target(site="site1"), "targets.1.kind", "must be one of"),
        (target(kind="files", site="site1", path="/etc"), "targets.1.path", "is not a field of a request"),
        (target(kind="files", site="site1", files="x"), "targets.1.files", "is not a field of a request"),
        (target(kind="files"), "targets.1.site", "is missing"),
        (target(kind="shelf", row=0), "targets.1.row", "greater than or equal to 1"),
        (target(kind="kubernetes", site="site1", secret="s"), "targets.1.namespaces", "is missing"),
        (
            target(kind="kubernetes", site="site1", secret="s", namespaces=["a", "B"]),
            "targets.1.namespaces.1",
            "1 to 253 lower-case letters, digits, hyphens and dots",
        ),
        (target(kind="files", site="site1", name="host"), "targets.1", "host is given twice"),
        ({"endpoints": [{"url": "http://orders.internal.example.test"}]}, "endpoints.0.url", "give https://host"),
        (
            {"endpoints": [{"url": "https://user:pw@orders.internal.example.test"}]},
            "endpoints.0.url",
            "only a host and a port",
        ),
        (
            {"endpoints": [{"url": "https://orders.internal.example.test:99999"}]},
            "endpoints.0.url",
            "give https://host",
        ),
        ({"endpoints": [{"url": "https://other.example.test"}]}, "endpoints.0.url", "not covered by dns_names"),
        (
            {"endpoints": [{"url": "https://orders.internal.example.test", "target": "x"}]},
            "endpoints.0.target",
            "is no target of this request",
        ),
        ({"endpoints": None}, "endpoints", 'say "proof": "none"'),
        ({"proof": "none"}, "proof", "leave one of the two out"),
        ({"proof": "faith", "endpoints": []}, "proof", "'endpoints' or 'none'"),
        ({"end_date": "tomorrow"}, "end_date", "valid datetime"),
        ({"end_date": "2027-01-01T00:00:00"}, "end_date", "timezone"),
        ({"labels": {"tier": "a b"}}, "labels.tier", "must be empty, or at most 63 letters"),
        ({"labels": {"Bad Key": "x"}}, "labels.Bad Key", "1 to 63 lower-case letters"),
        ({"labels": {f"k{n}": "" for n in range(33)}}, "labels", "at most 32 are allowed"),
        ({"contact": "x" * 201}, "contact", "at most 200"),
        ({"contact": "\x1b[31m"}, "contact", "control characters"),
        ({"description": "-----BEGIN EC PRIVATE KEY-----"}, "description", "consider it as lost"),
    ],
)
def test_a_bad_request_names_the_field_at_fault_and_the_way_out(
    changed: dict[str, Any], field: str, way_out: str
) -> None:
    [found] = rejections(**changed)
    assert found.field == field
    assert way_out in found.message


def test_endpoints_may_be_left_out_where_nobody_can_look() -> None:
    assert read(endpoints=None, proof="none").endpoints == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[" * 100_000,
        b'{"name": NaN}',
        b"\xff\xfe",
        b'"text"',
        b"[]",
        b"null",
        b'{"a":"\\ud800"}',
    ],
)
def test_what_is_no_json_object_is_rejected_as_body(body: bytes) -> None:
    with pytest.raises(RejectedError) as caught:
        DOOR.read(body)
    assert [rejection.field for rejection in caught.value.rejections] == ["body"]


def test_a_field_that_is_given_twice_is_rejected_by_name() -> None:
    with pytest.raises(RejectedError) as caught:
        DOOR.read(b'{"name": "a", "name": "b"}')
    assert caught.value.rejections == [Rejection(field="name", message="is given twice")]


def test_a_huge_body_is_rejected_before_it_is_parsed() -> None:
    with pytest.raises(RejectedError, match="larger"):
        DOOR.read(b" " * 70_000)


@given(st.binary(max_size=200))
def test_no_body_raises_anything_but_a_rejection(body: bytes) -> None:
    with pytest.raises(RejectedError):
        DOOR.read(body)


values = st.recursive(st.none() | st.integers() | st.text(max_size=8), st.lists, max_leaves=5)


@given(st.dictionaries(st.sampled_from(list(GOOD)), values))
def test_no_value_of_a_field_raises_anything_but_a_rejection(changed: dict[str, object]) -> None:
    found: list[Rejection] = []
    try:
        DOOR.read(json.dumps({**GOOD, **changed}).encode())
    except RejectedError as error:
        found = error.rejections
    assert all(rejection.field and len(rejection.message) <= 300 for rejection in found)
