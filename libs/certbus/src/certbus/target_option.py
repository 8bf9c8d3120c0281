"""Targets and endpoints as they are typed: `kubernetes:site=site1,namespaces=web+shop,secret=shop-tls`.

Only the notation is read here. Whether a field is known, or a name allowed, is for the request's own model to say.
"""

from collections.abc import Iterable
from typing import Final

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode

__all__ = ["TargetFields", "read_endpoint", "read_targets"]

TargetFields = dict[str, str | list[str]]
"""A target as the request's body has it, not validated yet."""

_LISTS: Final = frozenset({"namespaces", "clusters"})
_EXAMPLE: Final = "give one such as files:site=site1 or kubernetes:site=site1,namespaces=web+shop,secret=shop-tls"


def read_targets(specs: Iterable[str]) -> list[TargetFields]:
    """Read every --target; one without a name gets `<site>-<kind>`, with a number where that is taken.

    Raises:
        CommandError: a spec doesn't follow the notation.
    """
    targets = [_read_target(spec, f"targets.{number}") for number, spec in enumerate(specs)]
    taken = {target["name"] for target in targets if "name" in target}
    for target in targets:
        if "name" not in target and "site" in target:
            first = f"{target['site']}-{target['kind']}"
            name, number = first, 1
            while name in taken:
                number += 1
                name = f"{first}-{number}"
            taken.add(name)
            target["name"] = name
    return targets


def _read_target(spec: str, field: str) -> TargetFields:
    kind, colon, rest = spec.partition(":")
    if not kind or not colon:
        raise _fault(field, f"{spec!r} has no kind")
    target: TargetFields = {"kind": kind.strip()}
    for part in rest.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not key or not equals or not value:
            raise _fault(field, f"{part!r} is not key=value")
        if key in target:
            raise _fault(field, f"{key} is given twice")
        target[key] = value.split("+") if key in _LISTS else value
    return target


def read_endpoint(text: str) -> dict[str, str]:
    """Read `URL` or `URL=TARGET`; a URL of an endpoint holds no `=` itself."""
    url, equals, target = text.partition("=")
    return {"url": url, "target": target} if equals else {"url": url}


def _fault(field: str, message: str) -> CommandError:
    return CommandError(
        "a --target can't be read", exit_code=ExitCode.INVALID, next_step=_EXAMPLE, fields=[(field, message)]
    )
