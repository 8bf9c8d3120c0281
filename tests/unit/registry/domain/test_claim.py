from typing import Any

import pytest

from certcore.targets import Claim
from registry.domain.claim import Held, claims_of, clashes
from tests.unit.registry.samples import spec

PODS: dict[str, Any] = {"kind": "kubernetes", "name": "pods", "site": "site1", "namespaces": ["web"], "secret": "tls"}
ANY = [{"url": "https://checkout.example.org"}]


def held(**changes: Any) -> list[Held]:
    of = spec(targets=[PODS | changes], endpoints=ANY)
    return [Held(claim, "orders", "bank") for claim in claims_of(of)]


@pytest.mark.parametrize(
    ("other", "is_clash"),
    [
        ({}, True),
        ({"namespaces": ["api", "web"]}, True),
        ({"clusters": ["east"]}, True),
        ({"namespaces": ["api"]}, False),
        ({"secret": "other"}, False),
        ({"site": "site2"}, False),
    ],
)
def test_a_secret_is_one_certificate_s(other: dict[str, Any], *, is_clash: bool) -> None:
    found = clashes(spec(targets=[PODS], endpoints=ANY), held(**other))
    told = ["kubernetes/site1/web/tls is the place of certificate orders of team bank"] if is_clash else []
    assert [item.message for item in found] == told


def test_two_clusters_are_two_places() -> None:
    of = spec(targets=[PODS | {"clusters": ["west"]}], endpoints=ANY)
    assert clashes(of, held(clusters=["east"])) == []
    assert clashes(of, held(clusters=["east", "west"])) != []


def test_two_targets_of_one_request_may_not_have_one_place() -> None:
    of = spec(targets=[PODS, PODS | {"name": "again"}], endpoints=ANY)
    assert [item.field for item in clashes(of, [])] == ["targets.1"]


def test_what_is_named_by_the_certificate_needs_no_claim() -> None:
    assert claims_of(spec()) == []
    assert Claim("a").clashes(Claim("a", "b"))
