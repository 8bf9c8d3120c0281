"""A policy file is read strictly: what can't be meant is refused, with its field."""

import json
from typing import Any

import pytest

from certcore.policy.document import Policy
from certcore.policy.file import policy_digest, read_policy
from certcore.policy.text import parse_policy_text
from certcore.rejection import RejectedError
from tests.unit.certcore.policy.samples import KINDS, POLICY

NIGHT = {"name": "night", "from": "22:00", "to": "04:00"}
SALE = {"from": "2026-11-26T00:00:00Z", "to": "2026-12-01T00:00:00Z", "reason": "sale"}

LONGEST = ".".join(["example", *["a" * 60] * 4, "a"])
"""As long as a name may be."""


def faults(data: object) -> dict[str, str]:
    with pytest.raises(RejectedError) as refused:
        read_policy(data, KINDS)
    return {item.field: item.message for item in refused.value.rejections}


def changed(path: str, value: Any) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(json.dumps(POLICY))
    *way, last = path.split(".")
    at: Any = policy
    for step in way:
        at = at[int(step) if isinstance(at, list) else step]
    at[int(last) if isinstance(at, list) else last] = value
    return policy


@pytest.mark.parametrize(
    ("path", "value", "field", "message"),
    [
        ("version", 2, "version", ""),
        ("zones.public", ["co.uk"], "zones.public.0", "is a public suffix"),
        ("zones.public", ["github.io"], "zones.public.0", "is a public suffix"),
        ("zones.public", ["*.example.org"], "zones.public.0", "has a wildcard"),
        ("zones.public", ["münchen.example"], "zones.public.0", "is not ASCII"),
        ("zones.public", ["a..b"], "zones.public.0", "is no DNS name"),
        ("zones.public", ["10.0.0.1"], "zones.public.0", "is an address"),
        ("zones.public", ["corp.example.org"], "zones", "is an internal and a public zone"),
        ("zones.public", ["example.0x7f"], "zones.public.0", "ends in a number"),
        ("zones.public", ["xn--a.example.org"], "zones.public.0", "stands for no internationalised label"),
        ("zones.public", [f"{LONGEST}a"], "zones.public.0", "is no DNS name"),
        ("zones.public", ["kawasaki.jp"], "zones.public.0", "is a public suffix"),
        ("zones.hidden", [], "zones.hidden", "is not a field of a policy"),
        ("cas.private", ["other"], "cas.private", "is neither among internal nor among public"),
        ("teams.shop.subtrees", ["org"], "teams.shop.subtrees.0", "is a public suffix"),
        ("teams.shop.domains", ["*.co.uk"], "teams.shop.domains.0", "is a public suffix"),
        ("teams.shop.groups", ["nobody"], "teams.shop.groups", "is no group of this policy"),
        ("teams.shop.color", "red", "teams.shop.color", "is not a field of a policy"),
        ("teams.shop.places.0.kind", "cdn", "teams.shop.places.0.kind", "must be one of files, haproxy, kubernetes"),
        ("teams.shop.places.0.pod", "*", "teams.shop.places.0.pod", "is no field of a place of the kind kubernetes"),
        ("teams.shop.places.0.namespace", "a*b", "teams.shop.places.0.namespace", "must be a name, `*`"),
        ("teams.shop.places.2", {"kind": "files", "site": "*"}, "teams.shop.places.2.store", "is missing"),
        ("roles.0.teams", ["press"], "roles.0.teams", "press is no team of this policy"),
        ("roles.0.teams", [], "roles.0.teams", ""),
        ("roles.0.teams", "some", "roles.0.teams", ""),
        ("roles.0.roles", [], "roles.0.roles", ""),
        ("roles.0.roles", ["issuer"], "roles.0.roles.0", ""),
        ("roles.0.roles", ["admin"], "roles.0", "admin belongs to no team"),
        ("roles.0.group", "", "roles.0.group", ""),
        ("roles.0.group", " pki", "roles.0.group", "spaces at its ends"),
        ("roles.0.group", "p\u200bki", "roles.0.group", "control characters"),
        ("roles.0.group", "g" * 256, "roles.0.group", ""),
        ("second_admin", {"roles": []}, "second_admin.roles", ""),
        ("second_admin", {"roles": ["root"]}, "second_admin.roles.0", ""),
        ("second_admin", {"roles": ["admin"], "pending": "soon"}, "second_admin.pending", "is no span of time"),
        ("second_admin", {"roles": ["admin"], "count": 3}, "second_admin.count", "is not a field of a policy"),
        ("rules.0.match.teams", ["press"], "rules.0.match.teams", "is no team of this policy"),
        ("rules.0.match.cas", ["press"], "rules.0.match.cas", "is no CA of this policy"),
        ("rules.0.match.target_kinds", ["cdn"], "rules.0.match.target_kinds", "is none of"),
        ("rules.0.match.domains", [], "rules.0.match", ""),
        ("rules.0.match", None, "rules.0.match", "has no value"),
        ("rules.0.match.wildcard", None, "rules.0.match.wildcard", "has no value"),
        ("rules.0.approvals.0.group", None, "rules.0.approvals.0.group", "has no value"),
        ("rules.1.most", None, "rules.1.most", "has no value"),
        ("rules.0.approvals", [{"group": "press"}], "rules.0.approvals", "is no group of this policy"),
        ("rules.0.approvals", [{"group": "security", "count": 0}], "rules.0.approvals.0.count", ""),
        ("rules.0.approvals", [{"count": 1}, {"count": 2}], "rules.0.approvals", "is given twice"),
        ("rules.0.pending", "soon", "rules.0.pending", "is no span of time"),
        ("rules.0.pending", 14, "rules.0.pending", "is no span of time"),
        ("rules.0.name", "public", "rules", "is given twice"),
        ("groups.own-team", ["eve"], "groups.own-team", "is reserved"),
        ("windows", [NIGHT | {"timezone": "Mars/Olympus"}], "windows.0.timezone", "is no timezone"),
        ("windows", [NIGHT | {"timezone": "../passwd"}], "windows.0.timezone", "is no timezone"),
        ("windows", [NIGHT | {"from": "25:00"}], "windows.0.from", "is no time of day"),
        ("windows", [NIGHT | {"from": True}], "windows.0.from", "is no time of day"),
        ("windows", [NIGHT | {"to": "24:01"}], "windows.0.to", "is no time of day"),
        ("windows", [NIGHT | {"to": "22:00"}], "windows.0.to", "never opens"),
        ("windows", [NIGHT | {"from": "24:00"}], "windows.0.to", "never opens"),
        ("windows", [NIGHT | {"days": []}], "windows.0.days", ""),
        ("windows", [NIGHT | {"days": ["mon", "mon"]}], "windows.0.days", "a day is given twice"),
        ("windows", [NIGHT, NIGHT], "windows", "is given twice"),
        ("windows", [NIGHT | {"match": {"teams": ["press"]}}], "windows.0.match.teams", "is no team of this policy"),
        ("windows", [NIGHT | {"match": {"target_kinds": ["cdn"]}}], "windows.0.match.target_kinds", "is none of"),
        ("windows", [NIGHT | {"match": {"sites": []}}], "windows.0.match.sites", ""),
        ("freeze", [SALE | {"to": "2026-11-26T00:00:00Z"}], "freeze.0.to", "is not after from"),
        ("freeze", [SALE | {"to": "2026-12-26T00:00:00"}], "freeze.0.to", ""),
        ("freeze", [SALE | {"reason": ""}], "freeze.0.reason", ""),
        ("freeze", [SALE | {"match": {"teams": ["press"]}}], "freeze.0.match.teams", "is no team of this policy"),
        ("renewals", {"most_an_hour": 0}, "renewals.most_an_hour", ""),
    ],
)
def test_what_can_not_be_meant_is_refused_with_its_field(path: str, value: Any, field: str, message: str) -> None:
    found = faults(changed(path, value))
    assert any(name.startswith(field) and message in told for name, told in found.items()), found


@pytest.mark.parametrize("zone", [LONGEST, "xn--bcher-kva.example.org", "local", "shop.github.io"])
def test_what_is_a_dns_name_and_nobody_s_suffix_is_a_zone(zone: str) -> None:
    assert read_policy(changed("zones.public", [zone]), KINDS).zones.public == (zone,)


def test_a_rule_without_approvals_must_say_so() -> None:
    assert faults(changed("rules.0", {"name": "open"})) == {"rules.0.approvals": "is missing"}


@pytest.mark.parametrize("data", [None, [], "policy", 7])
def test_what_is_no_mapping_is_refused(data: object) -> None:
    assert faults(data) == {"policy": "must be a mapping"} or "policy" in faults(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("teams: {shop: {}, shop: {}}", "a key is given twice at line 1 column 19"),
        ("a: &x [1]\nb: *x", "an alias is not allowed at line 2 column 4"),
        ("a: [", "is no YAML"),
        ("{[a]: 1}", "a key must be a plain word at line 1 column 2"),
        ("teams: {<<: {shop: {}}}", "a key must be a plain word at line 1 column 9"),
        ("!!python/object/apply:os.system ['true']", "is no YAML"),
        ("\x00", "is no YAML"),
    ],
)
def test_text_that_hides_something_is_refused(text: str, message: str) -> None:
    with pytest.raises(RejectedError, match=message):
        parse_policy_text(text.encode())


def test_the_digest_is_of_what_the_policy_says() -> None:
    policy = read_policy(POLICY, KINDS)
    turned = dict(reversed([*POLICY.items()]))
    assert policy_digest(policy) == policy_digest(read_policy(turned, KINDS))
    assert policy_digest(policy) != policy_digest(read_policy(changed("rules.1.most", 51), KINDS))


def test_what_is_kept_is_read_as_it_was() -> None:
    policy = read_policy(POLICY, KINDS)
    kept = Policy.model_validate_json(policy.model_dump_json(exclude_defaults=True))
    assert kept == policy
    assert policy_digest(kept) == policy_digest(policy)
