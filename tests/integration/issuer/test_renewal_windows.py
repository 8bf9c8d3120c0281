"""When CAs suggest to renew: asked for when it is time, by one host, and told to the registry."""

import asyncio
import json
import sqlite3
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certcore.ca_limits.asked import AskedCa
from certcore.ca_limits.limit import BudgetSettings
from certcore.clock import system_clock
from certcore.errors import TransientError
from certcore.events import RevisionIssued, RevisionRenewalWindow
from certcore.inspection import read_chain
from certkit.registry_client import IssueLevel
from certlocal.tools import Tell
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.window_book import WindowBook
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.domain.failure import JobWaitsError
from issuer.domain.issued import ari_id
from issuer.domain.job import CaOrder, Job, JobId, JobState
from issuer.domain.renewal_info import RenewalInfo
from issuer.domain.renewal_window import KeptWindow, Watched
from issuer.handlers.budgets import Budgets
from issuer.handlers.renewal_windows import RenewalWindows, SuggestingCa
from tests import servers
from tests.integration.issuer.acme_book import Book
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import a_scene, until
from tests.integration.issuer.test_acme_pebble import client, issued
from tests.integration.issuer.test_journal import MIGRATIONS, opened
from tests.postgres_server import postgres
from tests.unit.issuer.samples import NOON, job, order

pytestmark = pytest.mark.integration

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NEXT_WEEK = RenewalInfo(NOON + 7 * DAY, NOON + 9 * DAY, "https://ca.test/why", HOUR)
ONE_A_DAY = BudgetSettings.model_validate({"share": 1.0, "new_orders": {"count": 1, "period": "P1D"}})
_KEY = ec.generate_private_key(ec.SECP256R1())
_AUTHORITY = x509.AuthorityKeyIdentifier.from_issuer_public_key(_KEY.public_key())


def a_leaf(serial: int) -> str:
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, _KEY.public_key(), serial, NOON, NOON + 90 * DAY)
    made = builder.add_extension(_AUTHORITY, critical=False).sign(_KEY, SHA256())
    return made.public_bytes(Encoding.PEM).decode()


class ToldCa:
    """Answers every question alike, and notes each. While `held`, it doesn't answer."""

    def __init__(self, answer: RenewalInfo | Exception | None) -> None:
        self.answer = answer
        self.asked: Counter[str] = Counter()
        self.open = asyncio.Event()
        self.open.set()

    async def renewal_info(self, ari_id: str) -> RenewalInfo | None:
        self.asked[ari_id] += 1
        await self.open.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Heard:
    """The bus, and the registry as far as the issuer can tell."""

    def __init__(self) -> None:
        self.told: list[tuple[JobId, KeptWindow]] = []
        self.away = False
        self.level: IssueLevel | None = IssueLevel([], complete=True, epoch=1, contract=3)

    async def suggested(self, watched: Watched, *, epoch: int) -> None:
        assert self.level is not None
        assert epoch == self.level.epoch
        if self.away:
            raise TransientError("the bus is away")
        assert watched.window is not None
        self.told.append((watched.job, watched.window))


class Scene:
    def __init__(self, databases: list[JournalDatabase], folder: Path) -> None:
        self.databases = databases
        self.folder = folder
        self.now = NOON
        self.heard = Heard()
        self.journal = Journal(database=databases[0], worker="one", clock=self.clock)
        self._serial = 0

    def clock(self) -> datetime:
        return self.now

    async def stored(
        self,
        name: str,
        revision: int = 1,
        *,
        ca: str = "a-ca",
        chain_pem: str = "",
        until: datetime = NOON + 90 * DAY,
    ) -> Job:
        self._serial += 1
        made = job(
            JobState.STORED,
            id=JobId(name, revision),
            issue_order=order(f"{name}.example.org", certificate_id=name, revision=revision),
            ca=ca,
            ca_order=CaOrder(f"https://{ca}.test/order/{name}/{revision}", "https://ca.test/finalize"),
            chain_pem=chain_pem or a_leaf(self._serial),
            stored_at=self.now,
            not_after=until,
        )
        assert await self.journal.accept(made) is made
        return made

    def host(self, number: int, **cas: SuggestingCa) -> RenewalWindows:
        return RenewalWindows(
            book=WindowBook(self.databases[number]),
            cas={name.replace("_", "-"): ca for name, ca in cas.items()},
            reports=self.heard,
            registry=lambda: self.heard.level,
            clock=self.clock,
        )

    async def look(self, after: timedelta = timedelta(), **cas: SuggestingCa) -> None:
        """One round of a host that has just started, so long after now."""
        self.now += after
        await self.host(0, **cas).look()

    def rows(self) -> dict[str, datetime | None]:
        with sqlite3.connect(self.folder / "journal.db") as journal:
            query = "SELECT certificate_id || '/' || revision, chosen FROM renewal_window"
            return dict(journal.execute(query).fetchall())


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'journal.db'}"
        databases = [await stack.enter_async_context(opened(url)) for _ in range(2)]
        await databases[0].upgrade(MIGRATIONS)
        yield Scene(databases, tmp_path)


async def test_a_window_is_told_once_and_again_only_when_it_changes(scene: Scene) -> None:
    ca = ToldCa(NEXT_WEEK)
    await scene.stored("shop")
    for _ in range(3):
        await scene.look(a_ca=ca)
    [(told, window)] = scene.heard.told
    assert (told, window.start, window.end) == (JobId("shop", 1), NEXT_WEEK.start, NEXT_WEEK.end)
    assert NEXT_WEEK.start <= window.chosen <= NEXT_WEEK.end
    assert window.explanation_url == "https://ca.test/why"
    assert ca.asked.total() == 1
    # Not before its Retry-After, and then nothing new is told.
    await scene.look(after=HOUR - MINUTE, a_ca=ca)
    assert ca.asked.total() == 1
    await scene.look(after=MINUTE, a_ca=ca)
    assert (ca.asked.total(), len(scene.heard.told)) == (2, 1)
    ca.answer = RenewalInfo(NOON - 2 * DAY, NOON - DAY)
    await scene.look(after=HOUR, a_ca=ca)
    assert scene.heard.told[1:] == [
        (JobId("shop", 1), KeptWindow(NOON - 2 * DAY, NOON - DAY, scene.now, scene.now, None))
    ]
    chosen = scene.now
    await scene.look(after=DAY, a_ca=ca)
    assert scene.heard.told[-1][1].chosen == chosen


@pytest.mark.parametrize(
    "broken",
    [
        CaUnreachableError("no answer, or none that can be read"),
        AcmeProblemError(type="", status=503, detail="in trouble"),
        AcmeProblemError(type="malformed", status=404, detail="unknown"),
        None,
    ],
)
async def test_a_broken_answer_changes_nothing(scene: Scene, broken: Exception | None) -> None:
    ca = ToldCa(NEXT_WEEK)
    await scene.stored("shop")
    await scene.look(a_ca=ca)
    before = scene.rows()
    ca.answer = broken
    await scene.look(after=HOUR, a_ca=ca)
    await scene.look(a_ca=ca)
    assert ca.asked.total() == 2
    assert (scene.rows(), len(scene.heard.told)) == (before, 1)
    ca.answer = RenewalInfo(NOON + DAY, NOON + 2 * DAY)
    await scene.look(after=DAY, a_ca=ca)
    assert len(scene.heard.told) == 2


async def test_only_the_newest_valid_certificate_is_asked_about(scene: Scene) -> None:
    ca = ToldCa(NEXT_WEEK)
    host = scene.host(0, a_ca=ca)
    await scene.stored("shop")
    await scene.stored("api")
    await scene.stored("api", 2)
    await host.look()
    assert scene.rows().keys() == {"shop/1", "api/2"}
    scene.now += HOUR
    await scene.stored("shop", 2)
    await host.look()
    assert scene.rows().keys() == {"shop/2", "api/2"}
    asked = ca.asked.total()
    scene.now = NOON + 90 * DAY
    await host.look()
    assert (scene.rows(), ca.asked.total()) == ({}, asked)


async def test_two_hosts_ask_once(scene: Scene) -> None:
    ca = ToldCa(NEXT_WEEK)
    for number in range(40):
        await scene.stored(f"c{number}")
    await asyncio.gather(*(scene.host(number, a_ca=ca).look() for number in (0, 1)))
    assert sorted(ca.asked.values()) == [1] * 40
    assert len({job_id for job_id, _ in scene.heard.told}) == 40


async def test_two_hosts_on_one_postgres_ask_once(tmp_path: Path) -> None:
    ca = ToldCa(NEXT_WEEK)
    async with postgres() as server, AsyncExitStack() as stack:
        url = await server.database("windows")
        databases = [await stack.enter_async_context(opened(url)) for _ in range(2)]
        await databases[0].upgrade(MIGRATIONS)
        scene = Scene(databases, tmp_path)
        first = [await scene.stored(f"c{number}") for number in range(40)]
        await asyncio.gather(*(scene.host(number, a_ca=ca).look() for number in (0, 1)))
        assert sorted(ca.asked.values()) == [1] * 40
        assert len({job_id for job_id, _ in scene.heard.told}) == 40
        book = WindowBook(databases[1])
        window = await book.window_of("c7", ca="a-ca", ari_id=name_of(first[7]))
        assert window == (NEXT_WEEK.start, NEXT_WEEK.end)
        assert await book.window_of("c7", ca="another-ca", ari_id=name_of(first[7])) is None


async def test_what_a_dead_host_was_about_to_ask_another_one_asks(scene: Scene) -> None:
    hanging, ca = ToldCa(NEXT_WEEK), ToldCa(NEXT_WEEK)
    hanging.open.clear()
    await scene.stored("shop")
    dead = asyncio.create_task(scene.host(0, a_ca=hanging).look())
    await until(lambda: hanging.asked, what="it asks")
    dead.cancel()
    await asyncio.wait([dead])
    await scene.host(1, a_ca=ca).look()
    assert not ca.asked
    scene.now += timedelta(minutes=5)
    await scene.host(1, a_ca=ca).look()
    assert (ca.asked.total(), len(scene.heard.told)) == (1, 1)


async def test_a_silent_ca_is_left_alone_and_holds_up_no_other(scene: Scene) -> None:
    silent, good = ToldCa(CaUnreachableError("silence")), ToldCa(NEXT_WEEK)
    for number in range(30):
        await scene.stored(f"s{number}", ca="silent-ca")
        await scene.stored(f"g{number}", ca="good-ca")
    silent.open.clear()
    both = asyncio.create_task(scene.host(0, silent_ca=silent, good_ca=good).look())
    await until(lambda: good.asked.total() == 30, what="the good one was asked")
    silent.open.set()
    await both
    assert silent.asked.total() < 10
    assert len(scene.heard.told) == 30


async def test_what_the_bus_did_not_take_is_told_later(scene: Scene) -> None:
    ca = ToldCa(NEXT_WEEK)
    await scene.stored("shop")
    scene.heard.away = True
    with pytest.raises(TransientError):
        await scene.look(a_ca=ca)
    scene.heard.away = False
    await scene.look(a_ca=ca)
    assert len(scene.heard.told) == 1


async def test_a_registry_of_an_earlier_version_is_told_when_it_knows_the_report(scene: Scene) -> None:
    ca = ToldCa(NEXT_WEEK)
    await scene.stored("shop")
    level = scene.heard.level
    assert level is not None
    for unknown in (None, replace(level, contract=2)):
        scene.heard.level = unknown
        await scene.look(a_ca=ca)
        assert scene.heard.told == []
    scene.heard.level = level
    await scene.look(a_ca=ca)
    assert len(scene.heard.told) == 1


async def test_a_restored_registry_is_told_again(scene: Scene) -> None:
    ca = ToldCa(NEXT_WEEK)
    await scene.stored("shop")
    await scene.look(a_ca=ca)
    assert scene.heard.level is not None
    scene.heard.level = replace(scene.heard.level, epoch=2)
    for _ in range(2):
        await scene.look(a_ca=ca)
    assert [job_id for job_id, _ in scene.heard.told] == [JobId("shop", 1)] * 2


async def asked(budgets: Budgets, of: Job) -> None:
    async with budgets.new_order(of):
        pass


async def test_a_renewal_inside_its_window_waits_for_no_limit(scene: Scene) -> None:
    first = await scene.stored("shop")
    assert first.chain_pem is not None
    name = name_of(first)
    database, cas = scene.databases[0], [AskedCa("a-ca", "https://ca.test/dir", ONE_A_DAY)]
    windows = WindowBook(database)
    budgets = Budgets(database=database, journal=scene.journal, windows=windows, cas=cas, clock=scene.clock)
    await scene.look(a_ca=ToldCa(NEXT_WEEK))
    await asked(budgets, job(JobState.KEYED, id=JobId("other", 1), issue_order=order("other.example.org")))

    def renewal(replaces: str | None) -> Job:
        # Of other names: else it would be exempt as a renewal of the same ones.
        wanted = order("shop.example.org", "new.example.org", certificate_id="shop", revision=2, replaces=replaces)
        return job(JobState.KEYED, id=JobId("shop", 2), issue_order=wanted)

    with pytest.raises(JobWaitsError):
        await asked(budgets, renewal(name))
    scene.now = NEXT_WEEK.start + HOUR
    await asked(budgets, job(JobState.KEYED, id=JobId("more", 1), issue_order=order("more.example.org")))
    with pytest.raises(JobWaitsError):
        await asked(budgets, renewal("of.another"))
    await asked(budgets, renewal(name))


def name_of(of: Job) -> str:
    name = ari_id(read_chain((of.chain_pem or "").encode())[0])
    assert name is not None
    return name


async def test_what_a_real_ca_suggests_is_followed(scene: Scene, tmp_path: Path, tell: Tell) -> None:
    async with (
        servers.pebble_ca(bad_nonces_percent=0, tell=tell) as pebble,
        client(pebble, tmp_path, Book()) as ca,
        httpx.AsyncClient(trust_env=False, verify=ssl.create_default_context(cafile=pebble.ca_file)) as management,
    ):
        leaf = await issued(pebble, ca, "shop.example.org")
        scene.now = system_clock()
        stored = await scene.stored("shop", ca="pebble", chain_pem=leaf.chain_pem, until=scene.now + 90 * DAY)
        await scene.look(pebble=ca)
        [(_, by_default)] = scene.heard.told
        assert scene.now < by_default.start <= by_default.chosen <= by_default.end

        async def fake(answer: str) -> None:
            body = {"certificate": stored.chain_pem, "ariResponse": answer}
            url = f"{pebble.ca.management_url}/set-renewal-info/"
            (await management.post(url, json=body)).raise_for_status()

        await fake("{broken")
        await scene.look(after=DAY, pebble=ca)
        await fake(json.dumps({"suggestedWindow": {"start": "2026-13-01T00:00:00Z", "end": "soon"}}))
        await scene.look(after=DAY, pebble=ca)
        assert len(scene.heard.told) == 1
        past = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
        await fake(json.dumps({"suggestedWindow": past, "explanationURL": "https://ca.test/incident"}))
        await scene.look(after=DAY, pebble=ca)
        [_, (_, now)] = scene.heard.told
        assert (now.chosen, now.explanation_url) == (scene.now, "https://ca.test/incident")


async def test_the_service_reports_windows_to_a_registry_that_reads_them(tmp_path: Path, tell: Tell) -> None:
    often = {"renewal_windows_every_s": 0.2}
    async with a_scene(tmp_path, tell=tell, orders_every_s=0.3, more_settings=often) as scene:
        scene.registry.contract = 2
        await scene.peer.order(an_order("shop", "shop.example.org"))
        await scene.peer.wait_for(RevisionIssued, certificate_ids=["shop"])
        await until(
            lambda: scene.journal("SELECT chosen FROM renewal_window WHERE chosen IS NOT NULL"),
            what="the CA is asked",
        )
        assert scene.peer.reports(RevisionRenewalWindow) == []
        scene.registry.contract = 3
        told = (await scene.peer.wait_for(RevisionRenewalWindow, certificate_ids=["shop"]))["shop"]
        assert (told.revision, told.start <= told.chosen <= told.end) == (1, True)
