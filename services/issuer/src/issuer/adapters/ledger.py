"""What is left of each CA's limits, and what its refusals taught. Every function is a work of a transaction, so that
what is taken is stored together with the intent that it was taken for, or not at all.

Where two hosts share a database, PostgreSQL refuses the second of two that took from one bucket at the same time
(`was_overtaken`): whoever runs the transaction runs it again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from sqlalchemy import Connection

from certcore.ca_limits.asked import (
    AskedCa,
    BucketKey,
    Mode,
    NewAccount,
    NewOrder,
    charges,
    failure_charges,
)
from certcore.ca_limits.bucket import FULL, Bucket, confirmed, counted, ready_at, refunded, taught
from certcore.ca_limits.limit import HOLD, LimitKind, Pace, pace_of
from certcore.ca_limits.play import BudgetState
from certcore.ca_limits.report import LimitsReport, report_of
from issuer.adapters import ledger_rows
from issuer.adapters.ledger_rows import (
    Taken,
    Ticket,
    forget,
    look,
    put_buckets,
    put_ticket,
    remove_ticket,
    spent,
    waiting,
)
from issuer.domain.budget_decision import Granted, NotBefore, decide
from issuer.domain.budget_refusal import Lesson, meant

__all__ = ["Ledger"]

_KEPT: Final = timedelta(days=30)


class _Turn(Protocol):
    def __call__(self, bucket: Bucket, pace: Pace, now: datetime, *, taken_at: datetime) -> Bucket: ...


class Ledger:
    def __init__(self, cas: Iterable[AskedCa]) -> None:
        self._cas: Mapping[str, AskedCa] = {ca.name: ca for ca in cas}
        # Each step of each job asks.
        self._counted = frozenset(name for name, ca in self._cas.items() if ca.counts)

    @property
    def cas(self) -> Collection[str]:
        return self._cas.keys()

    def counts(self, ca: str | None) -> bool:
        """Whether anything is counted of that CA; of the others only what they taught is kept."""
        return ca in self._counted

    def held_back(self, connection: Connection, ask: NewOrder, now: datetime) -> NotBefore | None:
        """As `spend`, of a CA of which nothing is counted: nothing is written."""
        wanted = charges(ask, self._cas[ask.ca], now)
        seen = look(connection, ask.job, [one.key for one in wanted], now=now)
        answer = decide(wanted, seen.buckets, now=now).answer
        return answer if isinstance(answer, NotBefore) else None

    def spend(self, connection: Connection, ask: NewOrder | NewAccount, now: datetime) -> Granted | NotBefore:
        """Take one from every limit that counts the request, or from none. The same attempt is granted again for
        nothing; another attempt of a job takes nothing anew of what the CA counts only with the certificate.

        Who is refused has a place in the line, and is the next at the time that it is told.
        """
        ca = self._cas[ask.ca]
        wanted = charges(ask, ca, now)
        seen = look(connection, ask.job, [one.key for one in wanted], now=now, urgent=ask.urgent)
        before = seen.ticket
        repeated = before is not None and before.granted and before.attempt == ask.attempt
        had = tuple(one for one in (before.taken if before else ()) if repeated or one.at_issuance)
        paid = {one.key: now if repeated else one.at for one in had}
        if repeated and all(one.mode is Mode.LOOK or one.key in paid for one in wanted):
            return Granted()
        decision = decide(wanted, seen.buckets, now=now, ahead=seen.ahead, paid=paid)
        answer = decision.answer
        if isinstance(answer, NotBefore):
            since = before.since if before and before.since else now
            place = Ticket(ask.attempt, granted=False, taken=had, since=since, at=now)
            put_ticket(connection, ask.job, place, urgent=ask.urgent, waits_for=answer.key, not_before=answer.at)
            return answer
        put_buckets(connection, decision.changed)
        new = [Taken(one.key, now, one.at_issuance) for one in wanted if one.key in decision.changed]
        taken = tuple(new) + tuple(one for one in had if one.key not in decision.changed)
        if taken or before is not None:
            put_ticket(connection, ask.job, Ticket(ask.attempt, granted=True, taken=taken, since=None, at=now))
        return answer

    def issued(self, connection: Connection, ask: NewOrder, now: datetime) -> None:
        """The CA signed: what counts with the certificate counts from now on, also where nothing is taken for it any
        more. Failures in a row are over.
        """
        ca = self._cas[ask.ca]
        wanted = charges(ask, ca, now)
        seen = look(connection, ask.job, [one.key for one in wanted], now=now)
        before, known = seen.ticket, dict(seen.buckets)
        settled = [one for one in before.taken if one.at_issuance] if before else []
        changed = self._settled(connection, ca, settled, known, now=now, turn=confirmed)
        changed |= {key: FULL for key in known if key.kind is LimitKind.FAILURES_IN_A_ROW}
        uncounted = [one for one in wanted if one.at_issuance] if before is None else []
        changed |= {one.key: counted(known.get(one.key, FULL), one.pace, now) for one in uncounted}
        put_buckets(connection, changed)
        if settled or uncounted:
            left = tuple(one for one in before.taken if not one.at_issuance) if before else ()
            there = before or Ticket(ask.attempt, granted=True, taken=(), since=None, at=now)
            put_ticket(connection, ask.job, replace(there, taken=left, at=now))

    def dropped(self, connection: Connection, ask: NewOrder, now: datetime) -> None:
        """The job will get no certificate of this CA, or not soon: what would have been counted is given back, and
        its place in line is free.
        """
        before = look(connection, ask.job, [], now=now).ticket
        settled = [one for one in before.taken if one.at_issuance] if before else []
        put_buckets(connection, self._settled(connection, self._cas[ask.ca], settled, {}, now=now, turn=refunded))
        remove_ticket(connection, ask.job)

    def unsent(self, connection: Connection, ask: NewOrder, now: datetime) -> None:
        """What was granted last was never sent: what the CA counts with the request is given back. The job goes on,
        and keeps what counts with its certificate.
        """
        before = look(connection, ask.job, [], now=now).ticket
        settled = [one for one in before.taken if not one.at_issuance] if before else []
        if before is not None and settled:
            put_buckets(connection, self._settled(connection, self._cas[ask.ca], settled, {}, now=now, turn=refunded))
            left = tuple(one for one in before.taken if one.at_issuance)
            # Who asks again takes again, also for the same attempt.
            put_ticket(connection, ask.job, replace(before, attempt="", taken=left))

    def failed(self, connection: Connection, ca: str, identifiers: Sequence[str], now: datetime) -> None:
        """The CA couldn't validate these names."""
        looked = [one for one in failure_charges(self._cas[ca], tuple(identifiers)) if one.pace != HOLD]
        seen = look(connection, "", [one.key for one in looked], now=now)
        put_buckets(connection, {one.key: counted(seen.buckets.get(one.key, FULL), one.pace, now) for one in looked})

    def taught(
        self, connection: Connection, ask: NewOrder | NewAccount, lesson: Lesson, now: datetime, sent_at: datetime
    ) -> Mapping[BucketKey, datetime]:
        """The CA refused what was sent at `sent_at`: hold back what it named until it said, or the account where it
        can't be told what. Returns what is held back, and until when.
        """
        held = meant(charges(ask, self._cas[ask.ca], now), lesson)
        seen = look(connection, ask.job, [one.key for one in held], now=now)
        changed = {
            one.key: taught(seen.buckets.get(one.key, FULL), one.pace, now, retry_at=lesson.retry_at, sent_at=sent_at)
            for one in held
        }
        put_buckets(connection, changed)
        return {one.key: ready_at(changed[one.key], one.pace, now) for one in held}

    def lessons(self, connection: Connection, now: datetime) -> dict[str, dict[BucketKey, datetime]]:
        """What each CA's refusals hold back now, and until when."""
        scopes = sorted({scope for ca in self._cas.values() for scope in (ca.name, ca.directory_url)})
        learned = ledger_rows.taught(connection, scopes, now=now)
        held = {
            ca.name: {
                key: at
                for key, one in learned.items()
                if key.scope in {ca.name, ca.directory_url} and (at := ready_at(one, self._pace(ca, key), now)) > now
            }
            for ca in self._cas.values()
        }
        return {name: keys for name, keys in held.items() if keys}

    def state(self, connection: Connection, cas: Iterable[str], now: datetime) -> BudgetState:
        """What `forecast` needs of these CAs."""
        asked = {name: self._cas[name] for name in cas}
        scopes = sorted({scope for ca in asked.values() for scope in (ca.name, ca.directory_url)})
        buckets = spent(connection, scopes, now=now)
        return BudgetState(cas=asked, buckets=buckets, waiting=waiting(connection, scopes, now=now))

    def used(self, connection: Connection, now: datetime) -> LimitsReport:
        """What is told of it to the registry."""
        return report_of(self.state(connection, self._cas, now), made_at=now)

    def prune(self, connection: Connection, now: datetime) -> int:
        """Forget full buckets, and what nobody asked for in a month; returns how many rows that were."""
        return forget(connection, full_before=now, unused_since=now - _KEPT)

    def _settled(
        self,
        connection: Connection,
        ca: AskedCa,
        settled: Sequence[Taken],
        known: Mapping[BucketKey, Bucket],
        *,
        now: datetime,
        turn: _Turn,
    ) -> dict[BucketKey, Bucket]:
        missing = [one.key for one in settled if one.key not in known]
        found = {**known, **(look(connection, "", missing, now=now).buckets if missing else {})}
        return {
            one.key: turn(found.get(one.key, FULL), self._pace(ca, one.key), now, taken_at=one.at) for one in settled
        }

    @staticmethod
    def _pace(ca: AskedCa, key: BucketKey) -> Pace:
        limit = ca.budget.limit(key.kind)
        return pace_of(limit, ca.budget.share) if limit else HOLD
