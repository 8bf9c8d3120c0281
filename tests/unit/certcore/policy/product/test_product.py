"""Every rule of every small policy, with every mutation of a request that it allows: both judges say the same."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from certcore.policy.file import read_policy
from tests.unit.certcore.policy.product.judges import product
from tests.unit.certcore.policy.product.mutations import MUTATIONS, NAMES
from tests.unit.certcore.policy.product.reference import Said, reference
from tests.unit.certcore.policy.product.scenes import SCENES, a_body, pods
from tests.unit.certcore.policy.samples import KINDS

POLICIES = {name: read_policy(scene.policy, KINDS) for name, scene in SCENES.items()}
CASES = [(name, rule) for name, scene in SCENES.items() for rule in scene.allowed]

# What no rule can allow, in whichever scene: so that two judges that err alike are found out.
NEVER = {
    "neighbour": ("bank.example.org", "b.bank.example.org", "bank.shop.example.org", "b.bank.shop.example.org"),
    "subtree": ("example.org", "b.example.org", "a.www.example.com", "a.given.example.org"),
    "wildcard": (
        *("*.example.org", "*.shop.example.org", "*.bank.shop.example.org", "*.x.bank.shop.example.org"),
        *("*.wild.shop.example.org", "*.corp.example.net", "*.shop.corp.example.org", "*", "a.*.shop.example.org"),
    ),
    "look-alike": NAMES["look-alike"][:12],
    "international": (*NAMES["international"][:10], "xn--shp-uqa.example.org", "xn--ab-j1t.shop.example.org"),
    "spelling": ("a.shop.example.org.", "a..shop.example.org", "", f"{'a' * 64}.shop.example.org"),
    "public suffix": NAMES["public suffix"],
    "local": ("a.local", "shop.localhost", "a.shop.internal", "other.home.arpa", "localhost"),
    "address": NAMES["address"][:16],
}


@cache
def difference(name: str, text: str, owner: str) -> tuple[Said, Said] | None:
    """Many mutations of two rules' requests are the same: they are judged once."""
    body = json.loads(text)
    said, expected = product(POLICIES[name], body, owner), reference(SCENES[name].policy, body, owner)
    return (said, expected) if said != expected else None


def differences(name: str, bodies: Iterator[tuple[str, dict[str, Any]]], owner: str) -> dict[str, tuple[Said, Said]]:
    compared = ((told, difference(name, json.dumps(body), owner)) for told, body in bodies)
    return {told: found for told, found in compared if found is not None}


@pytest.mark.parametrize(("name", "rule"), CASES)
def test_each_rule_allows_its_request(name: str, rule: str) -> None:
    scene = SCENES[name]
    said = product(POLICIES[name], scene.allowed[rule], scene.owner)
    assert said.fields == frozenset()
    assert rule in said.rules


@pytest.mark.parametrize("kind", MUTATIONS)
@pytest.mark.parametrize(("name", "rule"), CASES)
def test_both_judges_say_the_same_of_every_mutation(name: str, rule: str, kind: str) -> None:
    scene = SCENES[name]
    assert differences(name, MUTATIONS[kind](scene.allowed[rule]), scene.owner) == {}


@pytest.mark.parametrize("owner", ["shop", "bank", "security", "all", "own-team", "press", "Shop", "", "mallory"])
def test_both_judges_say_the_same_of_every_team(owner: str) -> None:
    for name, scene in SCENES.items():
        bodies = ((rule, body) for rule, body in scene.allowed.items())
        assert differences(name, bodies, owner) == {}


@pytest.mark.parametrize("kind", NEVER)
def test_some_names_are_never_the_team_s(kind: str) -> None:
    for name in ("everything", "one-rule", "nothing-shared", "given-wildcards"):
        for dns_name in NEVER[kind]:
            for exposure in ("public", "internal"):
                said = product(POLICIES[name], a_body(dns_name, exposure=exposure), "shop")
                assert said.fields >= {"dns_names.0"}, (name, dns_name, exposure)


@pytest.mark.parametrize("namespace", ["kube-system", "bank", "shop", "Shop-web", "shop-*", "*"])
def test_some_places_are_never_the_team_s(namespace: str) -> None:
    for name in SCENES:
        said = product(POLICIES[name], a_body("a.shop.example.org", targets=[pods(namespaces=[namespace])]), "shop")
        assert said.fields == {"targets.0"}, name


def test_no_mutation_is_idle() -> None:
    """Each kind is refused somewhere, and each field that can be at fault is at fault somewhere."""
    said = {
        kind: [product(POLICIES["one-rule"], body, "shop").fields for _, body in mutate(a_body("a.shop.example.org"))]
        for kind, mutate in MUTATIONS.items()
    }
    assert [kind for kind, found in said.items() if not any(found)] == []
    fields = {field.split(".")[0] for found in said.values() for item in found for field in item}
    assert fields >= {"dns_names", "exposure", "issuer", "key_algorithm", "targets", "name", "kind", "cn"}
