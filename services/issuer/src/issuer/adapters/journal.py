"""The journal of jobs in SQL. Every write of a job is a compare-and-set on its version: whoever wrote first wins,
and a worker whose lease was taken over can change nothing any more.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, case, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from certcore.clock import Clock
from certkit.prepared import Prepared
from issuer.adapters import account_book, order_book
from issuer.adapters.claiming import FIRST_OF_LINE, LINES, NEXT_DUE
from issuer.adapters.journal_database import NOBODY_WAITS_S, JournalDatabase, Within
from issuer.adapters.journal_rows import (
    changed,
    identity,
    job_id_of,
    job_of,
    named,
    order_row,
    readable,
    record_of,
    record_row,
    row_of,
)
from issuer.adapters.tables import challenge, job
from issuer.domain.account import AccountRecord
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.errors import JobTakenError
from issuer.domain.job import Job, JobId, JobState
from issuer.domain.order_record import OrderRecord
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
_ACCEPT: Final = Prepared(insert(job))
_FIND: Final = select(job).where(_IS_JOB)
_NEWEST: Final = select(func.max(job.c.revision)).where(
    job.c.certificate_id == bindparam("of_certificate"), job.c.variant == bindparam("of_variant")
)
_RECORDS: Final = select(challenge).where(_OF_JOB)
_RECORDS_AT: Final = select(challenge).where(
    challenge.c.kind == bindparam("of_kind"), challenge.c.record_name == bindparam("of_name")
)
_NOTE: Final = Prepared(insert(challenge))
# Only with what is shown changes who shows it.
_TELL: Final = Prepared(
    update(challenge)
    .where(_OF_JOB, challenge.c.url == bindparam("of_url"))
    .values(
        shown=bindparam("now_shown"),
        solver=case((challenge.c.shown == bindparam("now_shown"), challenge.c.solver), else_=bindparam("shown_by")),
    )
)
_FORGET: Final = Prepared(delete(challenge).where(_OF_JOB, challenge.c.url == bindparam("of_url")))
_UNCHANGED: Final = update(job).where(
    _IS_JOB,
    job.c.version == bindparam("of_version"),
    job.c.state == bindparam("of_state"),
    # The first order URL wins, whatever else is believed.
    job.c.order_url.is_not_distinct_from(bindparam("of_order_url")),
)
_WRITE: Final = Prepared(_UNCHANGED)
_WRITE_IDLE: Final = Prepared(
    _UNCHANGED.where(or_(job.c.lease_owner.is_(None), job.c.lease_until < bindparam("now")))
)
_RELEASE: Final = (
    update(job).where(job.c.lease_owner == bindparam("of_owner")).values(lease_owner=None, lease_until=None)
)
_SET_ASIDE: Final = Prepared(update(job).where(_IS_JOB))
_EXTEND: Final = Prepared(update(job).where(_IS_JOB, job.c.lease_owner == bindparam("of_owner")))
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

    def __init__(self, *, database: JournalDatabase, worker: str, clock: Clock) -> None:
        self._database = database
        self._worker = worker
        self._clock = clock
        self._account_urls: dict[str, str] = {}

    async def accept(self, new: Job, *, only_newest: bool = False) -> Job | None:
        """Store a job, or find the one that is stored under its id. None where neither is so: with `only_newest` no
        job is stored that a later revision of its certificate and variant is known of.
        """

        def store(connection: Connection) -> bool:
            newest = connection.execute(_NEWEST, named(new.id)).scalar_one() if only_newest else None
            if newest is not None and newest >= new.id.revision:
                return False
            _ACCEPT.change(connection, {**row_of(new), **identity(new)})
            return True

        # Where a row is there, another issuer was quicker, or it came before.
        with suppress(IntegrityError):
            if await self._database.write(store):
                return new
        found = await self.find(new.id)
        if found is None and not only_newest:
            raise JobTakenError(str(new.id))
        return found

    async def find(self, job_id: JobId) -> Job | None:
        row = await self._database.read(lambda connection: connection.execute(_FIND, named(job_id)).one_or_none())
        return job_of(row) if row is not None else None

    async def found(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """Those of the jobs that are there; one that can't be read is logged and left out."""
        ids = tuple_(job.c.certificate_id, job.c.revision, job.c.variant)
        wanted = select(job).where(ids.in_([(one.certificate_id, one.revision, one.variant) for one in job_ids]))
        rows = await self._database.read(lambda connection: connection.execute(wanted).all())
        return {mine.id: mine for row in rows if (mine := readable(row)) is not None}

    async def claim(
        self,
        *,
        now: datetime,
        until: datetime,
        turns: Turns,
        running: Collection[JobId],
        skip_cas: Collection[str] = (),
    ) -> tuple[list[Job], datetime | None]:
        """Lease the due jobs whose turn it is, as many as there are free slots, but none of a CA of `skip_cas`; and
        tell when the next one will be due. A row that can't be read is logged and left out.
        """

        def look(connection: Connection) -> tuple[set[Line], datetime | None]:
            later = connection.execute(NEXT_DUE, {"now": now}).scalar_one_or_none()
            return _lines(connection, now, skip_cas), later

        # Most looks find nothing that is due, and need no transaction of the one writer.
        due, later = await self._database.read(look)
        if not due:
            return [], later
        lease = {"lease_owner": self._worker, "lease_until": until}

        def take(connection: Connection) -> list[Job]:
            claimed: list[Job] = []
            planned = turns.copy()
            lines = set(due)
            while (line := planned.next_of(lines)) is not None:
                of_line = {
                    "of_owner": line.owner,
                    "if_urgent": line.urgent,
                    "of_ca": line.ca,
                    "if_waited": line.waited,
                }
                row = connection.execute(FIRST_OF_LINE, {"now": now, **of_line}).one_or_none()
                if row is None:
                    lines.remove(line)
                    continue
                mine = None if job_id_of(row) in running else readable(row)
                if mine is None:
                    # This worker kept its lease too short; or a newer issuer wrote it, or it is damaged. It is
                    # leased, so that it doesn't stand before the others.
                    _SET_ASIDE.change(connection, {**named(job_id_of(row)), **lease})
                    continue
                # Another worker may have been quicker since it was read.
                with suppress(JobTakenError):
                    claimed.append(_write(connection, mine, lease, expected=mine))
                    planned.begun(line)
            return claimed

        return await self._database.write(take), later

    async def extend_leases(self, jobs: Collection[JobId], *, until: datetime) -> None:
        held = [{**named(job_id), "of_owner": self._worker, "lease_until": until} for job_id in jobs]
        if held:
            await self._database.write(
                lambda connection: _EXTEND.change_all(connection, held), patience_s=NOBODY_WAITS_S
            )

    async def release_leases(self) -> None:
        """Give every lease of this worker back: at its end, and at its start those of its life before a crash."""
        mine = {"of_owner": self._worker}
        await self._database.write(lambda connection: connection.execute(_RELEASE, mine))

    async def release(self, job_id: JobId) -> None:
        """Give the lease of one job back, where it is still this worker's."""
        mine = {"of_owner": self._worker, **named(job_id)}
        await self._database.write(lambda connection: connection.execute(_RELEASE.where(_IS_JOB), mine))

    async def advance(
        self,
        before: Job,
        after: Job,
        *,
        records: Sequence[ChallengeRecord] = (),
        removed: Sequence[ChallengeRecord] = (),
        release: bool = False,
        within: Within | None = None,
    ) -> Job:
        """Write what changed, store challenge records that are new or were shown, and forget removed ones; `release`
        gives the lease back. `within` is done first, in the same transaction: what it raises undoes all.

        Raises:
            JobTakenError: somebody wrote to the job since `before` was read.
        """
        lease = {"lease_owner": None, "lease_until": None} if release else {}
        now = self._clock()

        def step(connection: Connection) -> Job:
            if within is not None:
                within(connection)
            written = _write(connection, after, lease, expected=before)
            self._record(connection, before, after, now)
            if records:
                _store_records(connection, records)
            _forget(connection, removed)
            return written

        return await self._database.write(step)

    async def nudge(self, before: Job, after: Job, *, now: datetime, within: Within | None = None) -> bool:
        """Write to a job that waits or rests, also its issue order; False where it is leased or was written to.
        `within` is done after it, in the same transaction.
        """
        written = {**changed(before, after), **order_row(after), "version": before.version + 1}
        values = {**written, **_expected(before), "now": now}

        def store(connection: Connection) -> bool:
            if _WRITE_IDLE.change(connection, values) != 1:
                return False
            self._record(connection, before, after, now)
            if within is not None:
                within(connection)
            return True

        return await self._database.write(store)

    async def records(self, job_id: JobId) -> list[ChallengeRecord]:
        return await self._records(_RECORDS, named(job_id))

    async def leftover_records(self, *, running: Collection[JobId]) -> list[ChallengeRecord]:
        """Records that no order needs any more, but which nobody removed."""
        found = await self._records(_LEFTOVER, {})
        return [record for record in found if record.job not in running]

    async def records_at(self, kind: ChallengeKind, record_name: str) -> list[ChallengeRecord]:
        """Every record stored under a name, of all jobs."""
        return await self._records(_RECORDS_AT, {"of_kind": kind, "of_name": record_name})

    async def forget_records(self, removed: Sequence[ChallengeRecord]) -> None:
        if removed:
            await self._database.write(lambda connection: _forget(connection, removed), patience_s=NOBODY_WAITS_S)

    async def orphans(self) -> Sequence[OrderRecord]:
        """Orders that were given up while they may be open at the CA, and that nobody closed; without those that
        share a name with an order that is open there.
        """
        return await self._database.read(order_book.orphans)

    async def close_order(self, record: OrderRecord) -> None:
        """An orphan that is tidied up."""
        await self._database.write(
            lambda connection: order_book.close_order(connection, record), patience_s=NOBODY_WAITS_S
        )

    async def account(self, ca: str, directory_url: str) -> AccountRecord | None:
        """None also where an earlier version stored the URL alone."""
        record = await self._database.read(
            lambda connection: account_book.find_account(connection, ca, directory_url)
        )
        return self._noted(record) if record is not None else None

    async def keep_account(self, record: AccountRecord) -> AccountRecord:
        """Store an account, and return it; or the one that was stored before, perhaps by another host.

        A row that has only a URL, of an earlier version, gets the key and keeps its URL: where this isn't the key
        that the URL belongs to, the CA says so.
        """

        def keep(connection: Connection) -> AccountRecord:
            return account_book.keep_account(connection, record)

        try:
            kept = await self._database.write(keep)
        except IntegrityError:
            # Another host was quicker.
            kept = await self._database.write(keep)
        return self._noted(kept)

    async def set_account_url(self, ca: str, directory_url: str, url: str) -> None:
        await self._database.write(
            lambda connection: account_book.set_account_url(connection, ca, directory_url, url)
        )
        self._account_urls[ca] = url

    def _noted(self, record: AccountRecord) -> AccountRecord:
        """An order that is opened from now on is recorded with this account."""
        if record.url is not None:
            self._account_urls[record.ca] = record.url
        return record

    def _record(self, connection: Connection, before: Job, after: Job, now: datetime) -> None:
        account_url = self._account_urls.get(after.ca or "", "")
        order_book.record_changes(connection, before, after, account_url=account_url, now=now)

    async def _records(self, query: Select[Any], parameters: Mapping[str, object]) -> list[ChallengeRecord]:
        def look(connection: Connection) -> list[ChallengeRecord]:
            return [record_of(row) for row in connection.execute(query, parameters)]

        return await self._database.read(look)


def _lines(connection: Connection, now: datetime, skip_cas: Collection[str]) -> set[Line]:
    rows = connection.execute(LINES, {"now": now})
    return {
        Line(row.owner, bool(row.urgent), row.ca, waited=bool(row.waited)) for row in rows if row.ca not in skip_cas
    }


def _write(connection: Connection, after: Job, lease: Mapping[str, object], *, expected: Job) -> Job:
    values = {**changed(expected, after), **lease, **_expected(expected), "version": expected.version + 1}
    if _WRITE.change(connection, values) != 1:
        raise JobTakenError(str(expected.id))
    return replace(after, version=expected.version + 1)


def _store_records(connection: Connection, records: Sequence[ChallengeRecord]) -> None:
    for record in records:
        told = {"of_url": record.url, "now_shown": record.shown, "shown_by": record.solver}
        if not _TELL.change(connection, {**named(record.job), **told}):
            _NOTE.change(connection, record_row(record))


def _forget(connection: Connection, removed: Sequence[ChallengeRecord]) -> None:
    _FORGET.change_all(connection, [{**named(record.job), "of_url": record.url} for record in removed])


def _expected(before: Job) -> dict[str, object]:
    return {
        **named(before.id),
        "of_version": before.version,
        "of_state": before.state,
        "of_order_url": before.ca_order.url if before.ca_order else None,
    }
