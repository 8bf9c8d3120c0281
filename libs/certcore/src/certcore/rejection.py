"""What is wrong with a request, field by field: the same answer over API, bus and command."""

import json
import re
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from certcore.certificate import CertificateSpec
from certcore.targets import SERVICE_OF_KIND

__all__ = ["MAX_BODY_BYTES", "RejectedError", "Rejection", "read_request"]

MAX_BODY_BYTES: Final = 64 * 1024

MAX_REJECTIONS: Final = 100
"""A body can hold thousands of faults; an event that told them all would be too large for the bus."""

_FIELD_FIRST: Final = re.compile(r"^(?P<field>[a-z_]+(?:\.[a-z0-9_]+)*): (?P<message>.*)$", re.DOTALL)


class Rejection(BaseModel):
    """`field` is a path into the body (`targets.0.site`), or `body` where the whole of it can't be read."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class RejectedError(Exception):
    """A request that is refused. Nothing of it is stored."""

    def __init__(self, rejections: list[Rejection]) -> None:
        super().__init__("; ".join(f"{rejection.field} {rejection.message}" for rejection in rejections))
        self.rejections = rejections


def read_request(body: bytes) -> CertificateSpec:
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
        return CertificateSpec.model_validate_json(body)
    except ValidationError as error:
        raise RejectedError(_rejections(error)) from None


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


def _rejections(error: ValidationError) -> list[Rejection]:
    found = []
    items = error.errors(include_url=False, include_input=False)
    for item in items:
        if item["type"] == "too_short" and any(
            other["loc"][: len(item["loc"])] == item["loc"] for other in items if other is not item
        ):
            # The list is only short of the items that are refused already.
            continue
        # A tagged union puts the kind into the path; the body has no such level.
        path = [_short(str(part)) for part in item["loc"] if part not in SERVICE_OF_KIND]
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
            case "missing":
                message = "is missing"
            case "union_tag_invalid" | "union_tag_not_found":
                field, message = f"{field}.kind", f"must be one of {', '.join(sorted(SERVICE_OF_KIND))}"
            case "string_pattern_mismatch":
                message = "may hold only lower-case letters, digits and hyphens, not at either end"
        found.append(Rejection(field=field or "body", message=message[:300]))
    return found[:MAX_REJECTIONS]
