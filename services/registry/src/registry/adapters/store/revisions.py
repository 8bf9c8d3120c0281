"""Rows of revisions, of their bundles (the platform's key, sealed to each recipient), and of signing requests."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, and_, bindparam, insert, select, update

from certcore.bundles import SealedKey
from certcore.placements import PLATFORM
from certkit.prepared import Prepared
from certkit.upsert import put, put_all
from registry.adapters import tables
from registry.adapters.store.statements import OfIds, exists, known_or_text
from registry.domain.revision import Revision, SigningRequest, SigningState, SuggestedWindow

__all__ = ["Revisions", "SigningRequests"]


_OWN: Final = tuple(field.name for field in fields(Revision) if field.name != "window")
_WINDOW: Final = tuple(field.name for field in fields(SuggestedWindow))
_ANSWERED: Final = _WINDOW.index("answered_at")
_COLUMNS: Final = tuple(tables.revision.c[name] for name in (*_OWN, *(f"window_{name}" for name in _WINDOW)))

_IDS: Final[BindParameter[Sequence[str]]] = bindparam("ids", expanding=True)
_OF: Final = OfIds(
    _COLUMNS, tables.revision.c.certificate_id, tables.revision.c.number.desc(), tables.revision.c.variant
)
_SIGNING_OF: Final = OfIds(
    tuple(tables.signing_request.c),
    tables.signing_request.c.certificate_id,
    tables.signing_request.c.revision,
    tables.signing_request.c.variant,
)


_ADD: Final = Prepared(insert(tables.revision))
_ADD_BUNDLE: Final = Prepared(insert(tables.bundle))
_SAVE: Final = Prepared(
    update(tables.revision).where(
        tables.revision.c.certificate_id == bindparam("of"),
        tables.revision.c.number == bindparam("known_number"),
        tables.revision.c.variant == bindparam("known_variant"),
    )
)


# SQLite looks through a whole table for rows that are IN a list of tuples; these find them by the key, and some more.
_NUMBERS: Final[BindParameter[Sequence[int]]] = bindparam("numbers", expanding=True)
_SOME: Final = select(*_COLUMNS).where(
    tables.revision.c.certificate_id.in_(_IDS), tables.revision.c.number.in_(_NUMBERS)
)
_SEALED: Final = select(tables.bundle).where(
    tables.bundle.c.certificate_id.in_(_IDS), tables.bundle.c.revision.in_(_NUMBERS)
)
_SEALED_TO: Final = _SEALED.where(tables.bundle.c.recipient == bindparam("to"))

RevisionKey = tuple[str, int, str]
"""Certificate, number and variant."""


class Revisions:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, revision: Revision, keys: Iterable[SealedKey]) -> None:
        """Store a revision and its sealed keys."""
        _ADD.change(self._connection, _row(revision))
        for sealed in _bundle_rows(revision, keys):
            _ADD_BUNDLE.change(self._connection, sealed)

    def reseal(self, revision: Revision, keys: Iterable[SealedKey]) -> None:
        """Store sealed keys of a revision that is there, in place of those that the recipients had."""
        key = ("certificate_id", "revision", "variant", "recipient")
        put_all(self._connection, tables.bundle, _bundle_rows(revision, keys), key)

    def save(self, revision: Revision) -> None:
        """Save what the issuer reported of it, its CA's window too."""
        key = {"of": revision.certificate_id, "known_number": revision.number, "known_variant": revision.variant}
        values = {
            "ca": revision.ca,
            "validation_method": revision.validation_method,
            "ari_id": revision.ari_id,
            "announced": revision.announced,
        }
        _SAVE.change(self._connection, {**values, **_window_row(revision.window), **key})

    def of(self, certificate_ids: Sequence[str]) -> dict[str, list[Revision]]:
        """By certificate, newest first; those that the issuer has not reported yet among them."""
        found: dict[str, list[Revision]] = defaultdict(list)
        for item in _OF.rows(self._connection, certificate_ids):
            found[item.certificate_id].append(_revision(item))
        return found

    def some(self, keys: Iterable[RevisionKey]) -> dict[str, list[Revision]]:
        """Those of (certificate, number, variant), by certificate."""
        wanted = set(keys)
        found: dict[str, list[Revision]] = defaultdict(list)
        for item in self._connection.execute(_SOME, _named(wanted)):
            if (item.certificate_id, item.number, item.variant) in wanted:
                found[item.certificate_id].append(_revision(item))
        return found

    def has_leaf(self, fingerprint_sha256: str) -> bool:
        """Whether a leaf is stored as a revision of any certificate."""
        return exists(self._connection, tables.revision, {"fingerprint_sha256": fingerprint_sha256})

    def has_key(self, spki_sha256: str) -> bool:
        """Whether a leaf with this public key is stored."""
        return exists(self._connection, tables.revision, {"spki_sha256": spki_sha256})

    def sealed_keys(
        self, keys: Iterable[RevisionKey], *, recipient: str | None = None
    ) -> dict[str, dict[tuple[int, str, str], SealedKey]]:
        """The sealed keys of (certificate, revision, variant), of one recipient or of all.

        By certificate, then by revision, variant and recipient.
        """
        wanted = set(keys)
        query, to = (_SEALED, {}) if recipient is None else (_SEALED_TO, {"to": recipient})
        found: dict[str, dict[tuple[int, str, str], SealedKey]] = defaultdict(dict)
        for item in self._connection.execute(query, {**_named(wanted), **to}):
            if (item.certificate_id, item.revision, item.variant) in wanted:
                sealed = SealedKey.of(item.recipient, item.sealed, item.key_id)
                found[item.certificate_id][item.revision, item.variant, item.recipient] = sealed
        return found


def _bundle_rows(revision: Revision, keys: Iterable[SealedKey]) -> list[dict[str, object]]:
    return [
        {
            "certificate_id": revision.certificate_id,
            "revision": revision.number,
            "variant": revision.variant,
            "recipient": key.recipient,
            "sealed": key.raw(),
            "key_id": key.key_id,
        }
        for key in keys
    ]


def _row(revision: Revision) -> dict[str, object]:
    values = vars(revision) | _window_row(revision.window)
    del values["window"]
    return values


def _window_row(window: SuggestedWindow | None) -> dict[str, object]:
    return {f"window_{name}": getattr(window, name) if window else None for name in _WINDOW}


def _revision(row: Any) -> Revision:
    # By position, as placements.
    own, told = row[: len(_OWN)], row[len(_OWN) :]
    window = SuggestedWindow(*told) if told[_ANSWERED] else None
    return Revision(*(*own, window))


def _named(keys: Collection[RevisionKey]) -> dict[str, list[str] | list[int]]:
    return {"ids": list({key[0] for key in keys}), "numbers": list({key[1] for key in keys})}


class SigningRequests:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def wanted_at(self, place: str, service: str, *, after: str, limit: int) -> list[SigningRequest]:
        """Those that a service of a place should offer, of so many certificates after an id, by certificate id."""
        row, placement = tables.signing_request, tables.placement
        wanted = (
            placement.c.place == place,
            placement.c.service == service,
            placement.c.variant != PLATFORM,
            row.c.state == SigningState.WANTED.value,
        )
        theirs = and_(row.c.certificate_id == placement.c.certificate_id, row.c.target == placement.c.target)
        ids = (
            select(row.c.certificate_id)
            .join(placement, theirs)
            .where(*wanted, row.c.certificate_id > after)
            .distinct()
            .order_by(row.c.certificate_id)
            .limit(limit)
        )
        query = (
            select(row)
            .join(placement, theirs)
            .where(*wanted, row.c.certificate_id.in_(ids))
            .order_by(row.c.certificate_id, row.c.target, row.c.revision, row.c.variant)
        )
        return [_signing_request(item) for item in self._connection.execute(query)]

    def save(self, request: SigningRequest) -> None:
        values = asdict(request) | {"state": str(request.state)}
        put(self._connection, tables.signing_request, values, ("certificate_id", "revision", "variant"))

    def of(self, certificate_ids: Sequence[str]) -> dict[str, list[SigningRequest]]:
        """By certificate, then by revision and variant."""
        found: dict[str, list[SigningRequest]] = defaultdict(list)
        for item in _SIGNING_OF.rows(self._connection, certificate_ids):
            found[item.certificate_id].append(_signing_request(item))
        return found


def _signing_request(row: Any) -> SigningRequest:
    values = row._asdict()
    values["state"] = known_or_text(SigningState, values["state"])
    return SigningRequest(**values)
