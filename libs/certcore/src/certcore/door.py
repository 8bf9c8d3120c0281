"""The door: a request's body is parsed and checked here, the same for API, bus and command."""

import json
import re
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, create_model

from certcore.certificate import LABEL_VALUE_PATTERN, CertificateSpec
from certcore.names import KUBERNETES_PATTERN, LABEL_PATTERN
from certcore.rejection import RejectedError, Rejection
from certcore.targets import TargetKinds

__all__ = ["MAX_BODY_BYTES", "MAX_REJECTIONS", "RequestDoor"]

MAX_BODY_BYTES: Final = 64 * 1024

MAX_REJECTIONS: Final = 100
"""A body can hold thousands of faults; an event that told them all would be too large for the bus."""

_PATTERNS: Final = {
    LABEL_PATTERN: "must be 1 to 63 lower-case letters, digits and hyphens, with no hyphen at either end",
    KUBERNETES_PATTERN: (
        "must be 1 to 253 lower-case letters, digits, hyphens and dots, with a letter or digit at either end"
    ),
    LABEL_VALUE_PATTERN: (
        "must be empty, or at most 63 letters, digits, '_', '.' and '-', with a letter or digit at either end"
    ),
}

_FIELD_FIRST: Final = re.compile(r"^(?P<field>[a-z_]+(?:\.[a-z0-9_]+)*): (?P<message>.*)$", re.DOTALL)


class RequestDoor:
    """Knows the kinds of targets that a request may name. Make it once: building its model takes milliseconds."""

    def __init__(self, kinds: TargetKinds) -> None:
        self.kinds = kinds
        self.model = _model(kinds)

    def read(self, body: bytes) -> CertificateSpec:
        """Parse and check a request's body.

        Raises:
            RejectedError: with every field at fault.
        """
        if len(body) > MAX_BODY_BYTES:
            raise RejectedError([Rejection(field="body", message=f"is larger than {MAX_BODY_BYTES} bytes")])
        try:
            json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_refuse_twins)
        except _TwinError as error:
            raise RejectedError([Rejection(field=error.field, message="is given twice")]) from None
        except (ValueError, RecursionError) as error:
            # The parser's own text may quote the body; its position may not.
            where = f" at line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise RejectedError([Rejection(field="body", message=f"is not JSON{where}")]) from None
        try:
            return self.model.model_validate_json(body)
        except ValidationError as error:
            raise RejectedError(_rejections(error, self.kinds)) from None


def _model(kinds: TargetKinds) -> type[CertificateSpec]:
    union: Any = None
    for name in sorted(kinds):
        union = kinds[name].request if union is None else union | kinds[name].request
    target: Any = Annotated[union, Field(discriminator="kind")] if len(kinds) > 1 else union
    limits = CertificateSpec.model_fields["targets"].metadata
    targets: Any = Annotated[(tuple[target, ...], *limits)]
    return create_model("CertificateSpec", __base__=CertificateSpec, targets=(targets, ...))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class _TwinError(Exception):
    def __init__(self, field: str) -> None:
        self.field = field


def _refuse_twins(pairs: list[tuple[str, object]]) -> None:
    # Parsers differ in which of two they take: what a reader approved might not be what is issued.
    seen = set()
    for field, _ in pairs:
        if field in seen:
            raise _TwinError(_short(field) if field.isprintable() and field else "body")
        seen.add(field)


def _short(field: str) -> str:
    # No field of ours is that long; what stands there by mistake, a key perhaps, isn't stored and told.
    return field if len(field) <= 64 else f"{field[:20]}…"


def _rejections(error: ValidationError, kinds: TargetKinds) -> list[Rejection]:
    found = []
    items = error.errors(include_url=False, include_input=False)
    for item in items:
        if item["type"] == "too_short" and any(
            other["loc"][: len(item["loc"])] == item["loc"] for other in items if other is not item
        ):
            # The list is only short of the items that are refused already.
            continue
        path = [_short(str(part)) for part in _in_body(item["loc"], kinds)]
        field, message = ".".join(path), item["msg"].removeprefix("Value error, ")
        if not field and (named := _FIELD_FIRST.match(message)):
            field, message = named["field"], named["message"]
        match item["type"]:
            case "extra_forbidden":
                message = "is not a field of a request"
            case "too_short":
                message = "is empty: give at least one"
            case "too_long":
                message = f"has {item['ctx']['actual_length']} items: at most {item['ctx']['max_length']} are allowed"
            case "literal_error" if field == "kind":
                message = 'must be "new": nothing else can be requested yet'
            case "missing":
                message = "is missing"
            case "union_tag_invalid" | "union_tag_not_found":
                field, message = f"{field}.kind", f"must be one of {', '.join(sorted(kinds))}"
            case "literal_error" if item["loc"][0] == "targets":
                message = f"must be one of {', '.join(sorted(kinds))}"
            case "string_pattern_mismatch":
                pattern = item["ctx"]["pattern"]
                message = _PATTERNS.get(pattern, f"does not match {pattern}")
        found.append(Rejection(field=field or "body", message=message[:300]))
    return found[:MAX_REJECTIONS]


def _in_body(loc: tuple[int | str, ...], kinds: TargetKinds) -> tuple[int | str, ...]:
    """The path in the body. A tagged union puts the kind behind the target's number, and a mapping's key is marked:
    the body has neither.
    """
    if len(kinds) > 1 and len(loc) > 2 and loc[0] == "targets" and loc[2] in kinds:
        loc = (*loc[:2], *loc[3:])
    return loc[:-1] if loc and loc[-1] == "[key]" else loc
