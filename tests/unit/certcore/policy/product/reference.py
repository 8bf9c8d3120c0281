"""A second judge of requests, by the words of docs/policy.md and with none of the product's code.

It is slow, and compares names label by label. What both judges say is compared for every cell of the product.
"""

import itertools
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import idna

__all__ = ["Said", "reference"]

Json = dict[str, Any]
Name = tuple[str, ...]

_SIGNS: Final = frozenset(string.ascii_lowercase + string.digits + "-")
_KEYS: Final = ("ec-p256", "ec-p384", "rsa-2048", "rsa-3072")
_SUFFIXES: Final = frozenset(
    {
        "org",
        "com",
        "net",
        "io",
        "uk",
        "jp",
        "arpa",
        "onion",
        "home.arpa",
        "in-addr.arpa",
        "ip6.arpa",
        "co.uk",
        "github.io",
        "kawasaki.jp",
        "*.kawasaki.jp",
    }
)
"""Those public suffixes that the product's names have."""
_RESERVED: Final = (
    *("local", "localhost", "internal", "test", "example", "invalid", "onion"),
    *("home.arpa", "in-addr.arpa", "ip6.arpa"),
)
_PLACES: Final = {
    "kubernetes": {"site": "site", "clusters": "cluster", "namespaces": "namespace", "secret": "secret"},
    "files": {"site": "site", "store": "store"},
    "haproxy": {"site": "site", "instance": "instance"},
}
_FIELDS: Final = frozenset(
    {
        *(
            "kind",
            "name",
            "dns_names",
            "exposure",
            "owner",
            "issuer",
            "key_algorithm",
            "targets",
            "endpoints",
            "proof",
        ),
        *("end_date", "labels", "contact", "description"),
    }
)


@dataclass(frozen=True)
class Said:
    """`fields` are at fault; where there is none, the rest says what is asked, spans in minutes."""

    fields: frozenset[str] = frozenset()
    cas: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    approvals: tuple[tuple[str | None, int], ...] = ()
    pending: float | None = None
    lasts: float | None = None
    apart: float | None = None
    most: int | None = None


def reference(policy: Json, request: Json, owner: str) -> Said:
    if faults := _misspelt(request):
        return Said(frozenset(faults))
    names = [_labels(_spelt(name)) for name in request["dns_names"]]
    if owner not in policy["teams"]:
        return Said(frozenset({"owner"}))
    faults = set()
    zones = {kind: [_labels(zone) for zone in found] for kind, found in policy["zones"].items()}
    exposures: dict[Name, str] = {}
    for number, name in enumerate(names):
        exposure = _exposure(zones, name)
        if exposure is None or not _may_have(policy, name, owner) or _hides(zones, name, exposure):
            faults.add(f"dns_names.{number}")
        else:
            exposures[name] = exposure
    if any(found != request["exposure"] for found in exposures.values()):
        faults.add("exposure")
    cas = [
        ca
        for ca in policy["cas"][request["exposure"]]
        if ca in policy["cas"].get("private", ()) or all(map(_public_signs, exposures))
    ]
    asked = request.get("issuer")
    if not cas:
        faults.add("dns_names")
    elif asked is not None and asked not in cas:
        faults.add("issuer")
    places = policy["teams"][owner].get("places", ())
    for number, target in enumerate(request["targets"]):
        if not any(_is_at(place, target) for place in places):
            faults.add(f"targets.{number}")
    if faults:
        return Said(frozenset(faults))
    return _ruled(policy, request, owner, exposures, cas if asked is None else [asked])


def _ruled(policy: Json, request: Json, owner: str, exposures: dict[Name, str], cas: list[str]) -> Said:
    found = []
    key = request.get("key_algorithm", "ec-p256")
    for number, (name, exposure) in enumerate(exposures.items()):
        for target, ca in itertools.product(request["targets"], cas):
            facts = {
                "teams": owner,
                "exposure": exposure,
                "wildcard": name[-1] == "*",
                "key_algorithms": key,
                "cas": ca,
                "target_kinds": target["kind"],
            }
            fitting = [rule for rule in policy["rules"] if _is_for(rule.get("match", {}), facts, name)]
            if not fitting:
                return Said(frozenset({f"dns_names.{number}"}))
            found.append(fitting[0])
    rules = [rule for rule in policy["rules"] if rule in found]
    groups: dict[str | None, int] = {}
    for needed in (item for rule in rules for item in rule["approvals"]):
        group = needed.get("group")
        groups[group] = max(groups.get(group, 0), needed.get("count", 1))
    bounds = {
        key: [_minutes(rule[key]) for rule in rules if key in rule] for key in ("approval_lasts", "renewals_apart")
    }
    return Said(
        cas=tuple(cas),
        rules=tuple(rule["name"] for rule in rules),
        approvals=tuple(groups.items()),
        pending=min(_minutes(rule.get("pending", "14d")) for rule in rules),
        lasts=min(bounds["approval_lasts"], default=None),
        apart=max(bounds["renewals_apart"], default=None),
        most=min((rule["most"] for rule in rules if "most" in rule), default=None),
    )


def _is_for(match: Json, facts: dict[str, object], name: Name) -> bool:
    for field, value in match.items():
        if field == "domains":
            fits = any(_is_in(_host(name), _labels(zone)) for zone in value)
        else:
            fits = facts[field] in (value if isinstance(value, list) else [value])
        if not fits:
            return False
    return True


def _minutes(span: str) -> float:
    return int(span[:-1]) * {"d": 1440.0, "h": 60.0, "m": 1.0}[span[-1]]


@cache
def _labels(name: str) -> Name:
    """From the root on."""
    return tuple(reversed(name.split(".")))


def _host(name: Name) -> Name:
    return name[:-1] if name[-1] == "*" else name


def _is_in(name: Name, zone: Name) -> bool:
    return name[: len(zone)] == zone


def _exposure(zones: dict[str, list[Name]], name: Name) -> str | None:
    fitting = [(len(zone), kind) for kind, found in zones.items() for zone in found if _is_in(_host(name), zone)]
    return max(fitting)[1] if fitting else None


def _hides(zones: dict[str, list[Name]], name: Name, exposure: str) -> bool:
    return exposure == "internal" and name[-1] == "*" and any(zone[:-1] == name[:-1] for zone in zones["public"])


def _entries(team: Json, *kinds: str) -> Iterable[Name]:
    return (_labels(entry) for kind in kinds for entry in team.get(kind, ()))


def _may_have(policy: Json, name: Name, owner: str) -> bool:
    teams = policy["teams"]
    single = {team: name in _entries(held, "domains") for team, held in teams.items()}
    kind = "wildcards" if name[-1] == "*" else "subtrees"
    longest = {
        team: max((len(entry) for entry in _entries(held, kind) if _is_in(_host(name), entry)), default=0)
        for team, held in teams.items()
    }
    if single[owner]:
        return True
    if not longest[owner]:
        return False
    shared = name in [_labels(given) for given in policy.get("shared_names", ())]
    if not shared and (any(single.values()) or max(longest.values()) > longest[owner]):
        return False
    return name[-1] != "*" or all(_no_other(teams, below, owner) for below in _matched(teams, name))


def _matched(teams: Json, wildcard: Name) -> set[Name]:
    """Every name that the wildcard stands for and that an entry speaks of, and one that none does."""
    spoken = {entry for held in teams.values() for entry in _entries(held, "domains", "subtrees", "wildcards")} | {
        (*wildcard[:-1], "nobody-speaks-of-this")
    }
    return {name for name in spoken if name[:-1] == wildcard[:-1] and name[-1] != "*"}


def _no_other(teams: Json, name: Name, owner: str) -> bool:
    """Whether nobody has the name more closely, by an entry of whatever kind."""
    ranks = {
        team: 128
        if name in _entries(held, "domains")
        else max((len(entry) for entry in _entries(held, "subtrees", "wildcards") if _is_in(name, entry)), default=0)
        for team, held in teams.items()
    }
    return max(ranks.values()) == ranks[owner]


def _public_signs(name: Name) -> bool:
    host = _host(name)
    if any(_is_in(host, _labels(reserved)) for reserved in _RESERVED) or host[0] not in _SUFFIXES:
        return False
    return not any(label[2:4] == "--" and label[:2] != "xn" for label in host)


def _is_at(place: Json, target: Json) -> bool:
    if place["kind"] != target["kind"]:
        return False
    for field, called in _PLACES[target["kind"]].items():
        given = target.get(field, "default" if field in {"store", "instance"} else ())
        values = [given] if isinstance(given, str) else list(given) or ["*"]
        if not all(_fits(place[called], value, is_namespace=called == "namespace") for value in values):
            return False
    return True


def _fits(pattern: str, value: str, *, is_namespace: bool) -> bool:
    if is_namespace and value[:5] == "kube-":
        return pattern == value
    if pattern[-1:] != "*":
        return pattern == value
    return value[: len(pattern) - 1] == pattern[:-1]


def _misspelt(request: Json) -> set[str]:
    """The fields that no request may have so, whatever the policy says."""
    faults = {field for field in request if field not in _FIELDS}
    faults |= {field for field in ("name", "dns_names", "exposure", "targets") if field not in request}
    if request.get("kind", "new") != "new":
        faults.add("kind")
    if request.get("exposure", "public") not in {"internal", "public"}:
        faults.add("exposure")
    if request.get("key_algorithm", "ec-p256") not in _KEYS:
        faults.add("key_algorithm")
    for field in ("name", "owner", "issuer"):
        if request.get(field) is not None and not _is_word(request[field]):
            faults.add(field)
    spelt = [_spelt(name) if isinstance(name, str) else "" for name in request.get("dns_names", ())]
    faults |= {f"dns_names.{number}" for number, name in enumerate(spelt) if not _is_dns_name(name)}
    for number, target in enumerate(request.get("targets", ())):
        if not _is_target(target):
            faults.add(f"targets.{number}")
    if not faults:
        called = [target["name"] for target in request["targets"]]
        twins = (
            f"{field}.{number}"
            for field, values in (("dns_names", spelt), ("targets", called))
            for number, value in enumerate(values)
            if value in values[:number]
        )
        faults = {*itertools.islice(twins, 1)}
    return faults


def _is_word(value: object) -> bool:
    return (
        isinstance(value, str) and 0 < len(value) < 64 and set(value) <= _SIGNS and "-" not in {value[0], value[-1]}
    )


def _is_kubernetes(value: object) -> bool:
    fits = isinstance(value, str) and 0 < len(value) < 254 and set(value) <= _SIGNS | {"."}
    return fits and not {str(value)[0], str(value)[-1]} & {"-", "."}


def _is_target(target: Json) -> bool:
    places = _PLACES.get(target.get("kind", ""))
    if places is None or not _is_word(target.get("name")) or not _is_word(target.get("site")):
        return False
    if target.keys() - {"kind", "name"} - places.keys():
        return False
    if target["kind"] != "kubernetes":
        return all(_is_word(target.get(field, "default")) for field in places)
    namespaces = target.get("namespaces", ())
    named = all(map(_is_kubernetes, [*namespaces, target.get("secret")]))
    return bool(namespaces) and named and all(map(_is_word, target.get("clusters", ())))


def _spelt(name: str) -> str:
    """Letters of ASCII alone have a lower case here."""
    return "".join(chr(ord(sign) + 32) if "A" <= sign <= "Z" else sign for sign in name.strip())


@cache
def _is_dns_name(name: str) -> bool:
    labels = name.split(".")
    host = labels[1:] if labels[0] == "*" else labels
    if len(name) > 253 or len(host) < 2 or not all(map(_is_dns_label, host)):
        return False
    if re.fullmatch("[0-9]+|0x[0-9a-f]*", host[-1]):
        return False
    suffix = max(n for n in range(1, len(host) + 1) if n == 1 or _is_suffix(host[-n:]))
    return len(host) > suffix


def _is_suffix(host: list[str]) -> bool:
    return not {".".join(host), ".".join(["*", *host[1:]])}.isdisjoint(_SUFFIXES)


def _is_dns_label(label: str) -> bool:
    if not 0 < len(label) < 64 or not set(label) <= _SIGNS or "-" in {label[0], label[-1]}:
        return False
    if label[:4] != "xn--":
        return True
    try:
        return idna.alabel(idna.ulabel(label)).decode() == label
    except idna.IDNAError:
        return False
