"""The audit: who did what, when. Each entry holds the hash of the one before it in its chain.

An entry is hashed as the canonical JSON (RFC 8785) of all its fields but the hash.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime

from certcore.reading import Open, ReadModel

__all__ = [
    "ENTRY",
    "AuditEntry",
    "AuditHead",
    "Json",
    "Way",
    "canonical",
    "entry_fields",
    "fields_of",
    "hash_of",
    "instant_text",
]

Json = str | int | None | list["Json"] | dict[str, "Json"]

ENTRY: Final = "entry"
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


class Way(StrEnum):
    """How an act came about: by a caller's token, a message on the bus, a rule of the policy, or by itself."""

    TOKEN = "token"  # noqa: S105 # a word
    BUS = "bus"
    POLICY = "policy"
    SYSTEM = "system"
    UNTOLD = ""


class AuditHead(ReadModel):
    """The last entry of a chain."""

    chain: int
    number: int
    hash: str


class AuditEntry(ReadModel):
    """`chain` and `number` name it. `roles` are those that the actor had, where it acted by a token."""

    chain: int
    number: int
    time: AwareDatetime
    actor: str
    way: Open[Way] = Way.UNTOLD
    roles: str = ""
    action: str
    object: str
    detail: str
    previous: str | None
    hash: str


def canonical(value: Json) -> bytes:
    """RFC 8785 for texts, integers and null under ASCII names: what the audit is made of.

    Raises:
        ValueError: a text is none (half a surrogate pair), or a number is no integer.
    """
    return _ENCODER.encode(value).encode()


def instant_text(instant: datetime) -> str:
    """One form for each instant, to the microsecond."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def entry_fields(
    *,
    chain: int,
    number: int,
    time: datetime,
    actor: str,
    way: str,
    roles: str,
    action: str,
    what: str,
    detail: str,
    previous: str | None,
) -> dict[str, Json]:
    """An entry as it is hashed. `previous` is the hash of the entry before it, None for the first of a chain."""
    return {
        "kind": ENTRY,
        "chain": chain,
        "number": number,
        "time": instant_text(time),
        "actor": actor,
        "way": way,
        "roles": roles,
        "action": action,
        "object": what,
        "detail": detail,
        "previous": previous,
    }


def hash_of(fields: Mapping[str, Json]) -> str:
    """The hash of an entry, in lower-case hex."""
    return hashlib.sha256(canonical({name: value for name, value in fields.items() if name != "hash"})).hexdigest()


def fields_of(entry: AuditEntry) -> dict[str, Json]:
    """An entry as it is stored, with its hash: whether that is right, who reads it finds out."""
    fields = entry_fields(
        chain=entry.chain,
        number=entry.number,
        time=entry.time,
        actor=entry.actor,
        way=entry.way,
        roles=entry.roles,
        action=entry.action,
        what=entry.object,
        detail=entry.detail,
        previous=entry.previous,
    )
    return fields | {"hash": entry.hash}
