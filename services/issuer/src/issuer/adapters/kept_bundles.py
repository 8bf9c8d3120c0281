"""The bundles that the journal keeps: what the registry may need again, until its leaf expires."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, exists, null, or_, select, tuple_, update

from issuer.adapters.journal_database import NOBODY_WAITS_S, JournalDatabase
from issuer.adapters.journal_rows import job_id_of, readable
from issuer.adapters.tables import acme_order, challenge, job, registry_epoch
from issuer.domain.job import Job, JobId, JobState

__all__ = ["KeptBundles", "Pruned"]

_SUPERSEDED_FOR: Final = timedelta(days=30)
"""The row of a revision stays for so long after its end, and then if it is its certificate's newest."""
_ORDERS_FOR: Final = timedelta(days=400)
"""The record of an order stays for so long after its end."""
_AT_ONCE: Final = 500
"""Rows that one transaction changes: others wait for it."""

_KEY: Final = (job.c.certificate_id, job.c.revision, job.c.variant)
_ID: Final = tuple_(*_KEY)
_FREE: Final = or_(job.c.lease_owner.is_(None), job.c.lease_until < bindparam("now"))
# A revoked one may be so before the registry has it.
_DONE: Final = or_(job.c.state == JobState.STORED, job.c.revoked_at.is_not(None))
_KEPT: Final = (
    select(job)
    .where(job.c.state.in_((JobState.ISSUED, JobState.STORED)), job.c.chain_pem.is_not(None))
    .order_by(*_KEY)
)
_EXPIRED: Final = (
    select(*_KEY)
    .where(job.c.not_after <= bindparam("now"), _DONE, job.c.chain_pem.is_not(None), _FREE)
    .limit(_AT_ONCE)
)
_FORGET: Final = (
    update(job)
    .where(_ID.in_(_EXPIRED))
    .values(
        csr=null(),
        spki_sha256=null(),
        sealed_keys=null(),
        chain_pem=null(),
        report_at=null(),
        due_at=null(),
        version=job.c.version + 1,
    )
)
_newer = job.alias("newer")
_SUPERSEDED: Final = (
    select(*_KEY)
    .where(
        job.c.not_after <= bindparam("long_ago"),
        _DONE,
        job.c.chain_pem.is_(None),
        _FREE,
        exists().where(
            _newer.c.certificate_id == job.c.certificate_id,
            _newer.c.variant == job.c.variant,
            _newer.c.revision > job.c.revision,
        ),
        # Its challenge records are removed where they are shown, first.
        ~exists().where(
            challenge.c.certificate_id == job.c.certificate_id,
            challenge.c.revision == job.c.revision,
            challenge.c.variant == job.c.variant,
        ),
    )
    .limit(_AT_ONCE)
)
_DELETE: Final = delete(job).where(_ID.in_(_SUPERSEDED))
_ORDER: Final = (acme_order.c.url, acme_order.c.certificate_id, acme_order.c.revision, acme_order.c.variant)
_ENDED: Final = select(*_ORDER).where(acme_order.c.ended_at <= bindparam("ages_ago")).limit(_AT_ONCE)
_DELETE_ORDERS: Final = delete(acme_order).where(tuple_(*_ORDER).in_(_ENDED))


@dataclass(frozen=True)
class Pruned:
    """How many bundles were forgotten, and how many rows of jobs and of orders were deleted."""

    bundles: int
    rows: int
    orders: int = 0


class KeptBundles:
    """Each call may raise DatabaseBusyError."""

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    async def page(self, *, after: JobId | None, limit: int) -> Sequence[Job]:
        """Jobs that have a chain, by their ids: at most `limit`. One that can't be read is left out, and an empty
        page is the last one.
        """
        jobs: list[Job] = []
        while True:
            query = _KEPT.limit(limit)
            if after is not None:
                query = query.where(tuple_(after.certificate_id, after.revision, after.variant) < _ID)
            rows = await self._database.read(partial(_rows, query))
            jobs += filter(None, map(readable, rows))
            if len(rows) < limit or jobs:
                return jobs
            after = job_id_of(rows[-1])

    async def prune(self, *, now: datetime) -> Pruned:
        """Forget the bundles whose leaf has expired, and delete rows of revisions that are long superseded, and of
        orders that ended ages ago.
        """
        times = {"now": now, "long_ago": now - _SUPERSEDED_FOR}

        def part(connection: Connection) -> Pruned:
            return Pruned(
                connection.execute(_FORGET, {"now": now}).rowcount,
                connection.execute(_DELETE, times).rowcount,
                connection.execute(_DELETE_ORDERS, {"ages_ago": now - _ORDERS_FOR}).rowcount,
            )

        pruned = Pruned(0, 0)
        while True:
            more = await self._database.write(part, patience_s=NOBODY_WAITS_S)
            pruned = Pruned(pruned.bundles + more.bundles, pruned.rows + more.rows, pruned.orders + more.orders)
            if max(more.bundles, more.rows, more.orders) < _AT_ONCE:
                return pruned

    async def reported_epoch(self) -> int:
        """The epoch of the registry that this issuer last reported for; 0 before any report."""

        def look(connection: Connection) -> int:
            reported: int = connection.execute(select(registry_epoch.c.reported)).scalar_one()
            return reported

        return await self._database.read(look)

    async def note_reported(self, epoch: int) -> None:
        await self._database.write(
            lambda connection: connection.execute(update(registry_epoch).values(reported=epoch))
        )


def _rows(query: Select[Any], connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(query).all()
