"""The jobs of the journal that aren't done, page by page: little of each, for whoever tells what they wait for."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select, tuple_

from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.journal_rows import job_id_of
from issuer.adapters.tables import job
from issuer.domain.failure import FailureReason
from issuer.domain.job import JobId
from issuer.domain.wait_notice import HeldUp

__all__ = ["HeldUpJobs"]

_KEY: Final = (job.c.certificate_id, job.c.revision, job.c.variant)
_HELD: Final = (
    select(*_KEY, job.c.ca, job.c.reason, job.c.problem, job.c.problem_at, job.c.wait_until, job.c.due_at)
    # A line of a CA: what needs none waits for nobody outside.
    .where(job.c.due_at.is_not(None), job.c.line_ca != "")
    .order_by(*_KEY)
)

_REASONS: Final = {str(reason): reason for reason in FailureReason}


class HeldUpJobs:
    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    async def page(self, *, after: JobId | None, limit: int) -> list[HeldUp]:
        """By their ids: an empty page is the last one.

        Raises:
            DatabaseBusyError: the journal can't be read now.
        """
        query = _HELD.limit(limit)
        if after is not None:
            query = query.where(tuple_(after.certificate_id, after.revision, after.variant) < tuple_(*_KEY))
        return [_held_up(row) for row in await self._database.read(partial(_rows, query))]


def _rows(query: Select[Any], connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(query).all()


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
