"""The record of every order at a CA, and how what jobs left open there is tidied up."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.kept_bundles import KeptBundles, Pruned
from issuer.domain.account import AccountRecord
from issuer.domain.ca_order import OrderStatus, OrderView
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import CaOrder, Job, JobId, JobState
from issuer.domain.order_record import OrderRecord, RecordedState
from issuer.domain.retry import decide_retry
from issuer.handlers.orphans import Orphans
from tests.integration.issuer.test_journal import MIGRATIONS, on_disk, opened
from tests.unit.issuer.samples import NOON, job, order

pytestmark = pytest.mark.integration

CA = "https://ca.test"
LATER = NOON + timedelta(minutes=5)
DAY = timedelta(days=1)


class ToldCa:
    """Answers what it is told about each order, and notes what was deactivated."""

    def __init__(self, **answers: OrderStatus | Exception) -> None:
        self.answers = answers
        self.deactivated: list[str] = []
        self.asked: list[str] = []

    async def order(self, url: str) -> OrderView:
        name = url.rpartition("/")[2]
        self.asked.append(name)
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return OrderView(url, answer, (f"{url}/authz/1", f"{url}/authz/2"), f"{url}/f", None, None, None)

    async def deactivate(self, authorization_url: str) -> None:
        self.deactivated.append(authorization_url)


class Scene:
    def __init__(self, folder: Path, database: JournalDatabase) -> None:
        self.folder = folder
        self.now = NOON
        self.journal = Journal(database=database, worker="one", clock=self.clock)
        self.kept = KeptBundles(database)

    def clock(self) -> datetime:
        return self.now

    async def job(self, name: str, *, names: tuple[str, ...] = ()) -> Job:
        asked = order(*(names or (f"{name}.example.org",)))
        new = replace(job(JobState.KEYED), id=JobId(name, 1), issue_order=asked)
        assert await self.journal.accept(new) is new
        return new

    async def ordered(self, at: Job, name: str) -> Job:
        after = replace(at, state=JobState.ORDERED, ca_order=CaOrder(f"{CA}/{name}", f"{CA}/{name}/f"))
        return await self.journal.advance(at, after)

    async def given_up(self, at: Job, reason: FailureReason = FailureReason.ORDER_STALLED) -> Job:
        verdict = decide_retry(at, JobFailedError(reason, "why"), now=self.now)
        return await self.journal.advance(at, verdict.job)

    async def orphan(self, name: str) -> Job:
        return await self.given_up(await self.ordered(await self.job(name), name))

    def states(self) -> dict[str, str]:
        rows = on_disk(self.folder, "SELECT url, state FROM acme_order ORDER BY url")
        return {url.rpartition("/")[2]: state for url, state in rows}

    async def tidy(self, ca: ToldCa) -> None:
        await Orphans(journal=self.journal, cas={"a-ca": ca}, clock=self.clock).tidy()


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
        await database.upgrade(MIGRATIONS)
        yield Scene(tmp_path, database)


async def test_an_order_is_recorded_from_its_opening_to_its_end(scene: Scene) -> None:
    await scene.journal.keep_account(AccountRecord("a-ca", f"{CA}/dir", "thumb", b"sealed", f"{CA}/account/1"))
    at = await scene.ordered(await scene.job("shop"), "one")
    scene.now = LATER
    assert at.ca_order is not None
    finalizing = replace(at, state=JobState.FINALIZING, ca_order=replace(at.ca_order, finalize_sent_at=LATER))
    at = await scene.journal.advance(at, finalizing)
    at = await scene.journal.advance(at, replace(at, state=JobState.ISSUED, chain_pem="a chain"))
    (row,) = on_disk(
        scene.folder,
        "SELECT certificate_id, revision, variant, ca, account_url, state, opened_at, finalize_sent_at, ended_at"
        " FROM acme_order",
    )
    noon, later = (f"{moment:%Y-%m-%d %H:%M:%S.%f}" for moment in (NOON, LATER))
    assert row == ("shop", 1, "platform", "a-ca", f"{CA}/account/1", "issued", noon, later, later)


async def test_a_step_that_was_not_stored_leaves_no_record(scene: Scene) -> None:
    new = await scene.job("shop")
    stale = replace(new, version=7)
    with pytest.raises(Exception, match="shop/1/platform"):
        await scene.ordered(stale, "one")
    assert scene.states() == {}


async def test_every_order_of_a_job_keeps_its_record(scene: Scene) -> None:
    at = await scene.given_up(await scene.ordered(await scene.job("shop"), "one"), FailureReason.ORDER_LOST)
    at = await scene.given_up(await scene.ordered(at, "two"), FailureReason.ORDER_INVALID)
    at = await scene.given_up(await scene.ordered(at, "three"))
    await scene.ordered(at, "four")
    assert scene.states() == {"one": "lost", "two": "invalid", "three": "abandoned", "four": "open"}


async def test_an_order_that_the_ca_gives_again_is_open_again(scene: Scene) -> None:
    at = await scene.orphan("one")
    await scene.ordered(at, "one")
    assert scene.states() == {"one": "open"}
    assert await scene.journal.orphans() == []


async def test_the_authorizations_of_an_order_that_was_given_up_are_deactivated_once(scene: Scene) -> None:
    await scene.orphan("one")
    (orphan,) = await scene.journal.orphans()
    assert orphan == OrderRecord(
        f"{CA}/one", JobId("one", 1), "a-ca", "", RecordedState.ABANDONED, NOON, ended_at=NOON
    )
    ca = ToldCa(one=OrderStatus.PENDING)
    await scene.tidy(ca)
    await scene.tidy(ca)
    assert ca.deactivated == [f"{CA}/one/authz/1", f"{CA}/one/authz/2"]
    assert scene.states() == {"one": "closed"}


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (OrderStatus.READY, "closed"),
        (OrderStatus.VALID, "closed"),
        (OrderStatus.INVALID, "closed"),
        (OrderStatus.PROCESSING, "abandoned"),
        (AcmeProblemError(type="malformed", detail="", status=404, retry_after=None), "closed"),
        (AcmeProblemError(type="", detail="", status=503, retry_after=None), "abandoned"),
        (CaUnreachableError("away"), "abandoned"),
    ],
)
async def test_only_a_pending_order_loses_its_authorizations(
    scene: Scene, answer: OrderStatus | Exception, state: str
) -> None:
    await scene.orphan("one")
    ca = ToldCa(one=answer)
    await scene.tidy(ca)
    assert (ca.asked, ca.deactivated, scene.states()) == (["one"], [], {"one": state})


async def test_an_order_waits_while_another_one_may_have_its_authorizations(scene: Scene) -> None:
    names = ("shop.example.org", "*.bank.example.org")
    await scene.given_up(await scene.ordered(await scene.job("first", names=names), "one"))
    await scene.orphan("elsewhere")
    other = await scene.ordered(await scene.job("second", names=("bank.example.org",)), "two")
    assert [one.url for one in await scene.journal.orphans()] == [f"{CA}/elsewhere"]
    await scene.given_up(other, FailureReason.ORDER_INVALID)
    assert [one.url for one in await scene.journal.orphans()] == [f"{CA}/one", f"{CA}/elsewhere"]


async def test_a_ca_that_is_silent_is_not_asked_about_all_of_its_orders_each_round(scene: Scene) -> None:
    names = [f"o{number}" for number in range(5)]
    for name in names:
        await scene.orphan(name)
    ca = ToldCa(**dict.fromkeys(names, CaUnreachableError("away")))
    orphans = Orphans(journal=scene.journal, cas={"a-ca": ca}, clock=scene.clock)
    await orphans.tidy()
    assert len(ca.asked) == 3
    ca.answers = dict.fromkeys(names, OrderStatus.INVALID)
    await orphans.tidy()
    assert set(ca.asked[3:5]) == set(names) - set(ca.asked[:3])
    assert set(scene.states().values()) == {"closed"}


async def test_what_no_ca_can_have_any_more_is_closed_unasked(scene: Scene) -> None:
    await scene.orphan("one")
    scene.now = NOON + 30 * DAY
    await scene.tidy(ca := ToldCa())
    assert (ca.asked, scene.states()) == ([], {"one": "closed"})


async def test_the_record_of_an_order_outlives_its_job_and_goes_ages_after_its_end(scene: Scene) -> None:
    for revision in (1, 2):
        stored = replace(job(JobState.ISSUED), id=JobId("a", revision), not_after=NOON)
        await scene.journal.accept(replace(stored, state=JobState.FINALIZING, ca_order=None))
        at = await scene.journal.find(stored.id)
        assert at is not None
        at = await scene.ordered(at, f"r{revision}")
        at = await scene.journal.advance(at, replace(at, state=JobState.ISSUED))
        await scene.journal.advance(at, replace(at, state=JobState.STORED))
    assert await scene.kept.prune(now=NOON + 40 * DAY) == Pruned(0, 1, 0)
    assert await scene.journal.find(JobId("a", 1)) is None
    assert scene.states() == {"r1": "issued", "r2": "issued"}
    assert await scene.kept.prune(now=NOON + 399 * DAY) == Pruned(0, 0, 0)
    assert await scene.kept.prune(now=NOON + 400 * DAY) == Pruned(0, 0, 2)
