"""Somebody who stole the issuer's host: its state folder, journal and settings. The memory of its process aside."""

import base64
import binascii
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key
from pydantic import TypeAdapter

from certcore.bundles import SealedKey
from certcore.errors import SealingError
from certcore.sealing import RecipientKey, SealContext, open_sealed

__all__ = ["Loot", "StolenKey", "steal"]

_PEM = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_TOKEN = re.compile(rb"[0-9A-Za-z+/_=-]{40,}")
_SECRET = 32
"""Bytes of a secret number, whatever it is for."""


@dataclass(frozen=True)
class StolenKey:
    """A sealed key with what it is bound to."""

    certificate_id: str
    revision: int
    variant: str
    key: SealedKey


@dataclass(frozen=True)
class Loot:
    secrets: frozenset[bytes]
    """Everything of 32 bytes that may be a private key, in whatever form it was found."""
    sealed: tuple[StolenKey, ...]

    def opened(self) -> list[StolenKey]:
        """Every sealed key that any of the secrets opens."""
        keys = [X25519PrivateKey.from_private_bytes(secret) for secret in self.secrets]
        return [item for item in self.sealed if any(_opens(item, key) for key in keys)]


def steal(state: Path, database: Path, *more: bytes) -> Loot:
    """Take all files of the state folder and all rows of the journal; `more` is what else lies on the host."""
    contents = [path.read_bytes() for path in state.rglob("*") if path.is_file()]
    sealed: list[StolenKey] = []
    with closing(sqlite3.connect(database)) as journal:
        journal.row_factory = sqlite3.Row
        tables = [row[0] for row in journal.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in journal.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 # a name of the journal itself
                contents += _cells(row)
                sealed += _sealed_in(row)
    secrets = {secret for content in (*contents, *more) for secret in _secrets_in(content)}
    return Loot(frozenset(secrets), tuple(sealed))


def _opens(item: StolenKey, key: X25519PrivateKey) -> bool:
    stolen = RecipientKey(item.key.recipient, key)
    context = SealContext(item.key.recipient, item.certificate_id, item.revision, item.variant)
    for sealed_to in (stolen.key_id, None):
        try:
            pem = open_sealed(item.key.raw(), key=stolen, context=context, sealed_to=sealed_to)
        except SealingError:
            continue
        assert b"PRIVATE KEY" in pem
        return True
    return False


def _cells(row: sqlite3.Row) -> Iterator[bytes]:
    for cell in row:
        if isinstance(cell, bytes):
            yield cell
        elif cell is not None:
            yield str(cell).encode()


def _sealed_in(row: sqlite3.Row) -> Sequence[StolenKey]:
    if "sealed_keys" not in row.keys() or row["sealed_keys"] is None:  # noqa: SIM118 # a row is no mapping
        return ()
    keys = TypeAdapter(list[SealedKey]).validate_json(row["sealed_keys"])
    return [StolenKey(row["certificate_id"], row["revision"], row["variant"], key) for key in keys]


def _secrets_in(content: bytes) -> Iterator[bytes]:
    if len(content) == _SECRET:
        yield content
    for pem in _PEM.findall(content):
        yield from _number_of(load_pem_private_key(pem, password=None))
    for token in _TOKEN.findall(content):
        for raw in _decoded(token):
            if len(raw) == _SECRET:
                yield raw
            yield from _number_of_der(raw)


def _decoded(token: bytes) -> Iterator[bytes]:
    bare = token.rstrip(b"=")
    padded = bare + b"=" * (-len(bare) % 4)
    for form, read in ((token, _hex), (padded, _base64), (padded, base64.urlsafe_b64decode)):
        try:
            yield read(form)
        except (binascii.Error, ValueError):
            continue


def _hex(token: bytes) -> bytes:
    return bytes.fromhex(token.decode())


def _base64(token: bytes) -> bytes:
    return base64.b64decode(token, validate=True)


def _number_of_der(raw: bytes) -> Iterator[bytes]:
    try:
        key = load_der_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return
    yield from _number_of(key)


def _number_of(key: Any) -> Iterator[bytes]:
    if isinstance(key, X25519PrivateKey):
        yield key.private_bytes_raw()
    elif isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size == _SECRET * 8:
        yield key.private_numbers().private_value.to_bytes(_SECRET, "big")
