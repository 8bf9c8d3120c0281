"""The bundles that the journal keeps, and forgets when nobody can need them any more."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from certcore.bundles import SealedKey
from issuer.adapters.crl_book import CrlBook
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.kept_bundles import KeptBundles, Pruned
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.job import Job, JobId, JobState
from issuer.domain.key_material import KeyMaterial
from issuer.domain.turns import Turns
from issuer.handlers.crls import Crls
from issuer.handlers.pruning import Pruning
from tests.integration.issuer.test_journal import MIGRATIONS, on_disk, opened
from tests.unit.issuer.samples import NOON, job

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
KEY = KeyMaterial(b"a CSR", "an SPKI hash", (SealedKey.of("escrow", b"sealed", None),))


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[JournalDatabase]:
    async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
        await database.upgrade(MIGRATIONS)
        yield database


@pytest.fixture
def journal(database: JournalDatabase) -> Journal:
    return Journal(database=database, worker="one", clock=lambda: NOON)


@pytest.fixture
def kept(database: JournalDatabase) -> KeptBundles:
    return KeptBundles(database)


def stored(revision: int, *, days: int, variant: str = "platform") -> Job:
    """Its leaf is valid for so many days from NOON on."""
    return replace(
        job(JobState.STORED),
        id=JobId("a", revision, variant),
        key=KEY,
        chain_pem="a chain",
        stored_at=NOON - 90 * DAY,
        not_after=NOON + days * DAY,
    )


async def test_a_bundle_is_kept_as_long_as_its_leaf_is_valid(
    database: JournalDatabase, journal: Journal, kept: KeptBundles
) -> None:
    for number, days in enumerate((-1, 0, 1), start=1):
        await journal.accept(stored(number, days=days))
    now = NOON
    crls = Crls(cas={}, book=CrlBook(database), clock=lambda: now)
    pruning = Pruning(kept=kept, crls=crls, clock=lambda: now)
    await pruning.prune()
    assert [one.id.revision for one in await kept.page(after=None, limit=10)] == [3]
    now = NOON + DAY
    await pruning.prune()
    assert await kept.page(after=None, limit=10) == []
    for number in (1, 2, 3):
        left = await journal.find(JobId("a", number))
        assert left is not None
        assert (left.state, left.key, left.chain_pem) == (JobState.STORED, None, None)


async def test_nothing_of_a_forgotten_key_is_left_in_its_row(
    journal: Journal, kept: KeptBundles, tmp_path: Path
) -> None:
    await journal.accept(stored(1, days=0))
    await kept.prune(now=NOON)
    rows = on_disk(tmp_path, "SELECT csr, spki_sha256, sealed_keys, chain_pem FROM job")
    assert rows == [(None, None, None, None)]


async def test_what_is_not_handed_over_yet_is_kept_whatever_its_age(journal: Journal, kept: KeptBundles) -> None:
    waiting = replace(stored(1, days=-1), state=JobState.ISSUED, wait_until=NOON + DAY)
    await journal.accept(waiting)
    assert await kept.prune(now=NOON) == Pruned(0, 0)
    assert await kept.page(after=None, limit=10) == [waiting]


async def test_a_job_that_somebody_works_on_is_left_alone(journal: Journal, kept: KeptBundles) -> None:
    await journal.accept(replace(stored(1, days=-1), report_at=NOON))
    (mine,) = (await journal.claim(now=NOON, until=NOON + DAY, turns=Turns(2), running=()))[0]
    assert await kept.prune(now=NOON) == Pruned(0, 0)
    await journal.advance(mine, replace(mine, report_at=None), release=True)
    assert await kept.prune(now=NOON) == Pruned(1, 0)


async def test_the_row_of_the_newest_revision_stays_and_the_others_go_a_month_after_their_end(
    journal: Journal, kept: KeptBundles
) -> None:
    for revision in (1, 2):
        await journal.accept(stored(revision, days=revision))
    await journal.accept(stored(1, days=1, variant="platform-rsa"))
    assert await kept.prune(now=NOON + 30 * DAY) == Pruned(3, 0)
    assert await kept.prune(now=NOON + 31 * DAY) == Pruned(0, 1)
    assert await kept.prune(now=NOON + 900 * DAY) == Pruned(0, 0)
    left = await journal.found([JobId("a", 1), JobId("a", 2), JobId("a", 1, "platform-rsa")])
    assert set(left) == {JobId("a", 2), JobId("a", 1, "platform-rsa")}


async def test_a_row_waits_for_its_challenge_records_to_be_removed(journal: Journal, kept: KeptBundles) -> None:
    for revision in (1, 2):
        await journal.accept(stored(revision, days=1))
    first = await journal.find(JobId("a", 1))
    assert first is not None
    record = ChallengeRecord(first.id, ChallengeKind.DNS_01, "https://ca.test/1", "a.example.org", "_acme", "value")
    await journal.advance(first, first, records=[record])
    assert await kept.prune(now=NOON + 90 * DAY) == Pruned(2, 0)
    await journal.forget_records([record])
    assert await kept.prune(now=NOON + 90 * DAY) == Pruned(0, 1)


async def test_many_are_pruned_and_listed_in_parts(journal: Journal, kept: KeptBundles) -> None:
    for revision in range(1, 1202):
        await journal.accept(stored(revision, days=-1 if revision % 2 else 1))
    assert await kept.prune(now=NOON) == Pruned(601, 0)
    after, parts = None, []
    while part := await kept.page(after=after, limit=250):
        parts.append([one.id.revision for one in part])
        after = part[-1].id
    assert list(map(len, parts)) == [250, 250, 100]
    assert sum(parts, []) == list(range(2, 1202, 2))  # noqa: RUF017 # three parts


async def test_an_event_of_a_forgotten_revision_makes_no_job(journal: Journal) -> None:
    newest = stored(5, days=60)
    await journal.accept(newest)
    assert await journal.accept(stored(4, days=1), only_newest=True) is None
    assert await journal.accept(stored(5, days=1), only_newest=True) == newest
    assert (await journal.accept(six := stored(6, days=1), only_newest=True)) is six
    assert (await journal.accept(four := stored(4, days=1))) is four


async def test_the_epoch_that_was_reported_for_is_noted(kept: KeptBundles) -> None:
    assert await kept.reported_epoch() == 0
    await kept.note_reported(3)
    assert await kept.reported_epoch() == 3
