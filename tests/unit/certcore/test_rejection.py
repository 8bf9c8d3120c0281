import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.rejection import RejectedError, Rejection, read_request

_GOOD = {
    "name": "orders",
    "dns_names": ["orders.internal.example.test"],
    "exposure": "internal",
    "targets": [{"kind": "files", "name": "host", "site": "site1"}],
    "endpoints": [{"url": "https://orders.internal.example.test:8443", "target": "host"}],
}


def _rejections(**changed: object) -> list[Rejection]:
    body = {key: value for key, value in {**_GOOD, **changed}.items() if value is not None}
    with pytest.raises(RejectedError) as caught:
        read_request(json.dumps(body).encode())
    return caught.value.rejections


def test_a_good_request_is_read() -> None:
    spec = read_request(json.dumps(_GOOD).encode())
    assert spec.name == "orders"
    assert spec.targets[0].site == "site1"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": "Bad Name"}, "name"),
        ({"name": None}, "name"),
        ({"dns_names": []}, "dns_names"),
        ({"dns_names": ["orders.internal.example.test", "no name"]}, "dns_names.1"),
        ({"dns_names": ["*.co.uk"]}, "dns_names.0"),
        ({"dns_names": ["a.*.example.org"]}, "dns_names.0"),
        ({"dns_names": [f"h{n}.example.org" for n in range(101)]}, "dns_names"),
        ({"dns_names": ["orders.internal.example.test"] * 2}, "dns_names.1"),
        ({"exposure": "secret"}, "exposure"),
        ({"colour": "blue"}, "colour"),
        ({"targets": [{"kind": "ftp", "name": "x", "site": "site1"}]}, "targets.0.kind"),
        ({"targets": [{"name": "x", "site": "site1"}]}, "targets.0.kind"),
        ({"targets": [{"kind": "files", "name": "x", "site": "site1", "path": "/etc"}]}, "targets.0.path"),
        ({"targets": [{"kind": "kubernetes", "name": "x", "site": "site1", "secret": "s"}]}, "targets.0.namespaces"),
        ({"targets": [{"kind": "files", "name": "a", "site": "site1"}] * 2}, "targets.1"),
        ({"endpoints": [{"url": "http://orders.internal.example.test"}]}, "endpoints.0.url"),
        ({"endpoints": [{"url": "https://user:pw@orders.internal.example.test"}]}, "endpoints.0.url"),
        ({"endpoints": [{"url": "https://orders.internal.example.test:99999"}]}, "endpoints.0.url"),
        ({"endpoints": [{"url": "https://other.example.test"}]}, "endpoints.0.url"),
        ({"endpoints": [{"url": "https://orders.internal.example.test", "target": "x"}]}, "endpoints.0.target"),
        ({"end_date": "tomorrow"}, "end_date"),
    ],
)
def test_a_bad_request_names_the_field_at_fault(changed: dict[str, object], field: str) -> None:
    found = _rejections(**changed)
    assert [rejection.field for rejection in found] == [field]
    assert found[0].message


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b"[" * 100_000, b'{"name": NaN}', b"\xff\xfe", b'"text"', b"[]", b"null"]
)
def test_what_is_no_json_object_is_rejected_as_body(body: bytes) -> None:
    with pytest.raises(RejectedError) as caught:
        read_request(body)
    assert [rejection.field for rejection in caught.value.rejections] == ["body"]


def test_a_huge_body_is_rejected_before_it_is_parsed() -> None:
    with pytest.raises(RejectedError, match="larger"):
        read_request(b" " * 70_000)


@given(st.binary(max_size=200))
def test_no_body_raises_anything_but_a_rejection(body: bytes) -> None:
    with pytest.raises(RejectedError):
        read_request(body)


@given(st.dictionaries(st.sampled_from(list(_GOOD)), st.recursive(st.none() | st.integers() | st.text(), st.lists)))
def test_no_value_of_a_field_raises_anything_but_a_rejection(changed: dict[str, object]) -> None:
    found: list[Rejection] = []
    try:
        read_request(json.dumps({**_GOOD, **changed}).encode())
    except RejectedError as error:
        found = error.rejections
    assert all(rejection.field and len(rejection.message) <= 300 for rejection in found)
