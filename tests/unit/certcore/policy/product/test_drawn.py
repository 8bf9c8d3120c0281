"""The same two judges of drawn policies and drawn requests: names, entries, rules, mutations in any combination."""

from typing import Any, Final

from hypothesis import event, given, settings
from hypothesis import strategies as st

from certcore.policy.file import read_policy
from tests.unit.certcore.policy.product.judges import product
from tests.unit.certcore.policy.product.mutations import MUTATIONS
from tests.unit.certcore.policy.product.reference import reference
from tests.unit.certcore.policy.product.scenes import SCENES, a_body, edge, files, pods
from tests.unit.certcore.policy.samples import KINDS

Json = dict[str, Any]

# A few in every run, as many as are asked for under `make fuzz`.
_EXAMPLES: Final = settings().max_examples
few = settings(max_examples=25 if _EXAMPLES <= 100 else _EXAMPLES)

_LABELS = st.sampled_from(["a", "b", "shop", "example"])
_ZONES = st.lists(_LABELS, max_size=3).map(lambda labels: ".".join([*labels, "example", "org"]))
_NAMES = st.tuples(st.sampled_from(["", "*."]), _ZONES).map("".join)
_TEAMS = ("shop", "bank", "press")


def _some(values: st.SearchStrategy[str], *, most: int = 3) -> st.SearchStrategy[list[str]]:
    return st.lists(values, max_size=most, unique=True)


_PATTERNS = st.sampled_from(["*", "*", "*", "a*", "a", "kube-*", "kube-a", "ab"])
_PLACES = st.one_of(
    st.fixed_dictionaries(
        {
            "kind": st.just("kubernetes"),
            **dict.fromkeys(("site", "cluster", "namespace", "secret"), _PATTERNS),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("files"), "site": _PATTERNS, "store": _PATTERNS}),
    st.fixed_dictionaries({"kind": st.just("haproxy"), "site": _PATTERNS, "instance": _PATTERNS}),
)
_TEAM = st.fixed_dictionaries({"domains": _some(_NAMES), "subtrees": _some(_ZONES), "wildcards": _some(_ZONES)})
_MATCH: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {},
    optional={
        "teams": st.lists(st.sampled_from(_TEAMS), min_size=1, max_size=2, unique=True),
        "domains": st.lists(_ZONES, min_size=1, max_size=2, unique=True),
        "exposure": st.sampled_from(["internal", "public"]),
        "wildcard": st.booleans(),
        "key_algorithms": st.lists(st.sampled_from(["ec-p256", "rsa-2048"]), min_size=1, max_size=2, unique=True),
        "cas": st.lists(st.sampled_from(["one", "two", "ours"]), min_size=1, max_size=2, unique=True),
        "target_kinds": st.lists(st.sampled_from(["kubernetes", "files"]), min_size=1, max_size=2, unique=True),
    },
)
_RULE: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {
        "match": _MATCH,
        "approvals": st.lists(
            st.fixed_dictionaries({"group": st.sampled_from(["security", "own-team"]), "count": st.integers(1, 3)}),
            max_size=2,
            unique_by=lambda needed: needed["group"],
        ),
    },
    optional={
        "pending": st.sampled_from(["1d", "36h", "90m"]),
        "approval_lasts": st.sampled_from(["1d", "36h"]),
        "renewals_apart": st.sampled_from(["1d", "36h"]),
        "most": st.integers(1, 9),
    },
)


@st.composite
def _policies(draw: st.DrawFn) -> Json:
    internal = draw(_some(_ZONES))
    rules = draw(st.lists(_RULE, max_size=3)) + draw(st.sampled_from([[{"approvals": []}], []]))
    return {
        "version": 1,
        "zones": {"internal": internal, "public": sorted({"example.org", *draw(_some(_ZONES))} - {*internal})},
        "cas": {
            "internal": ["one", "ours"],
            "public": draw(st.sampled_from([["two"], ["two", "one"]])),
            "private": ["ours"],
        },
        "groups": {"security": ["eve"]},
        "teams": {team: draw(_TEAM) for team in _TEAMS},
        "rules": [{"name": f"rule{number}", **rule} for number, rule in enumerate(rules)],
        "shared_names": draw(_some(_NAMES, most=1)),
    }


_WORDS = st.sampled_from(["a", "ab", "b", "kube-a", "kube-b"])
_TARGETS = st.one_of(
    st.builds(
        lambda site, clusters, namespaces, secret: pods(
            site=site, clusters=clusters, namespaces=namespaces, secret=secret
        ),
        *(_WORDS, st.lists(_WORDS, max_size=2), st.lists(_WORDS, min_size=1, max_size=2), _WORDS),
    ),
    st.builds(lambda site, store: files(site=site, store=store), _WORDS, _WORDS),
    st.builds(lambda site, instance: edge(site=site, instance=instance), _WORDS, _WORDS),
)


def _same(policy: Json, body: Json, owner: str) -> None:
    said = product(read_policy(policy, KINDS), body, owner)
    event("refused" if said.fields else "allowed")
    assert said == reference(policy, body, owner)


@few
@given(
    _policies(),
    st.lists(_NAMES, min_size=1, max_size=2),
    st.fixed_dictionaries({}, optional={"issuer": st.sampled_from(["one", "two", "ours", "other"])}),
)
def test_both_judges_say_the_same_of_whose_a_name_is(policy: Json, names: list[str], changes: Json) -> None:
    everywhere = {"kind": "kubernetes", "site": "*", "cluster": "*", "namespace": "*", "secret": "*"}
    for team in policy["teams"].values():
        team["places"] = [everywhere]
    for owner in _TEAMS:
        for exposure in ("internal", "public"):
            _same(policy, a_body(*names, exposure=exposure, **changes), owner)


@few
@given(
    _policies(),
    st.lists(_PLACES, min_size=1, max_size=4),
    st.lists(_TARGETS, min_size=1, max_size=2),
    st.sampled_from(["ec-p256", "rsa-2048"]),
)
def test_both_judges_say_the_same_of_whose_a_place_is(
    policy: Json, places: list[Json], targets: list[Json], key: str
) -> None:
    policy["zones"] = {"internal": ["example.org"]}
    policy["teams"] = {"shop": {"subtrees": ["a.example.org"], "places": places}, "bank": {}, "press": {}}
    policy["rules"] = [*policy["rules"], {"name": "rest", "approvals": []}]
    named = [{**target, "name": f"target{number}"} for number, target in enumerate(targets)]
    _same(policy, a_body("a.example.org", exposure="internal", targets=named, key_algorithm=key), "shop")


@few
@given(st.data())
def test_both_judges_say_the_same_of_several_mutations_of_one_request(data: st.DataObject) -> None:
    scene = SCENES[data.draw(st.sampled_from(sorted(SCENES)), label="scene")]
    body = scene.allowed[data.draw(st.sampled_from(sorted(scene.allowed)), label="rule")]
    for kind in data.draw(st.lists(st.sampled_from(sorted(MUTATIONS)), min_size=1, max_size=3), label="kinds"):
        if {"dns_names", "exposure", "targets"} <= body.keys() and body["exposure"] in {"internal", "public"}:
            _, body = data.draw(st.sampled_from([*MUTATIONS[kind](body)]), label=kind)
    _same(scene.policy, body, data.draw(st.sampled_from(["shop", "bank", "security", "all", "press"]), label="owner"))
