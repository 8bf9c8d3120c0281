from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.certificate import CertificateSpec, KeyAlgorithm, approval_hash, endpoint_address, stored
from certcore.door import RequestDoor
from certcore.identities import HUB
from certcore.intent import Intent
from certcore.targets import FILES, HAPROXY, KUBERNETES, FilesTarget, TargetKind, TargetKinds, TargetRequest

DOOR = RequestDoor(TargetKinds([FILES, HAPROXY, KUBERNETES]))
BODY: dict[str, Any] = {
    "name": "checkout",
    "dns_names": ["checkout.example.org", "*.shop.example.org"],
    "exposure": "public",
    "issuer": "sslcom",
    "key_algorithm": "rsa-3072",
    "targets": [
        {"kind": "kubernetes", "name": "web", "site": "site1", "secret": "tls", "namespaces": ["shop", "cart"]},
        {"kind": "files", "name": "host", "site": "site2", "store": "default"},
        {"kind": "haproxy", "name": "edge", "site": "site1", "instance": "outer"},
    ],
    "endpoints": [
        {"url": "https://checkout.example.org:8443", "target": "web"},
        {"url": "https://a.shop.example.org"},
    ],
    "end_date": "2027-01-01T00:00:00Z",
    "labels": {"tier": "gold"},
    "contact": "shop@example.org",
    "description": "What people pay by.",
}
GOLDEN = "v1:cab36a651ca81a7c5a9fb98b97a148924a3e79ec91af9cbcb177af1f7dbd0687"


def spec(**changes: object) -> CertificateSpec:
    body = {key: value for key, value in (BODY | changes).items() if value is not None}
    return DOOR.model.model_validate(body)


def hashed(**changes: object) -> str:
    return approval_hash(spec(**changes), owner="shop")


def with_target(number: int, **changes: object) -> dict[str, object]:
    targets = [dict(target) for target in BODY["targets"]]
    targets[number] |= changes
    return {"targets": targets, "endpoints": [{"url": "https://checkout.example.org"}]}


def test_an_approval_hash_is_stable_over_releases() -> None:
    assert hashed() == GOLDEN


@pytest.mark.parametrize(
    "changes",
    [
        {"dns_names": BODY["dns_names"][::-1]},
        {"targets": BODY["targets"][::-1]},
        {"labels": {"tier": "tin", "more": ""}},
        {"labels": None},
        {"endpoints": [{"url": "https://checkout.example.org"}]},
        {"endpoints": None, "proof": "none"},
        {"contact": None},
        {"description": "Something else."},
        {"end_date": "2027-01-01T01:00:00+01:00"},
        {"kind": "new"},
        {"owner": "shop"},
    ],
)
def test_what_an_approval_does_not_cover_leaves_its_hash(changes: dict[str, object]) -> None:
    assert hashed(**changes) == GOLDEN


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "checkout2"},
        {"dns_names": ["checkout.example.org", "*.shop.example.org", "b.example.org"]},
        {"exposure": "internal"},
        {"key_algorithm": "ec-p256"},
        {"issuer": None},
        {"issuer": "digicert"},
        {"end_date": None},
        {"end_date": "2027-01-01T00:00:01Z"},
        with_target(0, name="web2"),
        with_target(0, site="site2"),
        with_target(0, secret="tls2"),
        with_target(0, namespaces=["shop"]),
        with_target(0, clusters=["blue"]),
        with_target(1, store="other"),
        with_target(1, kind="haproxy", store=None)
        | {"targets": [{"kind": "haproxy", "name": "host", "site": "site2"}]},
        with_target(2, instance="default"),
        {"targets": BODY["targets"][:2]},
    ],
)
def test_what_an_approval_covers_changes_its_hash(changes: dict[str, object]) -> None:
    assert hashed(**changes) != GOLDEN


def test_an_approval_is_its_owner_s() -> None:
    assert approval_hash(spec(), owner="treasury") != GOLDEN


class LaterSpec(CertificateSpec):
    urgency: str = "none"


def test_a_later_version_s_optional_field_leaves_hash_and_stored_form() -> None:
    later = LaterSpec.model_validate(BODY | {"targets": spec().targets})
    assert approval_hash(later, owner="shop") == GOLDEN
    assert stored(later) == stored(spec())


class LaterFilesTarget(FilesTarget):
    owner_of_file: str = "root"


def test_a_later_version_s_optional_field_of_a_target_leaves_hash_and_stored_form() -> None:
    door = RequestDoor(TargetKinds([TargetKind("files", "syncer", LaterFilesTarget), HAPROXY, KUBERNETES]))
    later = door.model.model_validate(BODY)
    assert approval_hash(later, owner="shop") == GOLDEN
    assert stored(later) == stored(spec())


class ShelfTarget(TargetRequest):
    kind: Literal["shelf"] = "shelf"
    row: int = 1


def test_a_field_of_a_kind_from_another_package_is_covered_and_stored() -> None:
    door = RequestDoor(TargetKinds([FILES, TargetKind("shelf", "pusher", ShelfTarget)]))
    rows = [
        door.model.model_validate(
            BODY | {"targets": [{"kind": "shelf", "name": "a", "row": row}], "endpoints": [], "proof": "none"}
        )
        for row in (1, 2)
    ]
    assert [stored(item)["targets"] for item in rows] == [
        [{"kind": "shelf", "name": "a"}],
        [{"kind": "shelf", "name": "a", "row": 2}],
    ]
    assert len({approval_hash(item, owner="shop") for item in rows}) == 2


def test_what_is_stored_holds_what_was_said_and_no_default() -> None:
    small = spec(issuer=None, key_algorithm=None, labels=None, contact=None, description=None, end_date=None)
    assert set(stored(small)) == {"name", "dns_names", "exposure", "targets", "endpoints"}
    targets = stored(small)["targets"]
    assert isinstance(targets, list)
    assert targets[1] == {"kind": "files", "name": "host", "site": "site2"}


def test_what_was_stored_is_read_as_it_was_asked_for() -> None:
    of, intent = spec(), Intent.model_validate(stored(spec()))
    assert intent.unreadable == ()
    for name in (
        "name",
        "dns_names",
        "exposure",
        "issuer",
        "key_algorithm",
        "proof",
        "end_date",
        "labels",
        "contact",
    ):
        assert getattr(intent, name) == getattr(of, name), name
    assert [(item.url, item.target) for item in intent.endpoints] == [
        (item.url, item.target) for item in of.endpoints
    ]
    web, host, _ = intent.targets
    assert (web.kind, web.place, web.fields) == (
        "kubernetes",
        "site1",
        {"secret": "tls", "namespaces": ["shop", "cart"]},
    )
    assert (host.fields, Intent.model_validate({"name": "a"}).key_algorithm) == ({}, KeyAlgorithm.EC_P256)


def test_an_intent_is_written_and_read_again_without_loss() -> None:
    intent = Intent.model_validate(stored(spec()))
    assert Intent.model_validate_json(intent.model_dump_json()) == intent


def test_a_target_without_a_site_is_placed_at_the_hub() -> None:
    intent = Intent.model_validate({"name": "a", "targets": [{"name": "cdn", "kind": "cdn", "property": 7}]})
    assert (intent.targets[0].place, intent.targets[0].fields) == (HUB, {"property": 7})


@pytest.mark.parametrize(
    ("url", "address"),
    [("https://a.example.org", ("a.example.org", 443)), ("https://a.example.org:8443", ("a.example.org", 8443))],
)
def test_an_endpoint_is_a_host_and_a_port(url: str, address: tuple[str, int]) -> None:
    assert endpoint_address(url) == address


@given(
    st.permutations(BODY["dns_names"]),
    st.permutations(BODY["targets"]),
    st.datetimes(timezones=st.just(UTC), min_value=datetime(2026, 1, 1), max_value=datetime(2099, 1, 1)),  # noqa: DTZ001
)
def test_one_stored_form_has_one_hash(names: list[str], targets: list[dict[str, object]], end: datetime) -> None:
    first = spec(dns_names=names, targets=targets, end_date=end.isoformat())
    again = DOOR.model.model_validate(stored(first))
    assert approval_hash(again, owner="shop") == approval_hash(first, owner="shop")
    assert stored(again) == stored(first)
