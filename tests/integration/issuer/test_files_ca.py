"""A CA by key and chain files, through the whole issuer."""

import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from certcore.events import FailureCode, MustAct, RevisionFailed, RevisionIssued
from certcore.placements import PLATFORM
from certlocal.errors import ProcessFailedError
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.issuer_process import IssuerProcess
from tests.integration.issuer.recipients import opened
from tests.integration.issuer.revoke_command import revoke
from tests.integration.issuer.scene import Scene, a_scene, until
from tests.patience import HANG_S
from tests.ports import free_port
from tests.private_ca import CaFiles, a_ca

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

OWN = "own"
LISTLESS = "listless"
CRL_URL = "http://crl.test/own.crl"
PUBLIC = "public"
BATCH = 40


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CaFiles:
    constraints = x509.NameConstraints(None, [x509.DNSName("forbidden.internal")])
    return a_ca(tmp_path_factory.mktemp("own"), constraints=constraints)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, files: CaFiles, tell: Tell) -> AsyncIterator[Scene]:
    # It is never asked.
    public = {"name": PUBLIC, "directory_url": "https://127.0.0.1:1/dir", "challenges": ["dns-01"]}
    folder = tmp_path_factory.mktemp("issuer")
    own = files.settings(OWN, crl_file=str(folder / "own.crl"), crl_url=CRL_URL)
    cas = (own, public, files.settings(LISTLESS))
    async with a_scene(folder, tell=tell, more_cas=cas) as ready:
        yield ready


async def test_a_private_name_is_signed_by_the_next_ca_that_may(scene: Scene, files: CaFiles) -> None:
    name = "db.site1.internal"
    await scene.peer.order(an_order("db", name, cas=(PUBLIC, OWN)))
    event = (await scene.peer.wait_for(RevisionIssued, certificate_ids=["db"]))["db"]
    assert (event.ca, event.validation_method, event.ari_id) == (OWN, "signed", None)
    issued = scene.registry.issued["db", 1, PLATFORM]
    for bundle in opened(issued, "db", 1):
        assert bundle.leaf.dns_names == (name,)
        chain = x509.load_pem_x509_certificates(issued.chain_pem.encode())
        verifier = PolicyBuilder().store(Store([files.root])).build_server_verifier(x509.DNSName(name))
        verifier.verify(chain[0], chain[1:])
    assert scene.peer.reports(RevisionFailed, "db") == []
    assert scene.journal("SELECT order_url FROM job WHERE certificate_id = 'db'") == [(None,)]


async def test_where_only_public_cas_are_allowed_the_requester_is_told_the_way_out(scene: Scene) -> None:
    await scene.peer.order(an_order("nas", "nas.local", cas=(PUBLIC,)))
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["nas"]))["nas"]
    assert (failed.code, failed.must_act, failed.next_try) == (FailureCode.CONFIGURATION, MustAct.REQUESTER, None)
    assert "nas.local is under .local" in failed.reason
    assert "Allow a private CA" in failed.reason


async def test_names_that_the_ca_may_not_certify_are_reported_by_name(scene: Scene) -> None:
    await scene.peer.order(an_order("forbidden", "a.forbidden.internal", issuer=OWN))
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["forbidden"]))["forbidden"]
    assert failed.code == FailureCode.CA_REFUSED
    assert "may not certify a.forbidden.internal: it excludes forbidden.internal" in failed.reason


async def test_a_profile_that_the_ca_does_not_have_is_refused_and_client_is_one_that_it_has(scene: Scene) -> None:
    await scene.peer.order(an_order("agent", "agent.site1.internal", issuer=OWN, profile="client"))
    await scene.peer.order(an_order("short", "short.site1.internal", issuer=OWN, profile="shortlived"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["agent"])
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["short"]))["short"]
    assert "own has the profiles server, client, server-client, and not shortlived" in failed.reason


async def test_a_job_that_was_killed_between_signing_and_storing_has_one_certificate(scene: Scene) -> None:
    names = [f"k{number}" for number in range(BATCH)]
    for name in names:
        await scene.peer.order(an_order(name, f"{name}.site1.internal", issuer=OWN))
    with closing(sqlite3.connect(scene.issuer.database_file, isolation_level=None, timeout=HANG_S)) as database:
        # With the journal held, whoever has a key signs, and can't store it.
        await until(lambda: _held_with_keys(database), what="a moment at which some jobs have keys and no chain")
        keyed = _keyed(database)
        await until(lambda: _serials(scene).keys() >= keyed, what="what has a key is signed")
        scene.issuer.process.kill()
        await scene.issuer.process.wait(timeout_s=HANG_S)
        assert _keyed(database) == keyed
        database.execute("ROLLBACK")
    await scene.issuer.start()
    await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    serials = _serials(scene)
    assert all(len(serials[job]) >= 2 for job in keyed)
    for name in names:
        (leaf,) = {bundle.leaf for bundle in opened(scene.registry.issued[name, 1, PLATFORM], name, 1)}
        assert set(serials[f"{name}/1/{PLATFORM}"]) == {leaf.serial}
    assert scene.registry.differing == []


def _held_with_keys(database: sqlite3.Connection) -> bool:
    database.execute("BEGIN IMMEDIATE")
    if _keyed(database):
        return True
    database.execute("ROLLBACK")
    return False


def _keyed(database: sqlite3.Connection) -> set[str]:
    having = "SELECT certificate_id, revision, variant FROM job WHERE state = 'keyed' AND NOT given_up"
    return {"/".join(map(str, row)) for row in database.execute(having) if row[0].startswith("k")}


def _serials(scene: Scene) -> dict[str, list[str]]:
    """What was signed for each job, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in scene.logged("leaf_signed"):
        found[line["job"]].append(line["serial"])
    return found


def _listed(scene: Scene) -> tuple[int, set[int]]:
    """Number and serials of the CRL."""
    crl = x509.load_der_x509_crl((scene.issuer.folder / "own.crl").read_bytes())
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return number, {entry.serial_number for entry in crl}


async def test_what_the_ca_revokes_is_in_its_crl_which_each_leaf_names(scene: Scene) -> None:
    await scene.peer.order(an_order("leaked", "leaked.site1.internal", issuer=OWN))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["leaked"])
    leaf = x509.load_pem_x509_certificate(scene.registry.issued["leaked", 1, PLATFORM].chain_pem.encode())
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [name.value for point in points for name in point.full_name or ()] == [CRL_URL]
    number, serials = _listed(scene)
    assert serials == set()
    by_journal = ("--certificate", "leaked", "--revision", "1", "--reason", "keyCompromise", "--force")
    code, told = await revoke(scene.issuer, *by_journal)
    assert code == 0, told
    assert "the CA's list of revoked certificates (CRL)" in told
    assert f"\nrevoked\nproof: its serial is in the CRL, as read again (CRL {number + 1}, until " in told
    assert _listed(scene) == (number + 1, {leaf.serial_number})
    code, told = await revoke(scene.issuer, *by_journal)
    assert code == 0, told
    assert "\nit was revoked before\n" in told
    kept = "SELECT revocation_reason, revoked_at IS NOT NULL FROM job WHERE certificate_id = 'leaked'"
    assert scene.journal(kept) == [("keyCompromise", 1)]


async def test_a_ca_without_a_file_for_its_crl_revokes_nothing_and_names_the_setting(scene: Scene) -> None:
    await scene.peer.order(an_order("unlisted", "unlisted.site1.internal", issuer=LISTLESS))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["unlisted"])
    by_journal = ("--certificate", "unlisted", "--revision", "1", "--reason", "superseded", "--force")
    code, told = await revoke(scene.issuer, *by_journal)
    assert code == 1
    assert "listless can't revoke: crl_file isn't set" in told
    assert scene.journal("SELECT revoked_at FROM job WHERE certificate_id = 'unlisted'") == [(None,)]


async def test_an_issuer_whose_ca_has_a_foreign_key_does_not_start_and_says_why(
    scene: Scene, files: CaFiles, tmp_path: Path
) -> None:
    settings = {**files.settings(OWN), "key_file": str(a_ca(tmp_path / "other").key_file)}
    issuer = IssuerProcess(
        tmp_path, scene.pebble, scene.broker.url, scene.registry.url, more_cas=(settings,), http01_port=free_port()
    )
    with pytest.raises(ProcessFailedError, match=r"setting cas\.2\.chain_file.*another key than key_file"):
        await issuer.start()
    assert issuer.process.returncode == 2
