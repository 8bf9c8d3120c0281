"""The journal of jobs in SQL. Every write of a job is a compare-and-set on its version: whoever wrote first wins,
and a worker whose lease was taken over can change nothing any more.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, and_, bindparam, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from issuer.adapters.claiming import FIRST_OF_LINE, LINES, NEXT_DUE
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.journal_rows import (
    identity,
    job_id_of,
    job_of,
    order_row,
    readable,
    record_of,
    record_row,
    row_of,
)
from issuer.adapters.tables import account, challenge, job
from issuer.domain.account import AccountRecord
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.errors import JobTakenError
from issuer.domain.job import Job, JobId, JobState
from issuer.domain.turns import Line, Turns

__all__ = ["Journal"]

_IS_JOB: Final = and_(
    job.c.certificate_id == bindparam("of_certificate"),
    job.c.revision == bindparam("of_revision"),
    job.c.variant == bindparam("of_variant"),
)
_OF_JOB: Final = and_(
    challenge.c.certificate_id == bindparam("of_certificate"),
    challenge.c.revision == bindparam("of_revision"),
    challenge.c.variant == bindparam("of_variant"),
)
# Statements are built once: building them costs as much as running them.
_FIND: Final = select(job).where(_IS_JOB)
_NEWEST: Final = select(func.max(job.c.revision)).where(
    job.c.certificate_id == bindparam("of_certificate"), job.c.variant == bindparam("of_variant")
)
_RECORDS: Final = select(challenge).where(_OF_JOB)
_RECORDS_AT: Final = select(challenge).where(
    challenge.c.kind == bindparam("of_kind"), challenge.c.record_name == bindparam("of_name")
)
_FORGET: Final = delete(challenge).where(_OF_JOB, challenge.c.url == bindparam("of_url"))
_WRITE: Final = update(job).where(
    _IS_JOB,
    job.c.version == bindparam("of_version"),
    job.c.state == bindparam("of_state"),
    # The first order URL wins, whatever else is believed.
    job.c.order_url.is_not_distinct_from(bindparam("of_order_url")),
)
_RELEASE: Final = (
    update(job).where(job.c.lease_owner == bindparam("of_owner")).values(lease_owner=None, lease_until=None)
)
_SET_ASIDE: Final = update(job).where(_IS_JOB)
_EXTEND: Final = update(job).where(_IS_JOB, job.c.lease_owner == bindparam("of_owner"))
_RECORDS_NOT_NEEDED: Final = (JobState.ACCEPTED, JobState.KEYED, JobState.ISSUED, JobState.STORED)
_LEFTOVER: Final = (
    select(challenge)
    .join(
        job,
        and_(
            challenge.c.certificate_id == job.c.certificate_id,
            challenge.c.revision == job.c.revision,
            challenge.c.variant == job.c.variant,
        ),
    )
    .where(or_(job.c.state.in_(_RECORDS_NOT_NEEDED), job.c.given_up))
)


class Journal:
    """`worker` names this process in leases. Each call may raise DatabaseBusyError."""

    def __init__(self, *, database: JournalDatabase, worker: str) -> None:
        self._database = database
        self._worker = worker

    async def accept(self, new: Job, *, only_newest: bool = False) -> Job | None:
        """Store a job, or find the one that is stored under its id. None where neither is so: with `only_newest` no
        job is stored that a later revision of its certificate and variant is known of.
        """
        try:
            async with self._database.transaction() as connection:
                newest = (await connection.execute(_NEWEST, _named(new.id))).scalar_one() if only_newest else None
                if newest is None or newest < new.id.revision:
                    await connection.execute(insert(job).values(**row_of(new), **identity(new)))
                    return new
        except IntegrityError:
            # Another issuer was quicker, or it came before.
            pass
        found = await self.find(new.id)
        if found is None and not only_newest:
            raise JobTakenError(str(new.id))
        return found

    async def find(self, job_id: JobId) -> Job | None:
        async with self._database.transaction() as connection:
            row = (await connection.execute(_FIND, _named(job_id))).one_or_none()
        return job_of(row) if row is not None else None

    async def found(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """Those of the jobs that are there; one that can't be read is logged and left out."""
        ids = tuple_(job.c.certificate_id, job.c.revision, job.c.variant)
        wanted = [(one.certificate_id, one.revision, one.variant) for one in job_ids]
        async with self._database.transaction() as connection:
            rows = (await connection.execute(select(job).where(ids.in_(wanted)))).all()
        return {mine.id: mine for row in rows if (mine := readable(row)) is not None}

    async def claim(
        self, *, now: datetime, until: datetime, turns: Turns, running: Collection[JobId]
    ) -> tuple[list[Job], datetime | None]:
        """Lease the due jobs whose turn it is, as many as there are free slots, and tell when the next one will be
        due. A row that can't be read is logged and left out.
        """
        claimed: list[Job] = []
        turns = turns.copy()
        lease = {"lease_owner": self._worker, "lease_until": until}
        async with self._database.transaction() as connection:
            lines = {Line(row.owner, bool(row.urgent)) for row in await connection.execute(LINES, {"now": now})}
            while (line := turns.next_of(lines)) is not None:
                of_line = {"now": now, "of_owner": line.owner, "if_urgent": line.urgent}
                row = (await connection.execute(FIRST_OF_LINE, of_line)).one_or_none()
                if row is None:
                    lines.remove(line)
                    continue
                mine = None if job_id_of(row) in running else readable(row)
                if mine is None:
                    # This worker kept its lease too short; or a newer issuer wrote it, or it is damaged. It is
                    # leased, so that it doesn't stand before the others.
                    await connection.execute(_SET_ASIDE, {**_named(job_id_of(row)), **lease})
                    continue
                # Another worker may have been quicker since it was read.
                with suppress(JobTakenError):
                    claimed.append(await _write(connection, mine, lease, expected=mine))
                    turns.begun(line.owner)
            later = await connection.execute(NEXT_DUE, {"now": now})
            return claimed, later.scalar_one_or_none()

    async def extend_leases(self, jobs: Collection[JobId], *, until: datetime) -> None:
        async with self._database.transaction() as connection:
            for job_id in jobs:
                await connection.execute(_EXTEND, {**_named(job_id), "of_owner": self._worker, "lease_until": until})

    async def release_leases(self) -> None:
        """Give every lease of this worker back: at its end, and at its start those of its life before a crash."""
        async with self._database.transaction() as connection:
            await connection.execute(_RELEASE, {"of_owner": self._worker})

    async def release(self, job_id: JobId) -> None:
        """Give the lease of one job back, where it is still this worker's."""
        async with self._database.transaction() as connection:
            await connection.execute(_RELEASE.where(_IS_JOB), {"of_owner": self._worker, **_named(job_id)})

    async def advance(
        self,
        before: Job,
        after: Job,
        *,
        records: Sequence[ChallengeRecord] = (),
        removed: Sequence[ChallengeRecord] = (),
        release: bool = False,
    ) -> Job:
        """Write what changed, store new challenge records and forget removed ones; `release` gives the lease back.

        Raises:
            JobTakenError: somebody wrote to the job since `before` was read.
        """
        lease = {"lease_owner": None, "lease_until": None} if release else {}
        async with self._database.transaction() as connection:
            written = await _write(connection, after, lease, expected=before)
            if records:
                await _store_records(connection, records)
            await _forget(connection, removed)
        return written

    async def nudge(self, before: Job, after: Job, *, now: datetime) -> bool:
        """Write to a job that waits or rests, also its issue order; False where it is leased or was written to."""
        idle = or_(job.c.lease_owner.is_(None), job.c.lease_until < now)
        async with self._database.transaction() as connection:
            values = {**row_of(after), **order_row(after), "version": before.version + 1}
            result = await connection.execute(_WRITE.where(idle), {**values, **_expected(before)})
        return result.rowcount == 1

    async def records(self, job_id: JobId) -> list[ChallengeRecord]:
        return await self._records(_RECORDS, _named(job_id))

    async def leftover_records(self, *, running: Collection[JobId]) -> list[ChallengeRecord]:
        """Records that no order needs any more, but which nobody removed."""
        found = await self._records(_LEFTOVER, {})
        return [record for record in found if record.job not in running]

    async def records_at(self, kind: ChallengeKind, record_name: str) -> list[ChallengeRecord]:
        """Every record stored under a name, of all jobs."""
        return await self._records(_RECORDS_AT, {"of_kind": kind, "of_name": record_name})

    async def forget_records(self, removed: Sequence[ChallengeRecord]) -> None:
        async with self._database.transaction() as connection:
            await _forget(connection, removed)

    async def account(self, ca: str, directory_url: str) -> AccountRecord | None:
        query = select(account).where(account.c.ca == ca, account.c.directory_url == directory_url)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None or row.key_thumbprint is None or row.sealed_key is None:
            return None
        return AccountRecord(row.ca, row.directory_url, row.key_thumbprint, row.sealed_key, row.url)

    async def keep_account(self, record: AccountRecord) -> AccountRecord:
        """Store it, or return the one that another host stored first."""
        key = and_(account.c.ca == record.ca, account.c.directory_url == record.directory_url)
        values = {"key_thumbprint": record.key_thumbprint, "sealed_key": record.sealed_key, "url": record.url}
        with suppress(IntegrityError):
            async with self._database.transaction() as connection:
                without_key = update(account).where(key, account.c.key_thumbprint.is_(None)).values(values)
                known = select(account.c.ca).where(key)
                if (await connection.execute(without_key)).rowcount == 0 and not (
                    await connection.execute(known)
                ).all():
                    identity_of = {"ca": record.ca, "directory_url": record.directory_url}
                    await connection.execute(insert(account).values(**identity_of, **values))
        return await self.account(record.ca, record.directory_url) or record

    async def set_account_url(self, ca: str, directory_url: str, url: str) -> None:
        key = and_(account.c.ca == ca, account.c.directory_url == directory_url)
        async with self._database.transaction() as connection:
            await connection.execute(update(account).where(key).values(url=url))

    async def _records(self, query: Select[Any], parameters: Mapping[str, object]) -> list[ChallengeRecord]:
        async with self._database.transaction() as connection:
            return [record_of(row) for row in await connection.execute(query, parameters)]


async def _write(connection: AsyncConnection, after: Job, lease: Mapping[str, object], *, expected: Job) -> Job:
    values = {**row_of(after), **lease, **_expected(expected), "version": expected.version + 1}
    result = await connection.execute(_WRITE, values)
    if result.rowcount != 1:
        raise JobTakenError(str(expected.id))
    return replace(after, version=expected.version + 1)


async def _store_records(connection: AsyncConnection, records: Sequence[ChallengeRecord]) -> None:
    of_job = _named(records[0].job)
    known = set((await connection.execute(_RECORDS.with_only_columns(challenge.c.url), of_job)).scalars())
    new = [record_row(record) for record in records if record.url not in known]
    if new:
        await connection.execute(insert(challenge), new)


async def _forget(connection: AsyncConnection, removed: Sequence[ChallengeRecord]) -> None:
    if removed:
        await connection.execute(_FORGET, [{**_named(record.job), "of_url": record.url} for record in removed])


def _named(job_id: JobId) -> dict[str, object]:
    return {
        "of_certificate": job_id.certificate_id,
        "of_revision": job_id.revision,
        "of_variant": job_id.variant,
    }


def _expected(before: Job) -> dict[str, object]:
    return {
        **_named(before.id),
        "of_version": before.version,
        "of_state": before.state,
        "of_order_url": before.ca_order.url if before.ca_order else None,
    }
