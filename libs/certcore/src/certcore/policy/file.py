"""A policy as it is read, strictly, with every field at fault; and the digest that decisions cite."""

import hashlib
from collections.abc import Iterable
from typing import Final

import rfc8785
from pydantic import JsonValue, TypeAdapter, ValidationError

from certcore.policy.document import Policy
from certcore.rejection import RejectedError, Rejection
from certcore.targets import TargetKinds

__all__ = ["policy_digest", "read_policy"]

_MOST: Final = 100
_EMPTY: Final = "has no value, as if it weren't there: leave it out, or say something"
_JSON: Final = TypeAdapter[JsonValue](JsonValue)


def read_policy(data: object, kinds: TargetKinds) -> Policy:
    """Read what a YAML or JSON parser gave.

    Raises:
        RejectedError: with every field at fault.
    """
    if empty := [Rejection(field=where, message=_EMPTY) for where in _without_value(data)]:
        raise RejectedError(empty[:_MOST])
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        raise RejectedError(_rejections(error)) from None
    if faults := list(_faults_of_kinds(policy, kinds)):
        raise RejectedError(faults[:_MOST])
    return policy


def policy_digest(policy: Policy) -> str:
    """`sha256:` and the digest (hex) of what the policy says, in RFC 8785's form: comments and order of keys change
    nothing.
    """
    said = _JSON.validate_python(policy.model_dump(mode="json", exclude_defaults=True))
    return f"sha256:{hashlib.sha256(rfc8785.dumps(said)).hexdigest()}"


def _rejections(error: ValidationError) -> list[Rejection]:
    found = []
    for item in error.errors(include_url=False, include_input=False):
        field, message = ".".join(str(part) for part in item["loc"]), item["msg"].removeprefix("Value error, ")
        match item["type"]:
            case "extra_forbidden":
                message = "is not a field of a policy"
            case "missing":
                message = "is missing"
            case "model_type" | "dict_type":
                message = "must be a mapping"
            case "tuple_type":
                message = "must be a list"
        head, separator, rest = message.partition(": ")
        if item["type"] == "value_error" and separator and " " not in head:
            field, message = ".".join(part for part in (field, head) if part), rest
        found.append(Rejection(field=field or "policy", message=message[:300]))
    return found[:_MOST]


def _without_value(data: object, where: str = "") -> Iterable[str]:
    """Every field that is named and left empty: of a rule's `match` or of a bound, it would silently ask for less."""
    items: Iterable[tuple[object, object]] = ()
    if isinstance(data, dict):
        items = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    for name, value in items:
        field = f"{where}.{name}" if where else str(name)
        if value is None:
            yield field[:300]
        else:
            yield from _without_value(value, field)


def _faults_of_kinds(policy: Policy, kinds: TargetKinds) -> Iterable[Rejection]:
    for name, team in policy.teams.items():
        for number, place in enumerate(team.places):
            where = f"teams.{name}.places.{number}"
            kind = kinds.get(place.kind)
            if kind is None:
                yield Rejection(field=f"{where}.kind", message=f"must be one of {', '.join(sorted(kinds))}")
                continue
            wanted, given = kind.request.place_fields(), place.patterns
            for missing in (item for item in wanted if item not in given):
                yield Rejection(field=f"{where}.{missing}", message="is missing: give a pattern, `*` for any")
            for unknown in (item for item in given if item not in wanted):
                told = f"is no field of a place of the kind {place.kind}: these are {', '.join(wanted)}"
                yield Rejection(field=f"{where}.{unknown[:64]}", message=told)
    matches: tuple[tuple[str, tuple[str, ...] | None], ...] = (
        *((f"rules.{number}", rule.match.target_kinds) for number, rule in enumerate(policy.rules)),
        *((f"windows.{number}", window.match.target_kinds) for number, window in enumerate(policy.windows)),
        *((f"freeze.{number}", freeze.match.target_kinds) for number, freeze in enumerate(policy.freeze)),
    )
    for part, named in matches:
        for kind_name in named or ():
            if kind_name not in kinds:
                where = f"{part}.match.target_kinds"
                yield Rejection(field=where, message=f"{kind_name} is none of {', '.join(sorted(kinds))}")
