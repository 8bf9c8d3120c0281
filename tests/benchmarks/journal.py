"""What one certificate costs the issuer's journal, from its issue order to its stored bundle, at a CA that answers at
once: write transactions, CPU, and how many steps a second it takes.

`python -m tests.benchmarks.journal [CERTIFICATES] [IN_FLIGHT]`: the steps of a job as the issuer stores them, each
waiting until it is on the disk; nothing is asked of anybody. Printed with the limit beside.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from prometheus_client import CollectorRegistry

import issuer
from certcore.certificate import Exposure, KeyAlgorithm
from certcore.clock import system_clock
from certcore.events import IssueOrder, Recipient
from certcore.sealing import RecipientKey
from certkit.transactions import Database
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.job import CaOrder, Job, JobId, JobState
from issuer.domain.key_material import ESCROW, KeyMaterial, make_key_material
from issuer.domain.turns import Turns
from tests.authority import Authority

_MIGRATIONS: Final = Path(issuer.__file__).parent / "migrations"
_LEASE: Final = timedelta(minutes=5)
_OWNERS: Final = 7
_COMMITS_LIMIT: Final = 3.0
_CPU_LIMIT_MS: Final = 12.0
_STEPS_LIMIT: Final = 500.0


@dataclass
class Meter:
    metrics: CollectorRegistry
    steps: int = 0

    def commits(self) -> float:
        return self.metrics.get_sample_value("certbus_database_commits_total") or 0.0


class Line:
    """Takes jobs through their states as the issuer does, several at once."""

    def __init__(self, journal: Journal, meter: Meter, in_flight: int) -> None:
        self._journal = journal
        self._meter = meter
        self._in_flight = in_flight
        escrow = RecipientKey(ESCROW, X25519PrivateKey.generate())
        site = RecipientKey("site1-syncer", X25519PrivateKey.generate())
        self._recipients = (Recipient(name=site.name, public_key=site.public_key),)
        # Made once: what keys and chains cost is not the journal's.
        self._key: KeyMaterial = make_key_material(self.order(0), escrow_public_key=escrow.public_key)
        self._chain = Authority().issue("shop.example.org").chain_pem

    def order(self, number: int) -> IssueOrder:
        return IssueOrder(
            certificate_id=f"c{number}",
            name=f"c{number}",
            revision=1,
            dns_names=(f"c{number}.example.org",),
            exposure=Exposure.INTERNAL,
            issuer=None,
            key_algorithm=KeyAlgorithm.EC_P256,
            approval_id="an-approval",
            recipients=self._recipients,
            owner=f"owner{number % _OWNERS}",
        )

    async def accept(self, number: int) -> None:
        now = system_clock()
        new = Job(JobId(f"c{number}", 1), self.order(number), now, ca="a-ca", report_at=now)
        await self._journal.accept(new, only_newest=True)
        self._meter.steps += 1

    async def issue(self, number: int) -> None:
        running: dict[JobId, asyncio.Task[None]] = {}
        done = 0
        while done < number:
            free, now = self._in_flight - len(running), system_clock()
            claimed, _ = await self._journal.claim(now=now, until=now + _LEASE, turns=Turns(free), running=running)
            self._meter.steps += bool(claimed)
            for job in claimed:
                running[job.id] = asyncio.create_task(self._work(job))
            ended, _ = await asyncio.wait(running.values(), return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
            done += len(ended)
            running = {job_id: task for job_id, task in running.items() if task not in ended}

    async def _work(self, job: Job) -> None:
        now = datetime.now(UTC)
        url = f"https://ca.test/order/{job.id.certificate_id}"
        order = CaOrder(url, f"{url}/finalize")
        record = ChallengeRecord(
            job.id,
            ChallengeKind.DNS_01,
            f"{url}/challenge",
            "a",
            f"_acme-challenge.{job.id.certificate_id}",
            "v",
            "dns",
        )
        at = await self._step(job, replace(job, report_at=None))
        at = await self._step(at, replace(at, state=JobState.KEYED, key=self._key))
        at = await self._step(at, replace(at, state=JobState.ORDERED, ca_order=order))
        at = await self._step(at, replace(at, state=JobState.VALIDATING), records=[record])
        at = await self._step(at, at, records=[replace(record, shown=True)])
        sent = replace(order, finalize_sent_at=now)
        at = await self._step(at, replace(at, state=JobState.FINALIZING, ca_order=sent))
        at = await self._step(at, replace(at, state=JobState.ISSUED, chain_pem=self._chain))
        stored = replace(at, state=JobState.STORED, stored_at=now, not_after=now + timedelta(days=30))
        await self._step(at, stored, removed=[record], release=True)

    async def _step(
        self,
        before: Job,
        after: Job,
        *,
        records: list[ChallengeRecord] | None = None,
        removed: list[ChallengeRecord] | None = None,
        release: bool = False,
    ) -> Job:
        self._meter.steps += 1
        return await self._journal.advance(
            before, after, records=records or (), removed=removed or (), release=release
        )


@asynccontextmanager
async def a_journal(folder: Path) -> AsyncIterator[tuple[Journal, Meter]]:
    metrics = CollectorRegistry()
    async with JournalDatabase(Database(f"sqlite:///{folder / 'journal.db'}", metrics=metrics)) as database:
        await database.upgrade(_MIGRATIONS)
        yield Journal(database=database, worker="one", clock=system_clock), Meter(metrics)


async def main(number: int, in_flight: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with a_journal(Path(folder)) as (journal, meter):
            line = Line(journal, meter, in_flight)
            before, began, cpu = meter.commits(), time.monotonic(), time.process_time()
            await asyncio.gather(*map(line.accept, range(number)))
            await line.issue(number)
            took, cpu_ms = time.monotonic() - began, (time.process_time() - cpu) * 1000
            commits = meter.commits() - before
            print(f"{number} certificates, {in_flight} in flight, {meter.steps / number:.1f} steps each")
            print(f"{'measure':32} {'seen':>8}   limit")
            print(f"{'write transactions a certificate':32} {commits / number:8.2f} ≤ {_COMMITS_LIMIT:6.2f}")
            print(f"{'CPU ms a certificate':32} {cpu_ms / number:8.2f} ≤ {_CPU_LIMIT_MS:6.2f}")
            print(f"{'journal steps a second':32} {meter.steps / took:8.1f} ≥ {_STEPS_LIMIT:6.1f}")
            print(f"{'certificates a second':32} {number / took:8.1f}")


if __name__ == "__main__":
    asyncio.run(main(*(int(argument) for argument in [*sys.argv[1:], "1000", "32"][:2])))
