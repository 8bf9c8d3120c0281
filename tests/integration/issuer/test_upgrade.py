"""A journal of the first schema, with rows as the first issuer wrote them: each job goes on."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Connection, column, insert
from sqlalchemy import table as table_of

from certcore.clock import system_clock
from certcore.events import FailureCode, MustAct, RevisionFailed, RevisionIssued
from certcore.inspection import spki_sha256
from certcore.placements import PLATFORM
from certcore.sealing import RecipientKey, SealContext, open_sealed
from certlocal.tools import Tell
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.kept_bundles import KeptBundles, Pruned
from issuer.adapters.leaf_book import LeafBook
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.failure import FailureReason
from issuer.domain.job import CaOrder, JobId, JobState
from issuer.domain.revoked import Revocation, RevocationReason
from issuer.domain.turns import Turns
from tests.authority import Authority
from tests.integration.issuer.recipients import KEYS
from tests.integration.issuer.recipients import opened as opened_bundles
from tests.integration.issuer.scene import a_scene
from tests.integration.issuer.test_journal import MIGRATIONS, on_disk, opened

pytestmark = pytest.mark.integration

ESCROW = RecipientKey("escrow", X25519PrivateKey.generate())
LONG_AGO = "2026-01-01 12:00:00.000000"


@dataclass(frozen=True)
class FirstKey:
    """Key material as the first issuer made it: sealed copies without a key id, bound to no variant."""

    certificate_id: str
    dns_name: str
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def columns(self) -> dict[str, object]:
        names = x509.SubjectAlternativeName([x509.DNSName(self.dns_name)])
        csr = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(names, critical=False)
        return {
            "csr": csr.sign(self.key, SHA256()).public_bytes(Encoding.DER),
            "spki_sha256": spki_sha256(self.key.public_key()),
            "sealed_keys": json.dumps([self._sealed_to(recipient) for recipient in (*KEYS, ESCROW)]),
        }

    def _sealed_to(self, recipient: RecipientKey) -> dict[str, str]:
        info = f"certbus/v1|{recipient.name}|{self.certificate_id}|1".encode()
        suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
        sealed = suite.encrypt(self.pem, recipient.private_key.public_key(), info=info)
        return {"recipient": recipient.name, "sealed": base64.b64encode(sealed).decode()}


def a_key(certificate_id: str) -> FirstKey:
    return FirstKey(certificate_id, f"{certificate_id}.example.org", ec.generate_private_key(ec.SECP256R1()))


def a_row(certificate_id: str, state: str, **columns: object) -> dict[str, object]:
    issue_order = {
        "certificate_id": certificate_id,
        "name": certificate_id,
        "revision": 1,
        "dns_names": [f"{certificate_id}.example.org"],
        "exposure": "internal",
        "issuer": None,
        "key_algorithm": "ec-p256",
        "approval_id": "an-approval",
        "recipients": [{"name": key.name, "public_key": key.public_key} for key in KEYS],
        "replaces": None,
    }
    return {
        "certificate_id": certificate_id,
        "revision": 1,
        "name": certificate_id,
        "order": json.dumps(issue_order),
        "accepted_at": LONG_AGO,
        "state": state,
        "version": 3,
        "ca": "by-dns",
        "validation_method": "",
        "abandoned": 0,
        "refusals": 0,
        "setbacks": 0,
        "given_up": False,
        "due_at": LONG_AGO,
        **columns,
    }


@asynccontextmanager
async def first_journal(
    folder: Path,
    *rows: dict[str, object],
    challenges: tuple[dict[str, object], ...] = (),
    accounts: tuple[dict[str, object], ...] = (),
) -> AsyncIterator[JournalDatabase]:
    def make(connection: Connection) -> None:
        configuration = Config()
        configuration.set_main_option("script_location", str(MIGRATIONS))
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "0001")
        for table, new in (("job", rows), ("challenge", challenges), ("acme_account", accounts)):
            for row in new:
                connection.execute(insert(table_of(table, *map(column, row))).values(row))

    async with opened(f"sqlite:///{folder / 'journal.db'}") as database:
        await database.write(make)
        yield database


async def test_a_job_of_the_first_schema_is_read_with_all_that_it_had(tmp_path: Path) -> None:
    key = a_key("shop")
    job = a_row(
        "shop",
        "validating",
        **key.columns(),
        order_url="https://ca.test/o/1",
        finalize_url="https://ca.test/o/1/f",
        problem="rate_limited: too many",
        problem_at=LONG_AGO,
        wait_until=LONG_AGO,
    )
    challenge = {
        "certificate_id": "shop",
        "revision": 1,
        "url": "https://ca.test/challenge/1",
        "kind": "dns-01",
        "identifier": "shop.example.org",
        "record_name": "_acme-challenge.shop",
        "record_value": "a value",
    }
    async with first_journal(tmp_path, job, a_row("new", "accepted"), challenges=(challenge,)) as database:
        await database.upgrade(MIGRATIONS)
        now = datetime.now(UTC)
        journal = Journal(database=database, worker="one", clock=lambda: now)
        jobs, _ = await journal.claim(now=now, until=now + timedelta(minutes=1), turns=Turns(20), running=())
        found = {one.id.certificate_id: one for one in jobs}
        assert set(found) == {"shop", "new"}
        shop = found["shop"]
        assert shop.id == JobId("shop", 1, PLATFORM)
        assert (shop.state, shop.version) == (JobState.VALIDATING, 4)
        assert shop.issue_order.dns_names == ("shop.example.org",)
        assert shop.ca_order == CaOrder("https://ca.test/o/1", "https://ca.test/o/1/f")
        assert (shop.reason, shop.problem) == (FailureReason.RATE_LIMITED, "rate_limited: too many")
        assert (found["new"].reason, found["new"].key) == (None, None)
        assert await journal.records(shop.id) == [
            ChallengeRecord(
                job=shop.id,
                kind=ChallengeKind.DNS_01,
                url="https://ca.test/challenge/1",
                identifier="shop.example.org",
                record_name="_acme-challenge.shop",
                record_value="a value",
            )
        ]
        assert shop.key is not None
        sealed = {copy.recipient: copy for copy in shop.key.sealed}
        for recipient in (*KEYS, ESCROW):
            copy = sealed[recipient.name]
            context = SealContext(recipient.name, "shop", 1, PLATFORM)
            assert open_sealed(copy.raw(), key=recipient, context=context, sealed_to=copy.key_id) == key.pem


async def test_what_was_stored_before_is_kept_until_its_leaf_expires(tmp_path: Path) -> None:
    authority, rows, ends = Authority(), [], {}
    for name in ("one", "two"):
        issued = authority.issue(f"{name}.example.org")
        ends[name] = issued.leaf.not_valid_after_utc
        rows.append(a_row(name, "stored", **a_key(name).columns(), chain_pem=issued.chain_pem, due_at=None))
    rows.append(a_row("damaged", "stored", **a_key("damaged").columns(), chain_pem="no chain", due_at=None))
    async with first_journal(tmp_path, *rows) as database:
        await database.upgrade(MIGRATIONS)
        ids = [JobId(name, 1, PLATFORM) for name in ("one", "two", "damaged")]
        found = await Journal(database=database, worker="one", clock=system_clock).found(ids)
        assert {name.certificate_id: job.not_after for name, job in found.items()} == {**ends, "damaged": None}
        assert {job.stored_at for job in found.values()} == {datetime(2026, 1, 1, 12, tzinfo=UTC)}
        assert {job.owner for job in found.values()} == {""}
        pruned = await KeptBundles(database).prune(now=max(ends.values()))
        assert pruned == Pruned(2, 0)


async def test_what_was_issued_before_is_revoked_by_none_and_can_be(tmp_path: Path) -> None:
    issued = Authority().issue("one.example.org")
    key = {**a_key("one").columns(), "spki_sha256": spki_sha256(issued.leaf.public_key())}
    row = a_row("one", "stored", **key, chain_pem=issued.chain_pem, order_url="https://ca.test/o/1", finalize_url="f")
    async with first_journal(tmp_path, row) as database:
        await database.upgrade(MIGRATIONS)
        der = issued.leaf.public_bytes(Encoding.DER)
        (known,) = await LeafBook(database).known(der, spki_sha256=spki_sha256(issued.leaf.public_key()))
        assert (known.job, known.ca, known.newest, known.revocation) == (JobId("one", 1), "by-dns", True, None)
        journal = Journal(database=database, worker="one", clock=system_clock)
        before = await journal.find(known.job)
        assert before is not None
        revocation = Revocation(datetime(2026, 2, 1, tzinfo=UTC), RevocationReason.SUPERSEDED)
        await journal.advance(before, replace(before, revocation=revocation))
        after = await journal.find(known.job)
        assert after is not None
        assert (after.revocation, after.key, after.chain_pem) == (revocation, before.key, before.chain_pem)
    kept = [("2026-02-01 00:00:00.000000", "superseded")]
    for table in ("job", "acme_order"):
        assert on_disk(tmp_path, f"SELECT revoked_at, revocation_reason FROM {table}") == kept  # noqa: S608 # ours


async def test_what_was_ordered_before_is_in_the_record_of_orders(tmp_path: Path) -> None:
    rows = [
        a_row(state, state, order_url=f"https://ca.test/o/{state}", finalize_url="f")
        for state in ("ordered", "finalizing", "stored")
    ]
    account: dict[str, object] = {
        "ca": "by-dns",
        "directory_url": "https://ca.test/dir",
        "url": "https://ca.test/account/1",
    }
    async with first_journal(tmp_path, *rows, a_row("new", "accepted"), accounts=(account,)) as database:
        await database.upgrade(MIGRATIONS)
        now = datetime.now(UTC)
        journal = Journal(database=database, worker="one", clock=lambda: now)
        found = await journal.found([JobId(state, 1, PLATFORM) for state in ("ordered", "finalizing")])
        # Its key is in a file; until it is taken over there is no account.
        assert await journal.account("by-dns", "https://ca.test/dir") is None
    columns = "certificate_id, url, ca, account_url, state, opened_at, finalize_sent_at, ended_at"
    ours = ("by-dns", "https://ca.test/account/1")
    assert on_disk(tmp_path, f"SELECT {columns} FROM acme_order ORDER BY certificate_id") == [  # noqa: S608 # ours
        ("finalizing", "https://ca.test/o/finalizing", *ours, "open", LONG_AGO, LONG_AGO, None),
        ("ordered", "https://ca.test/o/ordered", *ours, "open", LONG_AGO, None, None),
        ("stored", "https://ca.test/o/stored", *ours, "issued", LONG_AGO, None, LONG_AGO),
    ]
    sent = {job.id.certificate_id: job.ca_order and job.ca_order.finalize_sent_at for job in found.values()}
    assert sent == {"ordered": None, "finalizing": datetime(2026, 1, 1, 12, tzinfo=UTC)}
    assert on_disk(tmp_path, "SELECT DISTINCT line_ca FROM job") == [("by-dns",)]


async def test_after_the_upgrade_each_variant_has_its_row_and_each_record_its_job(tmp_path: Path) -> None:
    async with first_journal(tmp_path, a_row("shop", "accepted")) as database:
        await database.upgrade(MIGRATIONS)
    schema: dict[str, str] = dict(on_disk(tmp_path, "SELECT name, sql FROM sqlite_master"))
    violations = on_disk(tmp_path, "PRAGMA foreign_key_check")
    assert "PRIMARY KEY (certificate_id, revision, variant)" in schema["job"]
    assert "PRIMARY KEY (certificate_id, revision, variant, url)" in schema["challenge"]
    assert "REFERENCES job (certificate_id, revision, variant)" in schema["challenge"]
    assert {"ix_job_due_at", "ix_job_spki_sha256", "ix_challenge_record_name"} <= set(schema)
    assert not any("_alembic_tmp" in name for name in schema)
    assert violations == []


async def test_jobs_of_the_first_schema_are_finished_by_this_issuer(tmp_path: Path, tell: Tell) -> None:
    keyed, gave_up = a_key("keyed"), {"given_up": True, "ca": None, "report_at": LONG_AGO, "problem_at": LONG_AGO}
    rows = (
        a_row("keyed", "keyed", **keyed.columns()),
        a_row("accepted", "accepted"),
        a_row("gave-up", "accepted", **gave_up, problem="unknown_ca: no CA named nowhere is configured"),
    )
    async with first_journal(tmp_path, *rows):
        pass
    async with a_scene(tmp_path, tell=tell) as scene:
        await scene.peer.wait_for(RevisionIssued, certificate_ids=["keyed", "accepted"])
        for bundle in opened_bundles(scene.registry.issued["keyed", 1, PLATFORM], "keyed", 1):
            assert bundle.key_pem == keyed.pem
        opened_bundles(scene.registry.issued["accepted", 1, PLATFORM], "accepted", 1)
        failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=["gave-up"]))["gave-up"]
        assert (failed.code, failed.must_act) == (FailureCode.CONFIGURATION, MustAct.OPERATOR)
        assert len(scene.pebble.finalized_orders()) == 2
