"""Every two intents for places and names of a small world: what both would have is refused, and nothing else."""

from itertools import product
from typing import Any

import pytest

from registry.domain.claim import Held, HeldName, claims_of, clashes, shared_in_vain
from tests.unit.registry.samples import spec

ANY = [{"url": "https://checkout.example.org"}]
SECRETS: list[dict[str, Any]] = [
    {"site": site, "namespaces": namespaces, "secret": secret, "clusters": clusters}
    for site, namespaces, secret, clusters in product(
        ("site1", "site2"),
        (["web"], ["api"], ["web", "api"]),
        ("tls", "tls2"),
        ([], ["east"], ["west"], ["east", "west"]),
    )
]


def pods(name: str, secret: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "kubernetes", "name": name, **secret}


def written(secret: dict[str, Any]) -> set[tuple[str, ...]]:
    """Every Secret of a world with three clusters a site; who names none has them all."""
    clusters = secret["clusters"] or ["east", "west", "north"]
    return {
        (secret["site"], cluster, namespace, secret["secret"])
        for cluster in clusters
        for namespace in secret["namespaces"]
    }


@pytest.mark.parametrize("theirs", SECRETS[::5])
def test_two_intents_for_one_place_are_refused_with_the_other_s_name(theirs: dict[str, Any]) -> None:
    other = spec(targets=[pods("theirs", theirs)], endpoints=ANY)
    held = [Held(claim, "orders", "bank") for claim in claims_of(other)]
    for ours in SECRETS:
        own = spec(targets=[pods("ours", ours)], endpoints=ANY)
        twice = spec(targets=[pods("ours", theirs), pods("more", ours)], endpoints=ANY)
        both = not written(ours).isdisjoint(written(theirs))
        assert [item.field for item in clashes(own, held)] == (["targets.0"] if both else []), ours
        assert all("certificate orders of team bank" in item.message for item in clashes(own, held))
        assert [item.field for item in clashes(twice, [])] == (["targets.1"] if both else []), ours


@pytest.mark.parametrize("allowed", [(), ("checkout.example.org",), ("*.example.org",), ("example.org",)])
def test_two_teams_have_no_name_at_once_that_they_may_not_share(allowed: tuple[str, ...]) -> None:
    theirs = ["checkout.example.org", "*.example.org", "x.checkout.example.org"]
    held = [HeldName(name, "orders", "bank") for name in theirs]
    for names in (
        ["checkout.example.org"],
        ["checkout.example.org", "*.example.org"],
        ["checkout.example.org", "b.example.org"],
    ):
        found = shared_in_vain(spec(dns_names=names), held, allowed=allowed)
        wanted = [f"dns_names.{n}" for n, name in enumerate(names) if name in theirs and name not in allowed]
        assert [item.field for item in found] == wanted
        assert all("certificate orders of team bank" in item.message for item in found)
