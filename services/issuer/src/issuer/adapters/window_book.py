"""The renewal windows in the journal: of the newest certificate of each variant, as long as it is valid."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Row, Select, bindparam, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from certcore.errors import InspectionError
from certcore.inspection import read_chain
from issuer.adapters.journal_database import NOBODY_WAITS_S, JournalDatabase
from issuer.adapters.journal_rows import job_id_of, named
from issuer.adapters.tables import job, renewal_window
from issuer.domain.issued import ari_id
from issuer.domain.job import JobId, JobState
from issuer.domain.renewal_window import KeptWindow, Watched

__all__ = ["WindowBook", "rest"]

log = structlog.get_logger()

_AT_ONCE: Final = 200
_ROW: Final = renewal_window
_KEY: Final = (job.c.certificate_id, job.c.revision, job.c.variant)
_newer = job.alias("newer")
_NEW: Final = (
    select(*_KEY, job.c.ca, job.c.chain_pem, job.c.not_after)
    .where(
        job.c.state == JobState.STORED,
        job.c.chain_pem.is_not(None),
        job.c.ca.is_not(None),
        # Others were signed by a CA that can't be asked.
        job.c.order_url.is_not(None),
        job.c.not_after > bindparam("now"),
        job.c.revoked_at.is_(None),
        ~exists().where(
            _ROW.c.certificate_id == job.c.certificate_id,
            _ROW.c.revision == job.c.revision,
            _ROW.c.variant == job.c.variant,
        ),
        ~exists().where(
            _newer.c.certificate_id == job.c.certificate_id,
            _newer.c.variant == job.c.variant,
            _newer.c.revision > job.c.revision,
            _newer.c.state == JobState.STORED,
        ),
    )
    .limit(_AT_ONCE)
)
_IS: Final = (
    _ROW.c.certificate_id == bindparam("of_certificate"),
    _ROW.c.revision == bindparam("of_revision"),
    _ROW.c.variant == bindparam("of_variant"),
)
_KNOWN: Final = select(_ROW.c.certificate_id).where(*_IS)
_OLDER: Final = delete(_ROW).where(_IS[0], _IS[2], _ROW.c.revision < bindparam("of_revision"))
_PAST: Final = delete(_ROW).where(_ROW.c.not_after <= bindparam("now"))
_DUE: Final = (
    select(_ROW)
    .where(_ROW.c.ca == bindparam("of_ca"), _ROW.c.ask_at <= bindparam("now"), _ROW.c.not_after > bindparam("now"))
    .order_by(_ROW.c.ask_at)
    .limit(bindparam("most"))
)
# On PostgreSQL, where two claim at the same time, each passes over what the other has.
_TAKE: Final = _DUE.with_for_update(skip_locked=True)
_ASK_LATER: Final = update(_ROW).where(*_IS)
_SAVE: Final = _ASK_LATER.where(_ROW.c.ask_at == bindparam("claimed_until"))
_UNTOLD: Final = (
    select(_ROW)
    .where(
        _ROW.c.answered_at.is_not(None),
        or_(_ROW.c.told < _ROW.c.changes, _ROW.c.told_epoch != bindparam("epoch")),
    )
    .order_by(_ROW.c.answered_at)
    .limit(_AT_ONCE)
)
_TOLD: Final = update(_ROW).where(*_IS, _ROW.c.changes == bindparam("of_changes"))
_OF_ARI_ID: Final = select(_ROW.c.start, _ROW.c.end).where(
    _IS[0], _ROW.c.ari_id == bindparam("of_ari_id"), _ROW.c.ca == bindparam("of_ca"), _ROW.c.start.is_not(None)
)


def rest(job_id: JobId, connection: Connection) -> None:
    """Its CA is asked no more; what it said last stays, for the order that replaces it."""
    connection.execute(_ASK_LATER, {**named(job_id), "ask_at": None})


class WindowBook:
    """Each call may raise DatabaseBusyError."""

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    async def adopt(self, *, since: datetime | None, now: datetime) -> None:
        """Watch what was handed over since an instant (None: ever), and forget what is replaced or expired."""
        wanted = _NEW if since is None else _NEW.where(job.c.stored_at >= since)
        while True:
            rows = await self._database.read(partial(_rows, wanted, {"now": now}))
            # Another host adopts the same ones.
            with suppress(IntegrityError):
                await self._database.write(partial(_adopted, rows, now), patience_s=NOBODY_WAITS_S)
            if len(rows) < _AT_ONCE:
                break

    async def claim(self, ca: str, *, now: datetime, until: datetime, most: int) -> list[Watched]:
        """Those whose CA is to be asked now, longest due first: nobody else asks for them until then."""
        due = {"of_ca": ca, "now": now, "most": most}
        if not await self._database.read(partial(_rows, _DUE, due)):
            return []

        def take(connection: Connection) -> list[Watched]:
            found = connection.execute(_TAKE, due).all()
            if found:
                connection.execute(_ASK_LATER, [{**named(job_id_of(row)), "ask_at": until} for row in found])
            return [_watched(row, ask_at=until) for row in found]

        return await self._database.write(take)

    async def save(self, before: Watched, after: Watched) -> bool:
        """Write what came of a question; False where somebody else asked since, or it is watched no more."""
        values = {
            **named(after.job),
            "claimed_until": before.ask_at,
            "ask_at": after.ask_at,
            "silences": after.silences,
            "changes": after.changes,
            **(_window_row(after.window) if after.window is not None else {}),
        }
        return await self._database.write(
            lambda connection: connection.execute(_SAVE, values).rowcount == 1, patience_s=NOBODY_WAITS_S
        )

    async def untold(self, *, epoch: int) -> list[Watched]:
        """Some of those whose window the registry wasn't told of since it changed, or not in this epoch."""
        rows = await self._database.read(partial(_rows, _UNTOLD, {"epoch": epoch}))
        return [_watched(row, ask_at=row.ask_at) for row in rows]

    async def told(self, watched: Sequence[Watched], *, epoch: int) -> None:
        """Another window may have come since: then it is told as well."""
        told = [
            {**named(one.job), "of_changes": one.changes, "told": one.changes, "told_epoch": epoch} for one in watched
        ]
        if told:
            await self._database.write(lambda connection: connection.execute(_TOLD, told), patience_s=NOBODY_WAITS_S)

    async def window_of(self, certificate_id: str, *, ca: str, ari_id: str) -> tuple[datetime, datetime] | None:
        """The window of the certificate that has this name at the CA."""
        wanted = {"of_certificate": certificate_id, "of_ari_id": ari_id, "of_ca": ca}
        found = await self._database.read(partial(_rows, _OF_ARI_ID, wanted))
        return (found[0].start, found[0].end) if found else None


def _adopted(rows: Sequence[Row[Any]], now: datetime, connection: Connection) -> None:
    for row in rows:
        name = _ari_id_of(row)
        values = {
            **{column: getattr(row, column) for column in ("certificate_id", "revision", "variant", "ca")},
            "not_after": row.not_after,
            "ari_id": name or "",
            # One without a name can't be asked for.
            "ask_at": now if name else None,
        }
        mine = named(job_id_of(row))
        if connection.execute(_KNOWN, mine).one_or_none() is None:
            connection.execute(insert(_ROW), {**values, "silences": 0, "changes": 0, "told": 0, "told_epoch": 0})
        connection.execute(_OLDER, mine)
    connection.execute(_PAST, {"now": now})


def _ari_id_of(row: Row[Any]) -> str | None:
    try:
        return ari_id(read_chain(row.chain_pem.encode())[0])
    except InspectionError as error:
        log.warning("renewal_not_watched", certificate_id=row.certificate_id, error=str(error))
        return None


def _rows(query: Select[Any], values: Mapping[str, object], connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(query, values).all()


def _window_row(window: KeptWindow) -> dict[str, object]:
    return {
        "start": window.start,
        "end": window.end,
        "chosen": window.chosen,
        "answered_at": window.answered_at,
        "explanation_url": window.explanation_url,
    }


def _watched(row: Row[Any], *, ask_at: datetime) -> Watched:
    window = (
        KeptWindow(row.start, row.end, row.chosen, row.answered_at, row.explanation_url)
        if row.answered_at is not None
        else None
    )
    return Watched(
        job=job_id_of(row),
        ca=row.ca,
        ari_id=row.ari_id,
        ask_at=ask_at,
        window=window,
        silences=row.silences,
        changes=row.changes,
    )
