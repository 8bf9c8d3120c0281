"""The command that revokes, beside a running issuer and a real CA."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from certcore.events import FailureCode, MustAct, RevisionFailed, RevisionIssued
from certcore.inspection import X509Certificate, read_chain
from certcore.placements import PLATFORM
from certlocal.tools import Tell
from tests.acme_ca import acts
from tests.acme_ca.calls import Endpoint
from tests.acme_ca.server import ScriptedCa, plain_ca
from tests.authority import Authority, key_pem
from tests.integration.issuer.acme_book import Book
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.recipients import opened
from tests.integration.issuer.revoke_command import begun, revoke, status_at
from tests.integration.issuer.scene import Scene, a_scene, until
from tests.integration.issuer.test_acme_pebble import Leaf, client, issued
from tests.patience import HANG_S

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

KEY_COMPROMISE, SUPERSEDED = 1, 4


@pytest.fixture(scope="module")
def mute() -> Iterator[ScriptedCa]:
    """Its directory has no revokeCert."""
    with plain_ca() as ca:
        ca.script.tell(Endpoint.DIRECTORY, acts.without("revokeCert"))
        yield ca


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, mute: ScriptedCa, tell: Tell) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("issuer")
    cas = ({"name": "mute", "directory_url": mute.directory_url, "challenges": ["http-01"]},)
    settings = {"renewal_windows_every_s": 0.3}
    async with a_scene(folder, tell=tell, more_cas=cas, orders_every_s=0.3, more_settings=settings) as ready:
        yield ready


async def ordered(scene: Scene, name: str, *revisions: int) -> list[X509Certificate]:
    """The leaf of each revision, the newest last."""
    leaves = []
    for revision in revisions or (1,):
        await scene.peer.order(an_order(name, f"{name}.example.org", revision=revision))
        await until(partial(_is_issued, scene, name, revision), what=f"{name} {revision} is issued")
        leaves.append(read_chain(scene.registry.issued[name, revision, PLATFORM].chain_pem.encode())[0])
    return leaves


def _is_issued(scene: Scene, name: str, revision: int) -> bool:
    return any(report.revision == revision for report in scene.peer.reports(RevisionIssued, name))


def written(folder: Path, leaf: Leaf) -> tuple[str, str]:
    """The files of the certificate and of its key."""
    certificate, key = folder / "leaf.pem", folder / "leaf.key"
    certificate.write_text(leaf.chain_pem)
    key.write_text(key_pem(leaf.key))
    key.chmod(0o600)
    return str(certificate), str(key)


def revoked_rows(scene: Scene, name: str) -> list[tuple[int, int, str | None]]:
    """Of jobs and of their orders: revision, whether it has a time, and the reason."""
    columns = "revision, revoked_at IS NOT NULL, revocation_reason"
    return [
        row
        for table in ("job", "acme_order")
        for row in scene.journal(
            f"SELECT {columns} FROM {table} WHERE certificate_id = '{name}' ORDER BY revision"  # noqa: S608 # ours
        )
    ]


@pytest_asyncio.fixture(loop_scope="module")
async def foreign(scene: Scene, tmp_path: Path) -> Leaf:
    """Of another account at the same CA: the journal doesn't know it."""
    async with client(scene.pebble, tmp_path, Book()) as stranger:
        return await issued(scene.pebble, stranger, f"{tmp_path.name.replace('_', '-')}.example.org")


async def test_an_older_revision_is_revoked_by_the_account_and_again_without_harm(scene: Scene) -> None:
    old, new = await ordered(scene, "shop", 1, 2)
    by_journal = ("--certificate", "shop", "--revision", "1", "--reason", "superseded")

    code, told = await revoke(scene.issuer, *by_journal, "--dry-run")
    assert code == 0, told
    for word in ("shop.example.org", old.serial, old.fingerprint_sha256, old.issuer, "by-dns", "superseded (4)"):
        assert word in told
    assert "the account that the journal has there" in told
    assert "nothing was done" in told
    assert await status_at(scene.pebble, old.serial) == ("Valid", None)

    code, told = await revoke(scene.issuer, *by_journal)
    assert code == 0, told
    assert "\nrevoked\nproof: asked again, the CA says that it is revoked" in told
    assert await status_at(scene.pebble, old.serial) == ("Revoked", SUPERSEDED)
    assert await status_at(scene.pebble, new.serial) == ("Valid", None)
    kept = [(1, 1, "superseded"), (2, 0, None)]
    assert revoked_rows(scene, "shop") == [*kept, *kept]

    again = (*by_journal[:-1], "keyCompromise")
    code, told = await revoke(scene.issuer, *again)
    assert code == 0, told
    assert "\nit was revoked before\nproof: asked again, the CA says that it is revoked" in told
    assert revoked_rows(scene, "shop") == [*kept, *kept]


async def test_what_is_still_served_is_revoked_only_by_force_and_is_never_handed_over_again(scene: Scene) -> None:
    (leaf,) = await ordered(scene, "web")
    windows = "SELECT ask_at IS NOT NULL FROM renewal_window WHERE certificate_id = 'web' AND answered_at IS NOT NULL"
    await until(lambda: scene.journal(windows) == [(1,)], what="the CA was asked when to renew it")
    by_journal = ("--certificate", "web", "--revision", "1", "--reason", "keyCompromise")

    code, told = await revoke(scene.issuer, *by_journal)
    assert code == 1
    assert "not revoked: it is the newest that was handed over of web" in told
    assert "certbus cert renew web" in told
    assert await status_at(scene.pebble, leaf.serial) == ("Valid", None)

    code, told = await revoke(scene.issuer, *by_journal, "--force")
    assert code == 0, told
    assert await status_at(scene.pebble, leaf.serial) == ("Revoked", KEY_COMPROMISE)
    assert scene.journal(windows) == [(0,)]

    # The registry lost it: neither the list nor a new epoch brings it back.
    del scene.registry.issued["web", 1, PLATFORM]
    await until(lambda: _heard(scene, "web"), what="what was just reported counts as heard")
    scene.registry.issue_orders["web", 1, PLATFORM] = an_order("web", "web.example.org")
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["web"]))["web"]
    assert (failed.code, failed.must_act, failed.next_try) == (
        FailureCode.CERTIFICATE_UNFIT,
        MustAct.OPERATOR,
        None,
    )
    assert "(keyCompromise): renew the certificate" in failed.reason
    scene.registry.reported.clear()
    scene.registry.epoch += 1
    await until(lambda: any(part.complete for part in scene.registry.reported), what="all is reported")
    assert not any(item.certificate_id == "web" for part in scene.registry.reported for item in part.revisions)
    reads = _reads(scene)
    await until(lambda: _reads(scene) >= reads + 3, what="the list is read again")
    assert ("web", 1, PLATFORM) not in scene.registry.issued
    assert len(scene.peer.reports(RevisionFailed, "web")) == 1
    assert len(scene.peer.reports(RevisionIssued, "web")) == 1
    del scene.registry.issue_orders["web", 1, PLATFORM]

    # A renewal is another revision.
    (renewed,) = await ordered(scene, "web", 2)
    opened(scene.registry.issued["web", 2, PLATFORM], "web", 2)
    assert await status_at(scene.pebble, renewed.serial) == ("Valid", None)


def _heard(scene: Scene, name: str) -> bool:
    """Fifteen seconds after it was handed over."""
    ago = "stored_at < datetime('now', '-16 seconds')"
    return scene.journal(f"SELECT {ago} FROM job WHERE certificate_id = '{name}'") == [(1,)]  # noqa: S608 # ours


def _reads(scene: Scene) -> int:
    return sum(call.startswith("/v1/orders") for call in scene.registry.calls)


def _unfit(scene: Scene, name: str) -> list[RevisionFailed]:
    """Without those that tell of a registry that is away."""
    return [one for one in scene.peer.reports(RevisionFailed, name) if one.code == FailureCode.CERTIFICATE_UNFIT]


async def test_what_is_revoked_before_the_registry_has_it_never_gets_there(scene: Scene) -> None:
    scene.registry.down = True
    await scene.peer.order(an_order("early", "early.example.org"))
    issued_now = "SELECT state FROM job WHERE certificate_id = 'early'"
    await until(lambda: scene.journal(issued_now) == [("issued",)], what="it is issued")
    code, told = await revoke(scene.issuer, "--certificate", "early", "--revision", "1", "--reason", "superseded")
    assert code == 0, told
    scene.registry.down = False
    await until(lambda: _unfit(scene, "early"), what="the registry hears why it doesn't get it")
    (failed,) = _unfit(scene, "early")
    assert failed.next_try is None
    assert failed.reason.startswith("revoked: it was revoked at ")
    assert ("early", 1, PLATFORM) not in scene.registry.issued


async def test_a_certificate_of_another_account_is_revoked_by_its_own_key(
    scene: Scene, foreign: Leaf, tmp_path: Path
) -> None:
    certificate, key = written(tmp_path, foreign)
    leaf = read_chain(foreign.chain_pem.encode())[0]
    accounts = scene.journal("SELECT * FROM acme_account")

    code, told = await revoke(scene.issuer, certificate, "--reason", "keyCompromise", "--ca", "by-dns")
    assert code == 1
    assert "unauthorized" in told
    assert "give its own key by --key-file" in told
    assert await status_at(scene.pebble, leaf.serial) == ("Valid", None)

    by_key = (certificate, "--reason", "keyCompromise", "--ca", "by-dns", "--key-file", key)
    code, told = await revoke(scene.issuer, *by_key)
    assert code == 0, told
    assert "the certificate's own key" in told
    assert await status_at(scene.pebble, leaf.serial) == ("Revoked", KEY_COMPROMISE)
    code, told = await revoke(scene.issuer, *by_key)
    assert code == 0, told
    assert "it was revoked before" in told
    assert scene.journal("SELECT * FROM acme_account") == accounts


async def test_a_key_that_is_not_its_own_signs_nothing(scene: Scene, foreign: Leaf, tmp_path: Path) -> None:
    other = Leaf(ec.generate_private_key(ec.SECP256R1()), foreign.chain_pem)
    certificate, key = written(tmp_path, other)
    by_key = (certificate, "--reason", "keyCompromise", "--ca", "by-dns", "--key-file", key)
    code, told = await revoke(scene.issuer, *by_key)
    assert code == 1
    assert "the key is another than that of the certificate" in told
    assert "PRIVATE KEY" not in told
    assert await status_at(scene.pebble, read_chain(foreign.chain_pem.encode())[0].serial) == ("Valid", None)


async def test_what_the_ca_never_issued_is_told_as_the_ca_says_it(scene: Scene, tmp_path: Path) -> None:
    await ordered(scene, "known-account")
    other = Authority().issue("other.example.org")
    certificate = tmp_path / "other.pem"
    certificate.write_text(other.leaf_pem)
    code, told = await revoke(scene.issuer, str(certificate), "--reason", "unspecified", "--ca", "by-dns")
    assert code == 1
    assert "failed: " in told
    assert "Repeat it: that is harmless" in told


async def test_what_is_not_there_is_told(scene: Scene, tmp_path: Path) -> None:
    reason = ("--reason", "superseded")
    code, told = await revoke(scene.issuer, "--certificate", "nobody", "--revision", "7", *reason)
    assert (code, "the journal doesn't know nobody/7/platform" in told) == (1, True), told
    code, told = await revoke(scene.issuer, str(tmp_path / "no.pem"), *reason)
    assert (code, "no.pem can't be read: No such file" in told) == (1, True), told


async def test_a_ca_without_an_endpoint_for_it_is_named(
    scene: Scene, foreign: Leaf, tmp_path: Path, mute: ScriptedCa
) -> None:
    certificate, key = written(tmp_path, foreign)
    at_mute = (certificate, "--reason", "superseded", "--ca", "mute", "--key-file", key)
    code, told = await revoke(scene.issuer, *at_mute)
    assert code == 1
    assert f"mute revokes nothing by ACME: {mute.directory_url} has no revokeCert" in told


async def test_killed_between_the_answer_and_the_journal_it_is_repeated_without_harm(scene: Scene) -> None:
    old, _ = await ordered(scene, "killed", 1, 2)
    by_journal = ("--certificate", "killed", "--revision", "1", "--reason", "superseded")
    with closing(sqlite3.connect(scene.issuer.database_file, isolation_level=None, timeout=HANG_S)) as database:
        # With the journal held, what the CA answered can't be stored.
        database.execute("BEGIN IMMEDIATE")
        process = begun(scene.issuer, *by_journal)
        while await status_at(scene.pebble, old.serial) == ("Valid", None):
            assert process.alive
            await asyncio.sleep(0.02)
        process.kill()
        database.execute("ROLLBACK")
    assert revoked_rows(scene, "killed")[0] == (1, 0, None)
    code, told = await revoke(scene.issuer, *by_journal)
    assert code == 0, told
    assert "it was revoked before" in told
    assert revoked_rows(scene, "killed")[0] == (1, 1, "superseded")


async def test_without_the_journal_or_its_key_nothing_is_made(scene: Scene) -> None:
    await ordered(scene, "keyless", 1, 2)
    key_file, aside = scene.issuer.state / "journal.key", scene.issuer.state / "aside"
    shutil.move(key_file, aside)
    try:
        arguments = ("--certificate", "keyless", "--revision", "1", "--reason", "superseded")
        code, told = await revoke(scene.issuer, *arguments)
        assert code == 1
        assert "journal_key_file" in told
        assert not key_file.exists()
    finally:
        shutil.move(aside, key_file)
