"""A policy with two teams, and a request that it allows."""

import copy
from typing import Any, Final

from certcore.certificate import CertificateSpec
from certcore.door import RequestDoor
from certcore.policy.document import Policy
from certcore.policy.file import read_policy
from certcore.policy.judgement import Judgement, judge
from certcore.targets import FILES, HAPROXY, KUBERNETES, TargetKinds

__all__ = ["KINDS", "POLICY", "REQUEST", "a_policy", "a_request", "judged", "refused"]

KINDS: Final = TargetKinds([FILES, HAPROXY, KUBERNETES])
_DOOR: Final = RequestDoor(KINDS)

POLICY: Final[dict[str, Any]] = {
    "version": 1,
    "zones": {
        "internal": ["corp.example.org", "shop.local"],
        "public": ["example.org", "example.com"],
    },
    "cas": {"internal": ["letsencrypt", "ours"], "public": ["sslcom", "digicert"], "private": ["ours"]},
    "groups": {"security": ["eve", "dan"], "network": ["nat"]},
    "teams": {
        "shop": {
            "domains": ["www.example.com"],
            "subtrees": ["shop.example.org", "shop.corp.example.org", "shop.local"],
            "wildcards": ["shop.example.org"],
            "places": [
                {"kind": "kubernetes", "site": "site1", "cluster": "*", "namespace": "shop-*", "secret": "*"},
                {"kind": "kubernetes", "site": "site2", "cluster": "west", "namespace": "shop", "secret": "tls"},
                {"kind": "files", "site": "*", "store": "default"},
            ],
        },
        "bank": {
            "domains": ["pay.shop.example.org"],
            "subtrees": ["bank.example.org", "bank.shop.example.org"],
            "places": [{"kind": "haproxy", "site": "site1", "instance": "edge"}],
        },
    },
    "roles": [
        {"group": "Shop People", "roles": ["viewer", "requester"], "teams": ["shop"]},
        {"group": "pki", "roles": ["operator", "admin"], "teams": "all"},
    ],
    "rules": [
        {
            "name": "wildcards",
            "match": {"wildcard": True},
            "approvals": [{"group": "security", "count": 2}, {"group": "network"}],
            "pending": "3d",
            "approval_lasts": "180d",
        },
        {
            "name": "public",
            "match": {"exposure": "public", "key_algorithms": ["ec-p256", "rsa-2048"], "cas": ["sslcom", "digicert"]},
            "approvals": [{"group": "security"}],
            "renewals_apart": "24h",
            "most": 50,
        },
        {"name": "internal", "match": {"exposure": "internal", "domains": ["corp.example.org"]}, "approvals": []},
        {"name": "hidden", "match": {"target_kinds": ["files"], "teams": ["shop"]}, "approvals": [{"count": 1}]},
    ],
}

REQUEST: Final[dict[str, Any]] = {
    "name": "checkout",
    "dns_names": ["a.shop.example.org"],
    "exposure": "public",
    "targets": [
        {"kind": "kubernetes", "name": "pods", "site": "site1", "namespaces": ["shop-web"], "secret": "checkout-tls"}
    ],
    "proof": "none",
}


def a_policy(**changes: Any) -> Policy:
    return read_policy({**copy.deepcopy(POLICY), **changes}, KINDS)


def a_request(**changes: Any) -> CertificateSpec:
    return _DOOR.model.model_validate({**REQUEST, **changes})


def judged(*, owner: str = "shop", policy: Policy | None = None, **changes: Any) -> Judgement:
    return judge(policy or a_policy(), a_request(**changes), owner=owner)


def refused(*, owner: str = "shop", policy: Policy | None = None, **changes: Any) -> dict[str, str]:
    """Each field at fault with its message; nothing where the request is allowed."""
    return {item.field: item.message for item in judged(owner=owner, policy=policy, **changes).refusals}
