"""Small policies, one for each thing that a rule can be about, and for each rule a request that it allows."""

from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["SCENES", "Scene", "a_body", "edge", "files", "pods"]

Json = dict[str, Any]


def pods(**changes: Any) -> Json:
    target = {"kind": "kubernetes", "name": "pods", "site": "site1", "namespaces": ["shop-web"], "secret": "tls"}
    return {**target, **changes}


def files(**changes: Any) -> Json:
    return {"kind": "files", "name": "host", "site": "site1", **changes}


def edge(**changes: Any) -> Json:
    return {"kind": "haproxy", "name": "edge", "site": "site1", "instance": "edge", **changes}


def a_body(*names: str, exposure: str = "public", **changes: Any) -> Json:
    body = {"name": "checkout", "dns_names": list(names), "exposure": exposure, "targets": [pods()], "proof": "none"}
    return {**body, **changes}


@dataclass(frozen=True)
class Scene:
    """`allowed` are requests by the rule that rules them; `owner` is the team that asks."""

    policy: Json
    allowed: dict[str, Json] = field(hash=False)
    owner: str = "shop"


_TEAMS: Final[Json] = {
    "shop": {
        "domains": ["www.example.com", "*.given.example.org"],
        "subtrees": [
            *("shop.example.org", "shop.corp.example.org", "shop.local", "both.example.org", "x.both.example.org"),
            # Deeper than a neighbour's, and in no zone.
            *("mine.bank.shop.example.org", "lonely.net", "shop.home.arpa", "3.10.in-addr.arpa", "shop.onion"),
        ],
        "wildcards": [
            *("shop.example.org", "shop.corp.example.org", "both.example.org", "corp.example.net"),
            "mine.bank.shop.example.org",
        ],
        "places": [
            {"kind": "kubernetes", "site": "site1", "cluster": "*", "namespace": "shop-*", "secret": "*"},
            {"kind": "kubernetes", "site": "site2", "cluster": "west", "namespace": "shop", "secret": "tls"},
            {"kind": "kubernetes", "site": "site3", "cluster": "*", "namespace": "*", "secret": "*"},
            {"kind": "kubernetes", "site": "site4", "cluster": "*", "namespace": "kube-public", "secret": "*"},
            {"kind": "files", "site": "*", "store": "default"},
            {"kind": "haproxy", "site": "site1", "instance": "edge"},
        ],
    },
    "bank": {
        "domains": [
            *("pay.shop.example.org", "own.shop.corp.example.org", "pay.given.example.org"),
            *("pay.one.shop.example.org", "*.shared.shop.example.org"),
        ],
        "subtrees": [
            *("bank.example.org", "bank.shop.example.org", "both.example.org", "x.both.example.org"),
            "sub.two.shop.example.org",
        ],
        "wildcards": ["wild.shop.example.org", "bank.shop.corp.example.org", "wild.three.shop.example.org"],
        "places": [{"kind": "haproxy", "site": "site1", "instance": "vault"}],
    },
    # Called as a group of people, and as what stands for all teams.
    "security": {"subtrees": ["security.example.org"]},
    "all": {},
}

_BASE: Final[Json] = {
    "version": 1,
    "zones": {
        "internal": [
            "corp.example.org",
            "shop.local",
            "corp.example.net",
            "in-addr.arpa.example.org",
            "shop.home.arpa",
            "3.10.in-addr.arpa",
            "shop.onion",
        ],
        "public": [
            *("example.org", "example.com", "zone.web.shop.example.org"),
            "www.corp.example.net",
            "shop.github.io",
            "example.co.uk",
        ],
    },
    "cas": {"internal": ["letsencrypt", "ours"], "public": ["sslcom", "digicert"], "private": ["ours"]},
    "groups": {"security": ["eve", "dan"], "network": ["nat"], "shop": ["mallory"]},
    "teams": _TEAMS,
    "shared_names": ["pay.shop.example.org", "*.shared.shop.example.org"],
}
_A, _WILD, _HIDDEN = "a.shop.example.org", "*.web.shop.example.org", "a.shop.local"
_INTERNAL: Final = a_body("a.shop.corp.example.org", exposure="internal")


def _with(*rules: Json, **changes: Any) -> Json:
    return {**_BASE, "rules": list(rules), **changes}


def _rule(name: str, *approvals: Json, match: Json | None = None, **bounds: Any) -> Json:
    return {"name": name, **({"match": match} if match else {}), "approvals": list(approvals), **bounds}


_EVERYTHING: Final = _with(
    _rule(
        "wildcards",
        *({"group": "security", "count": 2}, {"group": "network"}),
        match={"wildcard": True},
        pending="3d",
        approval_lasts="180d",
    ),
    _rule(
        "public",
        {"group": "security"},
        match={"exposure": "public", "key_algorithms": ["ec-p256", "rsa-2048"], "cas": ["sslcom", "digicert"]},
        renewals_apart="24h",
        most=50,
    ),
    _rule("internal", match={"exposure": "internal", "domains": ["corp.example.org"]}),
    _rule("hidden", {"count": 1}, match={"target_kinds": ["files"], "teams": ["shop"]}),
)

SCENES: Final[dict[str, Scene]] = {
    "everything": Scene(
        _EVERYTHING,
        {
            "wildcards": a_body(_WILD),
            "public": a_body(_A),
            "internal": _INTERNAL,
            "hidden": a_body(_HIDDEN, exposure="internal", targets=[files()]),
        },
    ),
    "one-rule": Scene(_with(_rule("all")), {"all": a_body(_A)}),
    "nothing-shared": Scene(_with(_rule("all"), shared_names=[]), {"all": a_body(_A)}),
    "another-team": Scene(
        _with(
            _rule("theirs", {"group": "own-team"}, match={"teams": ["bank", "security"]}),
            _rule("ours", {"count": 2}, match={"teams": ["shop"]}),
        ),
        {"ours": a_body(_A)},
    ),
    "teams": Scene(
        _with(_rule("theirs", {"group": "own-team"}, match={"teams": ["bank", "security"]})),
        {"theirs": a_body("b.bank.example.org", targets=[edge(instance="vault")])},
        owner="bank",
    ),
    "domains": Scene(
        _with(
            _rule("strict", {"group": "security"}, match={"domains": ["a.shop.example.org", "example.com"]}),
            _rule("loose", match={"domains": ["shop.example.org"]}),
        ),
        {"strict": a_body(_A), "loose": a_body("b.shop.example.org")},
    ),
    "exposure": Scene(
        _with(
            _rule("outside", {"group": "security", "count": 2}, match={"exposure": "public"}),
            _rule("inside", match={"exposure": "internal"}),
        ),
        {"outside": a_body(_A), "inside": _INTERNAL},
    ),
    "no-wildcards": Scene(_with(_rule("plain", match={"wildcard": False})), {"plain": a_body(_A)}),
    "only-wildcards": Scene(_with(_rule("stars", match={"wildcard": True})), {"stars": a_body(_WILD)}),
    "given-wildcards": Scene(
        _with(_rule("stars", {"count": 2}, match={"wildcard": True}), _rule("rest")),
        {"stars": a_body("*.given.example.org"), "rest": a_body("www.example.com")},
    ),
    "keys": Scene(
        _with(_rule("short", {"count": 1}, match={"key_algorithms": ["rsa-2048"]}, most=3), _rule("long", most=9)),
        {"short": a_body(_A, key_algorithm="rsa-2048"), "long": a_body(_A)},
    ),
    "only-one-key": Scene(
        _with(_rule("one", match={"key_algorithms": ["ec-p384"]})), {"one": a_body(_A, key_algorithm="ec-p384")}
    ),
    "cas": Scene(
        _with(
            _rule("first", match={"cas": ["sslcom"]}),
            _rule("second", {"group": "network"}, match={"cas": ["digicert"]}),
        ),
        {"first": a_body(_A, issuer="sslcom"), "second": a_body(_A, issuer="digicert")},
    ),
    "only-one-ca": Scene(_with(_rule("one", match={"cas": ["digicert"]})), {"one": a_body(_A, issuer="digicert")}),
    "a-private-ca": Scene(
        _with(_rule("ours", match={"cas": ["ours"]})), {"ours": a_body(_HIDDEN, exposure="internal", issuer="ours")}
    ),
    "no-private-ca": Scene(
        _with(_rule("all"), cas={"internal": ["letsencrypt"], "public": ["sslcom"]}), {"all": _INTERNAL}
    ),
    "kinds": Scene(
        _with(
            _rule("edge", {"group": "network"}, match={"target_kinds": ["haproxy"]}, pending="2h"),
            _rule("pods", match={"target_kinds": ["kubernetes"]}),
        ),
        {"edge": a_body(_A, targets=[edge()]), "pods": a_body(_A)},
    ),
    "bounds": Scene(
        _with(
            _rule(
                "stars", match={"wildcard": True}, pending="90m", approval_lasts="90d", renewals_apart="1h", most=2
            ),
            _rule("out", match={"exposure": "public"}, approval_lasts="720h", renewals_apart="2d", most=7),
            _rule("in", match={"exposure": "internal"}, pending="1d"),
        ),
        {"stars": a_body(_WILD, _A), "out": a_body(_A), "in": _INTERNAL},
    ),
    "all-of-it": Scene(
        _with(
            _rule(
                "narrow",
                match={
                    "teams": ["shop"],
                    "domains": ["shop.example.org"],
                    "exposure": "public",
                    "wildcard": False,
                    "key_algorithms": ["ec-p256"],
                    "cas": ["sslcom", "digicert"],
                    "target_kinds": ["kubernetes"],
                },
            )
        ),
        {"narrow": a_body(_A)},
    ),
}
