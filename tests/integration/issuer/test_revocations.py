"""Plan and act of a revocation, with a journal and a CA that does what a test wants."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from certcore.inspection import read_chain, spki_sha256
from issuer.adapters.crl_book import CrlBook
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.leaf_book import LeafBook
from issuer.adapters.window_book import WindowBook
from issuer.cas.acme.jws import PrivateKey
from issuer.domain.errors import RevocationRefusedError
from issuer.domain.job import CaOrder, Job, JobId, JobState
from issuer.domain.key_material import KeyMaterial
from issuer.domain.revocation import Asked, RevocationVerdict
from issuer.domain.revoked import RevocationReason
from issuer.handlers.crls import Crls
from issuer.handlers.revocations import AskedCa, Plan, Proof, Revocations
from tests.authority import Authority
from tests.integration.issuer.test_journal import MIGRATIONS, on_disk, opened
from tests.unit.issuer.samples import job

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(microsecond=0)
ISSUED = Authority().issue("shop.example.org")
LEAF = read_chain(ISSUED.chain_pem.encode())[0]
ASKED = Asked(RevocationReason.SUPERSEDED, force=True)


async def _nothing() -> None:
    pass


class AskedByTests:
    """Says `answers` in turn; before it does, `meanwhile` happens."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.reasons: list[int] = []
        self.meanwhile: Callable[[], Awaitable[None]] = _nothing

    async def revokes(self) -> bool:
        return True

    async def revoke(self, certificate_der: bytes, reason: int, *, key: PrivateKey | None = None) -> bool:
        assert (certificate_der, key) == (LEAF.der, None)
        self.reasons.append(reason)
        await self.meanwhile()
        return self.answers.pop(0)


class Stage:
    def __init__(self, database: JournalDatabase) -> None:
        self.database = database
        self.journal = Journal(database=database, worker="one", clock=self._clock)
        self.before_a_write: list[Callable[[], object]] = []

    def _clock(self) -> datetime:
        """The journal reads it just before it writes what it has read."""
        if self.before_a_write:
            self.before_a_write.pop()()
        return NOW

    async def stored(self, revision: int = 1) -> Job:
        """A job with the leaf, handed over an hour ago."""
        new = job(
            JobState.STORED,
            id=JobId("a", revision),
            key=KeyMaterial(b"a CSR", spki_sha256(ISSUED.leaf.public_key()), ()),
            chain_pem=ISSUED.chain_pem,
            ca_order=CaOrder(f"https://ca.test/order/{revision}", "f"),
            stored_at=NOW - timedelta(hours=1),
            not_after=LEAF.not_after,
        )
        accepted = await self.journal.accept(new)
        assert accepted is not None
        return accepted

    def revocations(self, ca: AskedByTests, *, has_account: bool = True) -> Revocations:
        return Revocations(
            journal=self.journal,
            leaves=LeafBook(self.database),
            acme={"a-ca": AskedCa(ca, "https://ca.test/dir", has_account)},
            signing={},
            crls=Crls(cas={}, book=CrlBook(self.database), clock=lambda: NOW),
            clock=lambda: NOW,
        )

    async def plan(self, ca: AskedByTests) -> tuple[Revocations, Plan]:
        revocations = self.revocations(ca)
        return revocations, await revocations.plan(LEAF, ASKED)


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
        await database.upgrade(MIGRATIONS)
        yield Stage(database)


async def test_a_ca_that_takes_it_twice_without_a_word_has_proven_nothing(stage: Stage) -> None:
    before = await stage.stored()
    ca = AskedByTests(False, False)
    revocations, plan = await stage.plan(ca)
    done = await revocations.carry_out(plan)
    assert (done.before, done.proof, ca.reasons) == (False, Proof.TAKEN_TWICE, [4, 4])
    kept = await stage.journal.find(before.id)
    assert kept is not None
    assert kept.revocation is not None


async def test_who_wrote_to_the_job_meanwhile_loses_nothing_and_neither_does_the_revocation(stage: Stage) -> None:
    before = await stage.stored()
    ca = AskedByTests(False, True)

    async def somebody_writes() -> None:
        if len(ca.reasons) == 1:
            await stage.journal.advance(before, replace(before, setbacks=7))

    ca.meanwhile = somebody_writes
    revocations, plan = await stage.plan(ca)
    assert (await revocations.carry_out(plan)).proof is Proof.SAID_SO
    after = await stage.journal.find(before.id)
    assert after is not None
    assert after.revocation is not None
    assert (after.setbacks, after.revocation.reason) == (7, RevocationReason.SUPERSEDED)


async def test_a_write_that_another_one_overtook_is_done_again(stage: Stage, tmp_path: Path) -> None:
    before = await stage.stored()
    overtaken = "UPDATE job SET version = version + 1, setbacks = setbacks + 1"
    stage.before_a_write = [lambda: on_disk(tmp_path, overtaken)] * 3
    revocations, plan = await stage.plan(AskedByTests(True))
    await revocations.carry_out(plan)
    after = await stage.journal.find(before.id)
    assert after is not None
    assert after.revocation is not None
    assert (after.setbacks, stage.before_a_write) == (3, [])


async def test_a_job_that_is_issued_anew_meanwhile_is_not_marked(stage: Stage) -> None:
    before = await stage.stored()
    ca = AskedByTests(False, True)

    async def reopened() -> None:
        if len(ca.reasons) == 1:
            anew = Job(before.id, before.issue_order, before.accepted_at, version=before.version)
            await stage.journal.advance(before, anew)

    ca.meanwhile = reopened
    revocations, plan = await stage.plan(ca)
    await revocations.carry_out(plan)
    after = await stage.journal.find(before.id)
    assert after is not None
    assert (after.state, after.revocation) == (JobState.ACCEPTED, None)


async def test_its_ca_is_asked_for_no_renewal_window_any_more_and_what_it_said_stays(
    stage: Stage, tmp_path: Path
) -> None:
    windows = WindowBook(stage.database)
    for revision in (1, 2):
        await stage.stored(revision)
    await windows.adopt(since=None, now=NOW)
    ask = "SELECT revision, ask_at IS NULL FROM renewal_window"
    # A leaf of this authority has no name to ask by.
    on_disk(tmp_path, "UPDATE renewal_window SET ask_at = not_after")
    assert on_disk(tmp_path, ask) == [(2, 0)]
    revocations, plan = await stage.plan(AskedByTests(True))
    assert plan.jobs == (JobId("a", 1), JobId("a", 2))
    await revocations.carry_out(plan)
    assert on_disk(tmp_path, ask) == [(2, 1)]
    on_disk(tmp_path, "DELETE FROM renewal_window")
    await windows.adopt(since=None, now=NOW)
    assert on_disk(tmp_path, ask) == []


async def test_after_the_newest_was_revoked_the_one_before_counts_as_served(stage: Stage) -> None:
    await stage.stored(1)
    newer = await stage.stored(2)
    unforced = replace(ASKED, force=False)
    revocations = stage.revocations(AskedByTests())
    with pytest.raises(RevocationRefusedError) as refused:
        await revocations.plan(LEAF, unforced)
    assert refused.value.reason == RevocationVerdict.STILL_SERVED
    known_before = await LeafBook(stage.database).known(LEAF.der, spki_sha256=LEAF.spki_sha256)
    assert [(one.job.revision, one.newest) for one in known_before] == [(1, False), (2, True)]
    revocations, plan = await stage.plan(AskedByTests(True))
    await revocations.carry_out(replace(plan, jobs=(newer.id,)))
    known = await LeafBook(stage.database).known(LEAF.der, spki_sha256=LEAF.spki_sha256)
    assert [(one.job.revision, one.newest) for one in known] == [(1, True), (2, False)]


async def test_without_an_account_in_the_journal_none_is_made_in_order_to_revoke(stage: Stage) -> None:
    await stage.stored()
    with pytest.raises(RevocationRefusedError, match=r"no account at a-ca.*--key-file"):
        await stage.revocations(AskedByTests(), has_account=False).plan(LEAF, ASKED)
