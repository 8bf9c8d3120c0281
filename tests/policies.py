"""A policy that allows every team of the tests all of their names and places: internal ones at once, public ones by a
second person.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from certcore.policy.document import Policy

__all__ = ["PEOPLE", "TEAMS", "TOY_PLACES", "open_policy", "policy_file"]

TEAMS: Final = (
    "shop",
    "treasury",
    "o" * 63,
    "platform",
    "maps",
    "bank",
    "press",
    "late",
    "library",
    "archive",
    "team-shop",
    "orchard",
    "museum",
    "matrix",
    "matrix-neighbour",
    "team-of-pattern",
    *(f"team-{n}" for n in range(20)),
)
_INTERNAL: Final = ("internal.example.test", "known.example.test", "team-of-pattern.test")
_PUBLIC: Final = ("example.test", "example.org", "pattern-waiting.team-of-pattern.test")
_PLACES: Final = (
    {"kind": "files", "site": "*", "store": "*"},
    {"kind": "haproxy", "site": "*", "instance": "*"},
    {"kind": "kubernetes", "site": "*", "cluster": "*", "namespace": "*", "secret": "*"},
)

PEOPLE: Final = (
    {"group": "Everybody who asks", "roles": ["requester"], "teams": "all"},
    {"group": "reviewers", "roles": ["approver"], "teams": "all"},
    {"group": "pki", "roles": ["operator", "auditor", "admin"], "teams": "all"},
)
"""Groups that a provider may tell."""
TOY_PLACES: Final = (
    {"kind": "appliance", "site": "*", "shelf": "*"},
    {"kind": "toy-cdn", "property": "*"},
)


def open_policy(
    teams: Iterable[str] = TEAMS,
    *,
    internal: Iterable[str] = _INTERNAL,
    public: Iterable[str] = _PUBLIC,
    cas: Iterable[str] = ("ca-one", "ca-two"),
    places: Iterable[dict[str, str]] = (),
) -> dict[str, Any]:
    """As a policy file has it; `places` are allowed beside those of our own kinds."""
    zones = {"internal": [*internal], "public": [*public]}
    subtrees = [*zones["internal"], *zones["public"]]
    team = {"subtrees": subtrees, "wildcards": subtrees, "places": [*_PLACES, *places]}
    return {
        "version": 1,
        "zones": zones,
        "cas": {"internal": [*cas], "public": [*cas], "private": [*cas]},
        "teams": dict.fromkeys(teams, team),
        "roles": [*PEOPLE, *_single_roles(teams)],
        "rules": [
            {"name": "internal-names", "match": {"exposure": "internal"}, "approvals": []},
            {"name": "public-names", "match": {"exposure": "public"}, "approvals": [{"count": 1}]},
        ],
    }


def _single_roles(teams: Iterable[str]) -> list[dict[str, Any]]:
    """For each role of people a group that has it as a token of the team `matrix` would."""
    own = ["matrix"] if "matrix" in teams else "all"
    broad = {"approver": "all", "operator": "all", "auditor": "all", "admin": "all"}
    return [
        {"group": f"only-{role}", "roles": [role], "teams": broad.get(role, own)}
        for role in ("viewer", "requester", *broad)
    ]


def policy_file(folder: Path, policy: dict[str, Any] | None = None) -> Path:
    """Write it; JSON is YAML."""
    path = folder / "policy.yaml"
    body = policy if policy is not None else open_policy()
    Policy.model_validate(body)
    path.write_text(json.dumps(body))
    return path
