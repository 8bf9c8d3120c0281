"""The jobs of the journal that wait, page by page: little of each, for whoever tells what they wait for."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, bindparam, literal, or_, select, tuple_

from certkit.database import UtcDateTime
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.journal_rows import job_id_of
from issuer.adapters.tables import job
from issuer.domain.failure import WAITS, FailureReason
from issuer.domain.wait_notice import HeldUp

__all__ = ["HELD", "HeldUpJobs"]

_KEY: Final = (job.c.certificate_id, job.c.revision, job.c.variant)
# By what is due, of which there is an index: a journal holds many more jobs that are done, and these are large.
_ORDER: Final = (job.c.due_at, *_KEY)
HELD: Final = (
    select(*_KEY, job.c.ca, job.c.reason, job.c.problem, job.c.problem_at, job.c.wait_until, job.c.due_at)
    .where(
        job.c.due_at.is_not(None),
        # A line of a CA: what needs none waits for nobody outside.
        job.c.line_ca != "",
        or_(
            and_(job.c.reason.in_(sorted(WAITS)), job.c.problem_at <= bindparam("since", type_=UtcDateTime)),
            job.c.line_ca.in_(bindparam("away", expanding=True)),
        ),
    )
    .order_by(*_ORDER)
)
_REASONS: Final = {str(reason): reason for reason in FailureReason}


class HeldUpJobs:
    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    async def page(self, *, since: datetime, away: Collection[str], after: HeldUp | None, limit: int) -> list[HeldUp]:
        """What waits at least since an instant, and what is in line at the CAs that are away, by when it is due: an
        empty page is the last one.

        Raises:
            DatabaseBusyError: the journal can't be read now.
        """
        query = HELD.limit(limit)
        if after is not None:
            last = (after.job.certificate_id, after.job.revision, after.job.variant)
            query = query.where(tuple_(*_ORDER) > tuple_(literal(after.due_at, UtcDateTime), *last))
        values = {"since": since, "away": sorted(away)}
        return [_held_up(row) for row in await self._database.read(partial(_rows, query, values))]


def _rows(query: Select[Any], values: dict[str, object], connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(query, values).all()


def _held_up(row: Row[Any]) -> HeldUp:
    return HeldUp(
        job=job_id_of(row),
        ca=row.ca or "",
        # A newer issuer may have written another one.
        reason=_REASONS.get(row.reason),
        problem=row.problem or "",
        problem_at=row.problem_at,
        wait_until=row.wait_until,
        due_at=row.due_at,
    )
