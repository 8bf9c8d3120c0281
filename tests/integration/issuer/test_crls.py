"""The CRL of a CA by files: kept whole and current by rounds, and checked by openssl."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from sqlalchemy import text

from certcore.errors import TransientError
from issuer.adapters.crl_book import CrlBook
from issuer.adapters.journal_database import JournalDatabase
from issuer.cas.files.files_ca import FilesCa
from issuer.cas.files.settings import FilesCaSettings
from issuer.domain.crl import ListedLeaf
from issuer.domain.revoked import Revocation, RevocationReason
from issuer.handlers.crls import Crls
from tests.authority import pem
from tests.integration.issuer.test_journal import MIGRATIONS, on_disk, opened
from tests.private_ca import CaFiles, a_ca
from tests.unit.issuer.cas.files.test_files_ca import request
from tests.unit.issuer.samples import NOON

pytestmark = pytest.mark.integration

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Host:
    """One of the issuers on a journal, with a file of its own. Its clock stands."""

    def __init__(self, files: CaFiles, crl_file: Path, database: JournalDatabase, *, now: datetime = NOON) -> None:
        self.now = self._began = now
        self.crl_file = crl_file
        settings = files.settings(crl_file=str(crl_file), crl_hours=96, crl_url="http://crl.test/own.crl")
        self.ca = FilesCa.read(FilesCaSettings.model_validate(settings), clock=self.clock)
        self.crls = Crls(cas={"own": self.ca}, book=CrlBook(database), clock=self.clock)

    def clock(self) -> datetime:
        return self.now

    async def revoked(self, serial: int, *, days: int = 30) -> Revocation | None:
        revocation = Revocation(self.now, RevocationReason.KEY_COMPROMISE)
        return await self.crls.add(self.ca, ListedLeaf(serial, revocation, self._began + days * DAY))

    def published(self) -> tuple[int, set[int]]:
        crl = x509.load_der_x509_crl(self.crl_file.read_bytes())
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        return number, {entry.serial_number for entry in crl}


@pytest.fixture
def files(tmp_path: Path) -> CaFiles:
    return a_ca(tmp_path / "ca", now=NOON)


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[JournalDatabase]:
    async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
        await database.upgrade(MIGRATIONS)
        yield database


@pytest.fixture
def host(files: CaFiles, tmp_path: Path, database: JournalDatabase) -> Host:
    return Host(files, tmp_path / "own.crl", database)


async def test_an_empty_list_is_there_from_the_start_and_is_written_anew_before_it_ends(host: Host) -> None:
    await host.crls.keep_up()
    assert host.published() == (1, set())
    first = host.crl_file.read_bytes()
    host.now += DAY
    await host.crls.keep_up()
    assert host.crl_file.read_bytes() == first
    host.now += DAY
    await host.crls.keep_up()
    assert host.published() == (2, set())


async def test_what_is_revoked_is_listed_at_once_and_only_once(host: Host) -> None:
    assert await host.revoked(5) is None
    assert host.published() == (1, {5})
    before = host.now
    host.now += HOUR
    assert await host.revoked(5) == Revocation(before, RevocationReason.KEY_COMPROMISE)
    assert await host.revoked(9) is None
    assert host.published() == (2, {5, 9})


async def test_an_entry_leaves_the_list_when_its_leaf_has_ended_and_a_list_told_so(host: Host) -> None:
    await host.revoked(5, days=1)
    for days, serials in ((1, {5}), (4, {5}), (6, set())):
        host.now = NOON + days * DAY
        await host.crls.keep_up()
        assert host.published()[1] == serials


async def test_an_entry_stays_where_nobody_was_there_to_tell_it_after_its_leaf_ended(host: Host) -> None:
    await host.revoked(5, days=1)
    # The issuer was away for longer than a CRL is valid.
    host.now = NOON + 9 * DAY
    await host.crls.keep_up()
    assert host.published() == (2, {5})
    host.now += DAY
    await host.crls.keep_up()
    assert host.published() == (2, {5})
    host.now += DAY
    await host.crls.keep_up()
    assert host.published() == (3, set())


async def test_what_ended_ages_ago_is_forgotten_and_no_list_changes_by_it(
    host: Host, tmp_path: Path, database: JournalDatabase
) -> None:
    for serial, days in ((5, 1), (6, 2), (7, 300)):
        await host.revoked(serial, days=days)
    many = [{"serial": f"{number:x}", "at": NOON.replace(year=2020)} for number in range(1000, 2100)]
    await database.write(
        lambda connection: connection.execute(
            text("INSERT INTO revoked_leaf VALUES ('of-a-ca-that-is-gone', :serial, :at, 'superseded', :at)"), many
        )
    )
    for days in (390, 393, 396, 399, 401):
        host.now = NOON + days * DAY
        await host.crls.keep_up()
    before = host.published()
    assert await host.crls.prune() == 1101
    await host.crls.keep_up()
    assert host.published() == before
    assert sorted(on_disk(tmp_path, "SELECT serial FROM revoked_leaf")) == [("6",), ("7",)]
    assert await host.crls.prune() == 0


async def test_each_host_lists_what_any_of_them_revoked_with_numbers_that_grow(
    files: CaFiles, host: Host, tmp_path: Path, database: JournalDatabase
) -> None:
    other = Host(files, tmp_path / "other.crl", database)
    await asyncio.gather(host.revoked(5), other.revoked(9))
    await host.crls.keep_up()
    await other.crls.keep_up()
    assert host.published()[1] == other.published()[1] == {5, 9}
    assert host.published()[0] != other.published()[0]


@pytest.mark.parametrize("damage", ["older", "gone", "broken"])
async def test_a_file_that_is_not_what_it_should_be_is_written_anew(host: Host, damage: str) -> None:
    await host.revoked(5)
    older = host.crl_file.read_bytes()
    await host.revoked(9)
    match damage:
        case "older":
            host.crl_file.write_bytes(older)
        case "gone":
            host.crl_file.unlink()
        case "broken":
            host.crl_file.write_bytes(older[:-9])
    await host.crls.keep_up()
    assert host.published() == (3, {5, 9})


async def test_numbers_grow_also_where_the_journal_was_restored_from_an_older_copy(
    host: Host, tmp_path: Path
) -> None:
    for serial in (5, 6, 7):
        await host.revoked(serial)
    on_disk(tmp_path, "UPDATE crl_number SET number = 1")
    await host.revoked(8)
    assert host.published() == (4, {5, 6, 7, 8})


async def test_what_cannot_be_written_is_told_and_written_as_soon_as_it_can_be(
    files: CaFiles, tmp_path: Path, database: JournalDatabase
) -> None:
    host = Host(files, tmp_path / "later" / "own.crl", database)
    with pytest.raises(TransientError, match=r"later/own\.crl can't be written"):
        await host.crls.keep_up()
    host.crl_file.parent.mkdir()
    await host.crls.keep_up()
    assert host.published()[1] == set()


async def test_openssl_refuses_what_is_revoked_and_takes_what_is_not(
    tmp_path: Path, database: JournalDatabase
) -> None:
    now = datetime.now(UTC)
    files = a_ca(tmp_path / "ca", now=now)
    host = Host(files, tmp_path / "own.crl", database, now=now)
    leaves = []
    for name in ("revoked.site1.internal", "good.site1.internal"):
        chain = await host.ca.sign(request(name, at=now))
        leaves.append(x509.load_pem_x509_certificate(chain.encode()))
    revoked, good = leaves
    points = revoked.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [name.value for point in points for name in point.full_name or ()] == ["http://crl.test/own.crl"]
    await host.revoked(revoked.serial_number)
    assert "OK" in _checked(tmp_path, files, host, good)
    assert "certificate revoked" in _checked(tmp_path, files, host, revoked)


def _checked(folder: Path, files: CaFiles, host: Host, leaf: x509.Certificate) -> str:
    """What openssl says of the leaf, by the signing CA's list."""
    (folder / "leaf.pem").write_text(pem(leaf))
    (folder / "trust.pem").write_text(pem(files.signing))
    where = ("-CAfile", folder / "trust.pem", "-CRLfile", host.crl_file, folder / "leaf.pem")
    command = ["openssl", "verify", "-partial_chain", "-crl_check", *map(str, where)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
