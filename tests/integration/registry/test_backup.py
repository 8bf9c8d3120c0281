"""Copies of the database on both kinds: made while it is written to, read back, and put in its place."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import URL, make_url

from certbus.cli import run
from certbus.exit_codes import ExitCode
from certcore.events import RegistryAnchored
from certkit.background import end_tasks
from certkit.database import make_engine
from certkit.database_copies import CopyError, DatabaseCopies
from certkit.database_lock import InUseError
from certkit.postgresql_copies import PostgresqlCopies
from certkit.sqlite_copies import SqliteCopies
from registry.adapters.copy_folder import CopyFolder
from registry.adapters.outbox import SOURCE, Bell
from registry.domain.copy import RestoreReason, copy_time
from registry.domain.epoch import WaitsForIssuerError
from registry.handlers.alarms import Alarms
from registry.handlers.backup_watch import BackupWatch
from registry.handlers.backups import Backups
from tests.integration.registry.world import MIGRATIONS, NOON, SPEC, World, a_database
from tests.postgres_server import database

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Home:
    """A database that may be opened and closed; copies of it are a second apart."""

    url: str
    folder: Path
    now: datetime = NOON
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.copies: DatabaseCopies = (
            SqliteCopies(self.folder / "registry.db") if "sqlite" in self.url else PostgresqlCopies(self.url)
        )
        self.backups = Backups(self.copies, migrations=MIGRATIONS, program="1", clock=self.clock)

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        opened = a_database(self.url)
        try:
            await opened.upgrade(MIGRATIONS)
            yield World(opened, ids=f"{self.clock().timestamp():.0f}")
        finally:
            await opened.close()

    async def make(self, *, keep: int | None = None) -> Path:
        return (await asyncio.to_thread(self.backups.make, CopyFolder(self.folder / "copies"), keep=keep)).copy


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    folder = tmp_path_factory.mktemp("backup")
    async with database(request.param, folder) as url:
        home = Home(url, folder)
        async with home.running() as world:
            await world.enrol()
        yield home


async def submit(world: World, name: str) -> None:
    await world.submit(SPEC.model_copy(update={"name": name, "dns_names": (f"{name}.internal.example.test",)}))


async def certificates(world: World) -> int:
    return len(await world.store.read(lambda transaction: transaction.certificates.ids(limit=10_000)))


async def test_a_copy_that_is_made_while_others_write_is_one_state_and_whole(home: Home) -> None:
    async with home.running() as world:
        written, begun = 0, asyncio.Event()

        async def write() -> None:
            nonlocal written
            while True:
                await submit(world, f"meanwhile-{written}")
                written += 1
                begun.set()

        writing = asyncio.create_task(write())
        await begun.wait()
        before = written
        try:
            copy = await home.make()
            after = written
        finally:
            await end_tasks([writing])

    verified = home.backups.verify(copy)
    position = verified.manifest.position
    assert before <= position.certificates <= after + 1
    # Each request is a certificate, a request and an entry of the audit, in one transaction.
    assert position.requests == position.certificates
    assert verified.audit is not None
    assert verified.audit.holds()
    assert verified.audit.heads == position.anchor.audit_heads
    assert {path.stat().st_mode & 0o777 for path in copy.iterdir()} == {0o600}
    assert copy.stat().st_mode & 0o777 == 0o700


async def test_it_is_put_back_where_nobody_runs_and_what_was_there_is_kept(home: Home) -> None:
    async with home.running() as world:
        await submit(world, "kept")
        copy = await home.make()
        held = await certificates(world)
        await submit(world, "lost")
        with pytest.raises(InUseError, match="in use"):
            home.backups.restore(copy, anchor=None, older=True, other=False)
        assert await certificates(world) == held + 1

    refused = home.backups.restore(copy, anchor=None, older=False, other=False)
    assert (refused.decision.reason, refused.decision.way) == (RestoreReason.NEWER_THERE, "--older")
    assert "1 certificates, 1 requests" in refused.decision.detail
    async with home.running() as world:
        assert await certificates(world) == held + 1

    restored = home.backups.restore(copy, anchor=None, older=True, other=False)
    assert (restored.decision.reason, restored.epoch) == (RestoreReason.OLDER_COPY, 1)
    async with home.running() as world:
        assert await certificates(world) == held
        epoch = await world.store.read(lambda transaction: transaction.epochs.present())
        assert (epoch.number, epoch.waiting) == (1, True)
        assert "came after the copy" in epoch.reason
        with pytest.raises(WaitsForIssuerError):
            await submit(world, "after")
        await world.store.write(lambda transaction: transaction.epochs.end_waiting(1))
    assert restored.kept is not None
    kept = Home(home.url.replace("/registry", f"/{Path(restored.kept).name}"), home.folder)
    if home.copies.kind == "sqlite":
        kept = Home(f"sqlite:///{restored.kept}", home.folder)
    async with kept.running() as world:
        assert await certificates(world) == held + 1


async def test_a_damaged_copy_is_told_and_changes_nothing(home: Home) -> None:
    async with home.running() as world:
        copy = await home.make()
        held = await certificates(world)
    [file] = [path for path in copy.iterdir() if path.name != "manifest.json"]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    for look in (home.backups.verify, lambda one: home.backups.restore(one, anchor=None, older=True, other=False)):
        with pytest.raises(CopyError, match="was changed"):
            look(copy)
    async with home.running() as world:
        assert await certificates(world) == held


async def test_a_copy_that_is_not_what_its_manifest_says_is_not_put_back(home: Home) -> None:
    async with home.running():
        copy = await home.make()
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["position"]["certificates"] += 1
    (copy / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(CopyError, match="is not what it says"):
        home.backups.restore(copy, anchor=None, older=True, other=False)
    with pytest.raises(CopyError, match="is not what it says"):
        home.backups.verify(copy)


async def test_only_the_newest_copies_stay(home: Home) -> None:
    await home.make()
    (home.folder / "copies" / "of-somebody-else").mkdir()

    last = await home.make(keep=1)

    assert CopyFolder(home.folder / "copies").newest() == copy_time(last.name)
    found = sorted(path.name for path in (home.folder / "copies").iterdir())
    assert found == sorted(["of-somebody-else", last.name])


async def test_no_copy_for_too_long_is_an_alert_until_there_is_one(home: Home) -> None:
    async with home.running() as world:
        alarms = Alarms(outbox=world.outbox, clock=home.clock)
        watch = BackupWatch(
            home.folder / "watched",
            most=timedelta(minutes=1),
            store=world.store,
            alarms=alarms,
            bell=Bell(),
            clock=home.clock,
        )

        async def told() -> list[str]:
            await watch.look()
            found = await world.store.read(
                lambda transaction: transaction.alerts.open(source=SOURCE, reasons=["backup_old"])
            )
            return [alert.reason for alert in found]

        assert await told() == ["backup_old"]
        await asyncio.to_thread(home.backups.make, CopyFolder(home.folder / "watched"))
        assert await told() == []
        home.now += timedelta(minutes=2)
        assert await told() == ["backup_old"]


async def test_the_command_makes_verifies_and_puts_back_by_the_registrys_settings(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "registry.toml"
    settings.write_text(f'database_url = "{home.url}"\nstate_folder = "{tmp_path}"\n[bus]\nidentity = "registry"\n')
    monkeypatch.setenv("CERTBUS_CONFIG_FILE", str(settings))
    copies = tmp_path / "copies"
    assert run(["backup"]) == ExitCode.INVALID
    assert run(["backup", "--to", str(copies), "--keep", "2"]) == 0
    [copy] = map(str, copies.iterdir())
    assert run(["backup", "verify", copy]) == 0
    assert "the chain of all" in capsys.readouterr().out
    assert run(["backup", "verify", str(tmp_path)]) == 1
    assert "is no whole copy" in capsys.readouterr().err

    async with home.running():
        assert run(["restore", "from", copy]) == 1
    assert "in use" in capsys.readouterr().err
    anchor = RegistryAnchored(
        database_id="another", epoch=0, event_sequence=1, audit_sequence=1, anchored_at=NOON, audit_heads=()
    )
    (tmp_path / "anchor.json").write_text(anchor.model_dump_json())
    assert run(["restore", "from", copy]) == 1
    assert "give --other-database if that is what you want" in capsys.readouterr().err
    assert run(["restore", "from", copy, "--other-database"]) == 0
    assert "begins: start the registry" in capsys.readouterr().out


def with_password(url: str, password: str) -> URL:
    """A database of a role that the server asks for its password; all others are trusted."""
    engine = make_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        quoted = password.replace("'", "''")
        connection.exec_driver_sql(f"CREATE ROLE keeper LOGIN CREATEDB PASSWORD '{quoted}'")
        connection.exec_driver_sql("CREATE DATABASE kept OWNER keeper")
        rules = Path(connection.exec_driver_sql("SHOW hba_file").scalar_one())
        rules.write_text(f"host all keeper 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()
    return make_url(url).set(username="keeper", password=password, database="kept")


@pytest.mark.parametrize("home", ["postgresql"], indirect=True)
async def test_a_password_goes_to_postgresqls_programs_by_a_file(home: Home, tmp_path: Path) -> None:
    url = await asyncio.to_thread(with_password, home.url, r"a:b\c'd")
    wrong = PostgresqlCopies(url.set(password="wrong").render_as_string(hide_password=False))
    with pytest.raises(CopyError, match="password authentication failed"):
        wrong.copy(tmp_path, lambda _: None)
    right = PostgresqlCopies(url.render_as_string(hide_password=False))
    file, _ = right.copy(tmp_path, lambda _: None)
    with right.alone(), right.staged(file) as staged:
        kept = staged.put(NOON)
    assert kept == "kept_before_20260301T120000Z"
