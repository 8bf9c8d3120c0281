"""What policy says of a request: every rule of the code against requests that it alone refuses."""

from datetime import timedelta
from typing import Any, Literal

import pytest

from certcore.certificate import CertificateSpec, Exposure
from certcore.policy.document import ApprovalsNeeded
from certcore.policy.judgement import allowed_cas, exposure_of, judge
from certcore.policy.zones import signable_in_public
from certcore.targets import TargetRequest
from tests.unit.certcore.policy.samples import REQUEST, a_policy, judged, refused

PODS = {"kind": "kubernetes", "name": "pods", "site": "site1", "namespaces": ["shop-web"], "secret": "checkout-tls"}
WEST = {**PODS, "site": "site2", "clusters": ["west"], "namespaces": ["shop"], "secret": "tls"}
FILES = {"kind": "files", "name": "host", "site": "site1"}


def names(*names: str, **changes: Any) -> dict[str, str]:
    return refused(dns_names=list(names), **changes)


def test_what_policy_allows_is_told_with_who_is_asked_and_why() -> None:
    found = judged()
    assert found.refusals == ()
    assert found.cas == ("sslcom", "digicert")
    assert found.rules == ("public",)
    assert found.approvals == (ApprovalsNeeded(group="security", count=1),)
    assert (found.renewals_apart, found.most, found.pending) == (timedelta(days=1), 50, timedelta(days=14))
    assert found.because == ("rule public: for a.shop.example.org at kubernetes",)


@pytest.mark.parametrize(
    ("name", "exposure"),
    [
        ("a.example.org", Exposure.PUBLIC),
        ("example.org", Exposure.PUBLIC),
        ("a.corp.example.org", Exposure.INTERNAL),
        ("corp.example.org", Exposure.INTERNAL),
        ("*.corp.example.org", Exposure.INTERNAL),
        ("acorp.example.org", Exposure.PUBLIC),
        ("example.net", None),
        ("notexample.org", None),
    ],
)
def test_the_longest_zone_decides_the_exposure(name: str, exposure: Exposure | None) -> None:
    assert exposure_of(a_policy(), name) is exposure


@pytest.mark.parametrize(
    ("name", "why"),
    [
        # the neighbour's, and what looks like the own
        ("b.bank.example.org", "belongs to team bank"),
        ("pay.shop.example.org", "belongs to team bank"),
        ("x.bank.shop.example.org", "belongs to team bank"),
        ("example.org", "belongs to no domain or subtree of team shop"),
        ("b.example.org", "belongs to no domain or subtree of team shop"),
        ("ashop.example.org", "belongs to no domain or subtree of team shop"),
        ("shop-example.org", "lies in no zone of the policy"),
        ("shop.example.org.example.net", "lies in no zone of the policy"),
        ("xn--shp-uqa.example.org", "belongs to no domain or subtree of team shop"),
        # a single name gives nothing below or beside it
        ("a.www.example.com", "belongs to no domain or subtree of team shop"),
        ("example.com", "belongs to no domain or subtree of team shop"),
        ("*.example.com", "belongs to no domain or subtree of team shop"),
        (
            "*.www.example.com",
            "is a wildcard, for which team shop has no right: subtrees don't allow them, wildcards do",
        ),
    ],
)
def test_a_name_that_is_not_the_team_s_is_refused_with_whose_it_is(name: str, why: str) -> None:
    assert names(name) == {"dns_names.0": why}
    assert names("a.shop.example.org", name) == {"dns_names.1": why}


def test_a_wildcard_needs_a_right_of_its_own() -> None:
    assert "is a wildcard" in names("*.shop.corp.example.org", exposure="internal")["dns_names.0"]
    assert names("*.web.shop.example.org") == {}


def test_a_wildcard_above_another_team_s_name_is_refused() -> None:
    why = "would also stand for pay.shop.example.org, which belongs to team bank"
    assert names("*.shop.example.org") == {"dns_names.0": why}


def test_a_wildcard_that_is_given_as_it_is_stands_for_what_it_matches() -> None:
    policy = a_policy()
    shop = policy.teams["shop"].model_copy(update={"domains": ("*.shop.example.org",)})
    given = policy.model_copy(update={"teams": {**policy.teams, "shop": shop}})
    assert names("*.shop.example.org", policy=given) == {}


@pytest.mark.parametrize("entry", ["domains", "subtrees", "wildcards"])
def test_a_wildcard_stands_above_none_of_another_team_s_names_however_it_has_them(entry: str) -> None:
    policy = a_policy()
    bank = policy.teams["bank"].model_copy(update={"domains": (), "subtrees": (), entry: ("x.web.shop.example.org",)})
    held = policy.model_copy(update={"teams": {**policy.teams, "bank": bank}})
    why = "would also stand for x.web.shop.example.org, which belongs to team bank"
    assert names("*.web.shop.example.org", policy=held) == {"dns_names.0": why}


def test_a_shared_name_is_also_for_who_has_it_less_closely() -> None:
    shared = a_policy(shared_names=["pay.shop.example.org"])
    assert names("pay.shop.example.org", policy=shared) == {}
    assert names("x.bank.shop.example.org", policy=shared) != {}


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("a.example.org", True),
        ("*.example.co.uk", True),
        ("a.local", False),
        ("a.shop.local", False),
        ("a.home.arpa", False),
        ("a.corp", False),
        ("*.a.internal", False),
    ],
)
def test_what_no_public_ca_may_sign(name: str, *, public: bool) -> None:
    assert signable_in_public(name) is public


def test_a_target_whose_place_is_not_told_is_at_no_place() -> None:
    bare = {**REQUEST, "targets": [{"kind": "files", "name": "host", "site": "site1"}]}
    found = judge(a_policy(), CertificateSpec.model_validate(bare), owner="shop")
    assert [item.field for item in found.refusals] == ["targets.0"]


@pytest.mark.parametrize("turned", [False, True])
def test_bounds_of_several_rules_are_the_shortest_approval_the_widest_pause_and_the_fewest(*, turned: bool) -> None:
    few = {"approval_lasts": "10d", "renewals_apart": "1h", "most": 5}
    many = {"approval_lasts": "20d", "renewals_apart": "2h", "most": 9}
    first, second = (many, few) if turned else (few, many)
    rules = [
        {"name": "wild", "match": {"wildcard": True}, "approvals": [], **first},
        {"name": "rest", "approvals": [], **second},
    ]
    found = judged(policy=a_policy(rules=rules), dns_names=["a.shop.example.org", "*.web.shop.example.org"])
    assert (found.approval_lasts, found.renewals_apart, found.most) == (timedelta(days=10), timedelta(hours=2), 5)


def test_two_teams_with_one_subtree_have_it_both() -> None:
    policy = a_policy()
    both = policy.model_copy(update={"teams": {**policy.teams, "twin": policy.teams["shop"]}})
    assert names("a.shop.example.org", policy=both, owner="twin") == names("a.shop.example.org", policy=both) == {}


def test_what_the_request_says_of_its_exposure_must_agree() -> None:
    message = "must be public: a.shop.example.org lies in a zone that is public"
    assert refused(exposure="internal") == {
        "exposure": message,
    }
    mixed = names("a.shop.example.org", "a.shop.corp.example.org")
    assert mixed == {"exposure": "must be internal: a.shop.corp.example.org lies in a zone that is internal"}


def test_the_ca_must_be_one_of_the_exposure_s() -> None:
    assert refused(issuer="letsencrypt") == {"issuer": "must be one of sslcom, digicert for public names"}
    assert judged(issuer="digicert").cas == ("digicert",)


def test_what_no_public_ca_may_sign_needs_a_private_one() -> None:
    hidden: dict[str, Any] = {"dns_names": ["a.shop.local"], "exposure": "internal", "targets": [FILES]}
    assert judged(**hidden).cas == ("ours",)
    told = "must be one of ours for internal names, since no public CA may sign a.shop.local"
    assert refused(**hidden, issuer="letsencrypt") == {"issuer": told}
    none = a_policy(cas={"internal": ["letsencrypt"], "public": ["sslcom", "digicert"]})
    assert "no CA of the policy is for internal names" in refused(policy=none, **hidden)["dns_names"]


@pytest.mark.parametrize(
    "target",
    [
        {**PODS, "namespaces": ["bank"]},
        {**PODS, "namespaces": ["shop-web", "bank"]},
        {**PODS, "namespaces": ["shop"]},
        {**PODS, "namespaces": ["kube-system"]},
        {**PODS, "site": "site2"},
        {**PODS, "site": "site3"},
        {**WEST, "clusters": ["west", "east"]},
        {**WEST, "clusters": []},
        {**WEST, "secret": "other"},
        # each half is allowed by another entry
        {**WEST, "namespaces": ["shop-web"]},
        {**FILES, "store": "secret"},
    ],
)
def test_a_place_that_is_not_the_team_s_is_refused(target: dict[str, Any]) -> None:
    assert refused(targets=[target]).keys() == {"targets.0"}
    assert refused(targets=[{**PODS, "name": "first"}, target]).keys() == {"targets.1"}


@pytest.mark.parametrize("target", [PODS, WEST, FILES, {**FILES, "site": "site9"}])
def test_a_place_of_the_team_is_allowed(target: dict[str, Any]) -> None:
    assert refused(targets=[target]) == {}


class _Shelf(TargetRequest):
    kind: Literal["shelf"] = "shelf"
    site: str
    boards: tuple[str, ...] = ()
    drawer: str | None = None


def test_what_a_kind_of_others_leaves_open_is_all_of_it() -> None:
    assert _Shelf(name="a", site="s").place() == {"site": ("s",), "boards": ("*",), "drawer": ("*",)}
    told = _Shelf(name="a", site="s", boards=("one", "two"), drawer="left").place()
    assert told == {"site": ("s",), "boards": ("one", "two"), "drawer": ("left",)}


def test_a_kind_that_the_team_has_nowhere_is_refused() -> None:
    edge = {"kind": "haproxy", "name": "edge", "site": "site1", "instance": "edge"}
    assert refused(targets=[edge]) == {"targets.0.kind": "team shop has no place of the kind haproxy"}


def test_a_namespace_of_kubernetes_itself_is_only_for_who_has_it_by_name() -> None:
    policy = a_policy()
    everywhere = {"kind": "kubernetes", "site": "*", "cluster": "*", "namespace": "*", "secret": "*"}
    system = {**PODS, "namespaces": ["kube-system"]}
    for places, allowed in (([everywhere], False), ([{**everywhere, "namespace": "kube-system"}], True)):
        shop = policy.teams["shop"].model_dump(exclude_defaults=True) | {"places": places}
        given = a_policy(teams={"shop": shop, "bank": policy.teams["bank"].model_dump(exclude_defaults=True)})
        assert (refused(policy=given, targets=[system]) == {}) is allowed


def test_a_team_that_is_not_in_the_policy_may_nothing() -> None:
    assert refused(owner="press") == {"owner": "press is no team of the policy: nothing is allowed to it"}


def test_what_no_rule_is_for_is_refused() -> None:
    assert "no rule of the policy is for it" in refused(key_algorithm="rsa-3072")["dns_names.0"]


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, ("public",)),
        ({"dns_names": ["*.web.shop.example.org"]}, ("wildcards",)),
        ({"dns_names": ["a.shop.example.org", "*.web.shop.example.org"]}, ("wildcards", "public")),
        ({"dns_names": ["a.shop.corp.example.org"], "exposure": "internal"}, ("internal",)),
        ({"dns_names": ["a.shop.local"], "exposure": "internal", "targets": [FILES]}, ("hidden",)),
    ],
)
def test_each_name_is_ruled_by_the_first_rule_that_fits_it(changes: dict[str, Any], rules: tuple[str, ...]) -> None:
    assert judged(**changes).rules == rules


def test_of_several_rules_the_strictest_of_each_bound_holds() -> None:
    found = judged(dns_names=["a.shop.example.org", "*.web.shop.example.org"])
    assert found.approvals == (ApprovalsNeeded(group="security", count=2), ApprovalsNeeded(group="network", count=1))
    assert (found.pending, found.approval_lasts) == (timedelta(days=3), timedelta(days=180))
    assert (found.renewals_apart, found.most) == (timedelta(days=1), 50)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"teams": ["shop"]}, True),
        ({"teams": ["bank"]}, False),
        ({"domains": ["shop.example.org"]}, True),
        ({"domains": ["a.shop.example.org"]}, True),
        ({"domains": ["b.shop.example.org", "example.com"]}, False),
        ({"exposure": "public"}, True),
        ({"exposure": "internal"}, False),
        ({"wildcard": False}, True),
        ({"wildcard": True}, False),
        ({"key_algorithms": ["ec-p256"]}, True),
        ({"key_algorithms": ["ec-p384", "rsa-2048"]}, False),
        ({"cas": ["sslcom", "digicert"]}, True),
        # every CA that may sign it must be ruled: the fallback may come to sign it, too
        ({"cas": ["sslcom"]}, False),
        ({"target_kinds": ["kubernetes"]}, True),
        ({"target_kinds": ["files"]}, False),
        ({"exposure": "public", "teams": ["bank"]}, False),
    ],
)
def test_a_rule_is_for_what_fits_all_that_it_names(match: dict[str, Any], *, fits: bool) -> None:
    policy = a_policy(rules=[{"name": "only", "match": match, "approvals": []}])
    assert (refused(policy=policy) == {}) is fits


def test_the_cas_of_an_exposure_are_private_ones_alone_for_names_that_no_public_one_may_sign() -> None:
    policy = a_policy()
    assert allowed_cas(policy, Exposure.PUBLIC, ["www.example.com"]) == ("sslcom", "digicert")
    assert allowed_cas(policy, Exposure.PUBLIC, ["www.example.com"], asked="digicert") == ("digicert",)
    assert allowed_cas(policy, Exposure.PUBLIC, ["www.example.com"], asked="ours") == ()
    assert allowed_cas(policy, Exposure.INTERNAL, ["a.corp.example.org"]) == ("letsencrypt", "ours")
    assert allowed_cas(policy, Exposure.INTERNAL, ["a.corp.example.org", "a.shop.local"]) == ("ours",)
