"""A registry whose database was restored from an older copy, beside a bus, an issuer and sites that went on."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from certcore.api import CertificateState, CertificateView, IssuedAnswer, IssuedReport, IssuedRevision, Role
from certcore.audit_proof import FindingReason, prove
from certcore.conditions import Health
from certcore.events import DeploymentOrdered, RegistryAnchored
from certcore.placements import epoch_of
from tests.authority import Issued
from tests.integration.registry.bodies import a_body
from tests.integration.registry.bus import Bus, eventually
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import Person, RunningRegistry, running_registry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

RENEWABLE = timedelta(days=25)
"""Of 30 days: past two thirds."""


@dataclass
class World:
    """`made` are all that the issuer ever made, by certificate, newest last."""

    registry: RunningRegistry
    bus: Bus
    services: StandIns
    syncer: Person
    made: dict[str, list[tuple[int, Issued]]] = field(default_factory=dict)

    async def live(self, certificate: CertificateView, revision: int, *, age: timedelta = RENEWABLE) -> Issued:
        issued = await self.services.make_live(certificate, revision, age=age)
        self.made.setdefault(certificate.id, []).append((revision, issued))
        return issued

    async def renewed(self, certificate: CertificateView, revision: int, *, age: timedelta = timedelta(0)) -> Issued:
        await self.in_state(certificate, CertificateState.RENEWING)
        return await self.live(certificate, revision, age=age)

    async def in_state(self, certificate: CertificateView, state: CertificateState) -> CertificateView:
        async def look() -> CertificateView | None:
            present = await self.services.shown(certificate.name)
            return present if present.state is state else None

        return await eventually(look, what=f"{certificate.name} is {state}")

    async def restart(self, *, copy: Path | None = None, killed: bool = False) -> None:
        if killed:
            self.registry.process.kill()
        else:
            await self.registry.process.stop()
        if copy is not None:
            self.registry.process.put_back(copy)
        await self.registry.process.start()

    def epoch(self) -> tuple[int, bool]:
        [row] = self.registry.process.rows("SELECT number, waiting FROM epoch")
        return row["number"], bool(row["waiting"])

    def orders(self, certificate: CertificateView) -> list[int]:
        """Revisions that were ordered from the issuer, as the bus had them."""
        rows = self.registry.process.rows(
            "SELECT data FROM event WHERE about = ? AND type IN"
            " ('certbus.certificate.approved.v1', 'certbus.certificate.renewal_due.v1') ORDER BY sequence",
            certificate.id,
        )
        return [json.loads(row["data"])["order"]["revision"] for row in rows]

    def alarms(self) -> list[str]:
        """What was announced of the alert of a restore."""
        rows = self.registry.process.rows("SELECT type, data FROM event WHERE stream = 'ALERTS' ORDER BY sequence")
        found = [(row["type"], json.loads(row["data"])["reason"]) for row in rows]
        return [kind.split(".")[2] for kind, reason in found if reason == "registry_restored"]

    async def reported(self, *, epoch: int = 1, parts: int = 1) -> IssuedAnswer:
        """The issuer reports all that it has; returns the answer to the last part."""
        revisions = [
            IssuedRevision(
                certificate_id=certificate_id,
                revision=number,
                serial="ab",
                fingerprint_sha256=issued.fingerprint,
                not_before=issued.leaf.not_valid_before_utc,
                not_after=issued.leaf.not_valid_after_utc,
            )
            for certificate_id, made in self.made.items()
            for number, issued in made
        ]
        for part in range(parts):
            report = IssuedReport(epoch=epoch, revisions=tuple(revisions[part::parts]), complete=part == parts - 1)
            response = await self.services.issuer.post("/v1/issued", json=report.model_dump(mode="json"))
            assert response.status_code == 200, response.text
        return IssuedAnswer.model_validate_json(response.content)

    async def level(self, certificate: CertificateView) -> tuple[int, int]:
        """Revision and generation that the site should hold."""
        response = await self.syncer.get("/v1/deployments")
        orders = [DeploymentOrdered.model_validate(item) for item in response.json()["items"]]
        [item] = [item for order in orders if order.certificate_id == certificate.id for item in order.placements]
        assert item.revision is not None
        return item.revision, item.generation


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with (
        running_registry(renewal_sweep_every_s=0.2, health_sweep_every_s=0.5) as registry,
        Bus.connect(registry.nats_url) as bus,
    ):
        services = await StandIns.start(registry, bus)
        syncer = await registry.service("site1-syncer", Role.DELIVERER, site="site1", kind="syncer")
        yield World(registry, bus, services, syncer)


async def test_a_copy_three_renewals_old_comes_back_without_a_second_order(tmp_path: Path) -> None:
    async with world() as here:
        copy = tmp_path / "copy.db"
        kept, renewed = await here.services.requested(), await here.services.requested()
        await here.live(renewed, 1)
        first = await here.services.make_live(kept)
        here.made[kept.id] = [(1, first)]
        await here.in_state(renewed, CertificateState.RENEWING)
        here.registry.process.copy_database(copy)
        await here.renewed(renewed, 2, age=RENEWABLE)
        await here.renewed(renewed, 3, age=RENEWABLE)
        newest = await here.renewed(renewed, 4)
        held = await here.level(renewed)
        assert here.orders(renewed) == [1, 2, 3, 4]

        await here.restart(copy=copy)
        assert here.epoch() == (1, True)
        assert here.alarms() == ["raised"]
        shown = (await here.registry.admin.get("/v1/restore")).json()
        assert (shown["epoch"], shown["waiting"]) == (1, True)
        assert "was anchored at" in shown["reason"]
        ready = await here.registry.nobody.get("/readyz")
        assert ready.status_code == 200
        assert "restored: waiting for the issuer's report" in ready.text
        # Nothing that the site holds is replaced by something older.
        assert (await here.level(renewed))[1] < held[1]
        orders = (await here.services.issuer.get("/v1/orders")).json()
        assert (orders["epoch"], orders["items"]) == (1, [])
        refused = await here.services.asker.post("/v1/requests", json=a_body())
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert (await here.registry.admin.post(f"/v1/certificates/{kept.name}/renew")).status_code == 503

        answer = await here.reported(parts=3)
        assert [(item.certificate_id, item.revision) for item in answer.wanted] == [(renewed.id, 4)]
        assert here.epoch() == (1, False)
        assert here.alarms() == ["raised", "resolved"]
        assert "restored" not in (await here.registry.nobody.get("/readyz")).text
        assert (await here.services.asker.post("/v1/requests", json=a_body())).status_code == 202
        # What is wanted is listed as ordered too, in case the answer was lost.
        orders = (await here.services.issuer.get("/v1/orders")).json()
        assert (renewed.id, 4) in {(item["certificate_id"], item["revision"]) for item in orders["items"]}
        # The issuer stores it again, and says so.
        present = await here.services.shown(renewed.name)
        keys = here.services.sealed(present, 4, newest.key_pem)
        assert (await here.services.put(renewed.id, 4, newest.chain_pem, keys)).status_code == 200
        await here.services.announced(present, 4, newest)
        await here.in_state(renewed, CertificateState.DELIVERING)
        revision, generation = await here.level(renewed)
        assert (revision, epoch_of(generation)) == (4, 1)
        assert generation > held[1]
        # That the endpoint serves it was reported before: the bus has kept that.
        await here.services.delivered(present, "host", 4, newest)
        assert (await here.in_state(renewed, CertificateState.LIVE)).health is Health.OK
        # The orders that it lost are in its log again; no other was made.
        assert here.orders(renewed) == [1, 2, 3, 4]

        # What the copy knew as held is left as it was.
        assert (await here.level(kept))[0] == 1
        assert epoch_of((await here.level(kept))[1]) == 0
        assert (await here.services.shown(kept.name)).state is CertificateState.LIVE


async def test_what_was_requested_and_decided_after_the_copy_is_taken_from_the_bus(tmp_path: Path) -> None:
    async with world() as here:
        before = await here.services.requested(a_body(exposure="public"))
        here.registry.process.copy_database(tmp_path / "copy.db")
        waiting, approved, lost = [
            await here.services.requested(a_body(exposure=exposure)) for exposure in ("public", "public", "internal")
        ]
        ben = await here.registry.person("ben", Role.APPROVER, owner="platform")
        for certificate in (before, approved):
            [request] = here.registry.process.rows("SELECT id FROM request WHERE certificate_id = ?", certificate.id)
            answer = await ben.post(f"/v1/requests/{request['id']}/approve", json={})
            assert answer.status_code == 200, answer.text
        await here.live(lost, 1)
        newest = await here.renewed(lost, 2)
        await here.restart(copy=tmp_path / "copy.db")

        states = {
            item.name: (await here.services.shown(item.name)).state for item in (before, waiting, approved, lost)
        }
        assert states == {
            before.name: CertificateState.APPROVED,
            waiting.name: CertificateState.WAITING_FOR_APPROVAL,
            approved.name: CertificateState.APPROVED,
            lost.name: CertificateState.APPROVED,
        }
        assert (await here.services.shown(approved.name)).approved_by == ("ben",)
        answered = await here.reported()
        assert [(item.certificate_id, item.revision) for item in answered.wanted] == [(lost.id, 2)]
        present = await here.services.shown(lost.name)
        assert present.id == lost.id
        stored = await here.services.put(
            lost.id, 2, newest.chain_pem, here.services.sealed(present, 2, newest.key_pem)
        )
        assert stored.status_code == 200, stored.text
        await here.services.announced(present, 2, newest)
        await here.services.delivered(present, "host", 2, newest)
        assert (await here.in_state(lost, CertificateState.LIVE)).health is Health.OK
        # Its name is taken, as it was, by just this.
        again = await here.services.asker.post("/v1/requests", json=a_body(lost.name))
        assert (again.status_code, again.json()["certificate_id"]) == (200, lost.id)
        # Its orders are in the log again; no other was made.
        assert here.orders(lost) == [1, 2]


async def test_a_loss_between_two_anchors_shows_by_the_events_on_the_bus(tmp_path: Path) -> None:
    async with world() as here:
        certificate = await here.services.requested()
        here.registry.process.copy_database(tmp_path / "copy.db")
        await here.live(certificate, 1)
        await here.restart(copy=tmp_path / "copy.db", killed=True)
        assert here.epoch() == (1, True)
        # Killed and started again, it goes on waiting in the same epoch.
        await here.restart(killed=True)
        assert here.epoch() == (1, True)
        answer = await here.reported()
        assert [item.revision for item in answer.wanted] == [1]
        await here.restart()
        assert here.epoch() == (1, False)


@pytest.mark.parametrize("lost", ["stream", "file"])
async def test_one_of_the_two_places_is_enough(tmp_path: Path, lost: str) -> None:
    async with world() as here:
        await here.services.requested()
        here.registry.process.copy_database(tmp_path / "copy.db")
        await here.services.requested()
        await here.registry.process.stop()
        file = here.registry.process.folder / "state" / "anchor.json"
        assert file.stat().st_mode & 0o777 == 0o600
        [*_, last] = await here.bus.messages("ANCHOR")
        assert RegistryAnchored.model_validate_json(last.data or b"") == RegistryAnchored.model_validate_json(
            file.read_bytes()
        )
        if lost == "stream":
            # The events are gone as well.
            await here.bus.js.purge_stream("ANCHOR")
            await here.bus.js.purge_stream("CERTS")
        else:
            file.unlink()
            await here.bus.js.purge_stream("CERTS")
        await here.restart(copy=tmp_path / "copy.db")
        assert here.epoch() == (1, True)

        async def anchored() -> bool:
            return file.exists() and RegistryAnchored.model_validate_json(file.read_bytes()).epoch == 1

        await eventually(anchored, what="the first anchor of the copy")
        # The audit tells what it lost, as long as there are the anchors of before, and holds all else.
        exported = (await here.registry.admin.get("/v1/audit/export")).content
        proof = prove(exported.splitlines(keepends=True))
        told = {FindingReason.LOST_BY_RESTORE} if lost == "file" else set()
        assert {finding.reason for finding in proof.findings} == told
        assert proof.holds(accept_restores=True)


async def test_an_ordinary_restart_begins_no_epoch() -> None:
    async with world() as here:
        certificate = await here.services.requested()
        await here.live(certificate, 1)
        await here.restart()
        await here.restart(killed=True)
        assert here.epoch() == (0, False)
        # A running registry writes its mark while the folder goes.
        await here.registry.process.stop()
        shutil.rmtree(here.registry.process.folder / "state")
        await here.registry.process.start()
        assert here.epoch() == (0, False)
        # A report that nobody asked for changes nothing.
        assert (await here.reported(epoch=0)).wanted == ()
        refused = await here.services.issuer.post("/v1/issued", json={"epoch": 7, "revisions": [], "complete": True})
        assert refused.status_code == 409
        assert (await here.services.shown(certificate.name)).state is not CertificateState.FAILING


async def test_an_empty_database_beside_a_bus_with_a_history_waits_for_the_issuer() -> None:
    async with world() as here:
        certificate = await here.services.requested()
        await here.live(certificate, 1)
        await here.registry.process.stop()
        here.registry.process.database.forget()
        shutil.rmtree(here.registry.process.folder / "state")
        # Without the events, nothing of it can be recreated.
        await here.bus.js.purge_stream("CERTS")
        await here.registry.process.start()
        assert here.epoch() == (1, True)
        here.registry.admin.headers["authorization"] = (
            f"Bearer {here.registry.process.admin_token_file.read_text().strip()}"
        )
        here.services.issuer = await here.registry.service("issuer", Role.ISSUER)
        assert (await here.reported()).wanted == ()
        shown = (await here.registry.admin.get("/v1/restore")).json()
        assert shown["waiting"] is False
        assert [(item["certificate_id"], item["revision"]) for item in shown["unknown"]] == [(certificate.id, 1)]


async def test_only_the_issuer_may_report_what_was_issued() -> None:
    async with world() as here:
        body = {"epoch": 0, "revisions": [], "complete": True}
        assert (await here.registry.admin.post("/v1/issued", json=body)).status_code == 403
        assert (await here.registry.nobody.post("/v1/issued", json=body)).status_code == 401
