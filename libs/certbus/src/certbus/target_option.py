"""Targets and endpoints as they are typed: `kubernetes:site=site1,namespaces=web+shop,secret=shop-tls`.

Only the notation is read here. Whether a field is known, or a name allowed, is for the request's own model to say.
"""

from collections.abc import Iterable
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certcore.targets import TargetKinds, TargetRequest

__all__ = ["TargetFields", "read_endpoint", "read_labels", "read_targets"]

TargetFields = dict[str, str | list[str]]
"""A target as the request's body has it, not validated yet."""

_LISTS: Final = (list, tuple, set, frozenset)
_EXAMPLE: Final = "give one such as files:site=site1 or kubernetes:site=site1,namespaces=web+shop,secret=shop-tls"


def read_targets(specs: Iterable[str], kinds: TargetKinds) -> list[TargetFields]:
    """Read every --target; one without a name gets `<site>-<kind>`, or the kind alone where it has no site, with a
    number where that is taken.

    Which fields are lists is told by the kind's model. Of a kind that isn't installed here, a value with a `+` is a
    list: `web+shop`, or `web+` for a list of one.

    Raises:
        CommandError: a spec doesn't follow the notation.
    """
    targets = [_read_target(spec, f"targets.{number}", kinds) for number, spec in enumerate(specs)]
    taken = {target["name"] for target in targets if "name" in target}
    for target in targets:
        if "name" not in target:
            first = f"{target['site']}-{target['kind']}" if "site" in target else str(target["kind"])
            name, number = first, 1
            while name in taken:
                number += 1
                name = f"{first}-{number}"
            taken.add(name)
            target["name"] = name
    return targets


def _read_target(spec: str, field: str, kinds: TargetKinds) -> TargetFields:
    kind, colon, rest = (piece.strip() for piece in spec.partition(":"))
    if not kind or not colon:
        raise _fault(field, f"{spec!r} has no kind")
    known = kinds.get(kind)
    target: TargetFields = {"kind": kind}
    for part in rest.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not key or not equals or not value:
            raise _fault(field, f"{part!r} is not key=value")
        if key in target:
            raise _fault(field, f"{key} is given twice")
        listed = _is_list(known.request, key) if known else "+" in value
        target[key] = value.removesuffix("+").split("+") if listed else value
    return target


def _is_list(model: type[TargetRequest], field: str) -> bool:
    found = model.model_fields.get(field)
    return found is not None and _holds_many(found.annotation)


def _holds_many(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return any(_holds_many(part) for part in get_args(annotation))
    return origin in _LISTS or annotation in _LISTS


def read_endpoint(text: str) -> dict[str, str]:
    """Read `URL` or `URL=TARGET`; a URL of an endpoint holds no `=` itself."""
    url, equals, target = text.partition("=")
    return {"url": url, "target": target} if equals else {"url": url}


def read_labels(texts: Iterable[str]) -> dict[str, str]:
    """Read every `KEY=VALUE`; the value may be empty.

    Raises:
        CommandError: a label has no `=` or no key, or a key is given twice.
    """
    labels: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        problem = "is given twice" if key in labels else "is not KEY=VALUE" if not key or not equals else ""
        if problem:
            raise CommandError(
                "a --label can't be read",
                exit_code=ExitCode.INVALID,
                next_step="give each once, such as --label service=shop",
                fields=[("labels", f"{text!r} {problem}")],
            )
        labels[key] = value
    return labels


def _fault(field: str, message: str) -> CommandError:
    return CommandError(
        "a --target can't be read", exit_code=ExitCode.INVALID, next_step=_EXAMPLE, fields=[(field, message)]
    )
