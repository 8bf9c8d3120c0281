"""Places: those without a site, who is silent where, and which kinds each service delivers to."""

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from certcore.api import CertificateState, ServiceView, SiteView
from certcore.bundles import SealedBundle
from certcore.events import DeploymentOrdered, IssueOrder
from tests.integration.registry.bodies import a_body, encoded
from tests.integration.registry.bus import Bus
from tests.integration.registry.reported import items, relayed
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import Person, RunningRegistry
from tests.servers import SITES

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

CDN = {"kind": "toy-cdn", "name": "edge", "property": "www"}
HOST = {"kind": "files", "name": "host", "site": "site1"}
ALL = ("files", "kubernetes")


def faults(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 422, response.text
    return {error["field"]: error["message"] for error in response.json()["errors"]}


def silence(registry: RunningRegistry, *services: tuple[str, str]) -> None:
    """Their last heartbeats were a minute ago."""
    for place, service in services:
        [row] = registry.process.rows(
            "SELECT last_heartbeat FROM service WHERE place = ? AND service = ?", place, service
        )
        before = datetime.fromisoformat(row["last_heartbeat"]) - timedelta(seconds=60)
        registry.process.change(
            "UPDATE service SET last_heartbeat = ? WHERE place = ? AND service = ?",
            before.isoformat(" ", "microseconds"),
            place,
            service,
        )


async def test_a_kind_of_no_site_is_ordered_from_the_hub_and_reported_from_there(
    services: StandIns, bus: Bus, registry: RunningRegistry, deliverers: dict[str, Person]
) -> None:
    certificate = await services.requested(a_body(targets=[CDN], endpoints=None, proof="none"))
    [target] = certificate.targets
    assert (target.site, target.kind, target.variant) == ("hub", "toy-cdn", "platform")
    await relayed(registry)
    [approved] = await bus.messages("CERTS", f"certs.ev.approved.{certificate.id}")
    order = IssueOrder.model_validate(json.loads(approved.data or b"")["order"])
    assert [recipient.name for recipient in order.recipients] == ["hub-pusher"]
    issued = await services.issue(certificate)
    await services.settled()
    await relayed(registry)
    [message] = await bus.messages("DEPLOY_hub", f"certs.deploy.hub.pusher.{certificate.id}")
    ordered = DeploymentOrdered.model_validate_json(message.data or b"")
    [placement] = ordered.placements
    assert (placement.target.place, placement.target.fields) == ("hub", {"property": "www"})
    assert ordered in await items(deliverers["hub-pusher"], "/v1/deployments", DeploymentOrdered)
    fetched = await deliverers["hub-pusher"].get(f"/v1/bundles/{certificate.id}/1")
    opened = SealedBundle.model_validate_json(fetched.content).open(registry.keys["hub-pusher"])
    assert opened.leaf.serial == issued.serial
    for stranger in ("site1-pusher", "site1-syncer", "site2-syncer"):
        assert (await deliverers[stranger].get(f"/v1/bundles/{certificate.id}/1")).status_code == 404
    await services.delivered(certificate, "edge", 1, issued)
    await services.settled()
    assert (await services.shown(certificate.name)).state is CertificateState.LIVE


async def test_a_kind_belongs_to_sites_or_to_the_hub(services: StandIns) -> None:
    async def asked(target: dict[str, Any]) -> httpx.Response:
        body = a_body(targets=[target], endpoints=None, proof="none")
        return await services.asker.post("/v1/requests", json=body)

    assert "belongs to no site" in faults(await asked({**CDN, "site": "site1"}))["targets.0.site"]
    assert faults(await asked({**CDN, "site": "hub"})).keys() == {"targets.0.site"}
    assert faults(await asked({**HOST, "site": "hub"})) == {"targets.0.site": "must be a site"}
    assert faults(await asked({**HOST, "site": None})).keys() == {"targets.0.site"}
    assert faults(await asked({"kind": "files", "name": "host"})) == {"targets.0.site": "is missing"}


async def test_the_hub_is_no_site_in_any_list(registry: RunningRegistry) -> None:
    names = [site.name for site in await items(registry.admin, "/v1/sites", SiteView)]
    assert {"site1", "site2"} <= set(names)
    assert "hub" not in names
    assert (await registry.admin.get("/v1/sites/hub/review")).status_code == 404


async def test_who_is_silent_is_named_whoever_beats_beside_it(services: StandIns, registry: RunningRegistry) -> None:
    everyone = [
        *(("hub", "issuer"), ("hub", "monitor"), ("hub", "pusher")),
        *(("site1", "syncer"), ("site1", "pusher"), ("site2", "syncer")),
    ]
    for place, service in everyone:
        await services.beat(place, service)
    await services.settled()

    async def silent() -> set[tuple[str, str]]:
        # The escrow is expected nowhere, and shown where it asked, as in another test.
        found = [
            item for item in await items(registry.admin, "/v1/services", ServiceView) if item.service != "escrow"
        ]
        assert {(item.place, item.service) for item in found} == {*everyone, ("hub", "registry")}
        assert not [item for item in found if item.last_heartbeat is None]
        return {(item.place, item.service) for item in found if item.silent}

    async def silent_at_sites() -> dict[str, tuple[str, ...]]:
        found = await items(registry.admin, "/v1/sites", SiteView)
        return {site.name: site.silent for site in found if site.name in SITES}

    assert await silent() == set()
    assert await silent_at_sites() == {"site1": (), "site2": ()}
    stopped = [("hub", "issuer"), ("hub", "monitor"), ("site1", "syncer")]
    silence(registry, *stopped)
    await services.beat("site1", "pusher")
    await services.settled()
    assert await silent() == set(stopped)
    assert await silent_at_sites() == {"site1": ("syncer",), "site2": ()}
    [site1] = [site for site in await items(registry.admin, "/v1/sites", SiteView) if site.name == "site1"]
    [syncer] = [
        item
        for item in await items(registry.admin, "/v1/services", ServiceView)
        if (item.place, item.service) == ("site1", "syncer")
    ]
    assert site1.last_heartbeat == syncer.last_heartbeat
    page = (await registry.admin.get("/list")).text
    assert "silent" in page
    for place, service in stopped:
        await services.beat(place, service)
    await services.settled()
    assert await silent() == set()


async def test_what_never_reported_is_silent(watched: RunningRegistry) -> None:
    found = {(item.place, item.service): item for item in await items(watched.admin, "/v1/services", ServiceView)}
    assert found["hub", "issuer"].silent
    assert found["hub", "issuer"].last_heartbeat is None
    assert not found["hub", "registry"].silent
    # No pusher is enrolled at this one's hub.
    assert ("hub", "pusher") not in found


async def test_a_service_tells_what_it_reads(services: StandIns, registry: RunningRegistry) -> None:
    await services.beat("site2", "syncer", kinds=ALL, contract=7)
    await services.settled()
    [found] = [
        item
        for item in await items(registry.admin, "/v1/services", ServiceView)
        if (item.place, item.service) == ("site2", "syncer")
    ]
    assert (found.kinds, found.contract, found.version) == (ALL, 7, "1")


async def test_a_request_for_what_a_place_doesn_t_deliver_to_is_refused_with_what_it_does(
    services: StandIns, bus: Bus
) -> None:
    body = a_body(targets=[{**HOST, "site": "site2"}])
    await services.beat("site2", "syncer", kinds=("kubernetes", "vault"))
    await services.settled()
    refused = faults(await services.asker.post("/v1/requests", json=body))
    assert refused == {
        "targets.0.kind": "can't be delivered at site2: its syncer delivers only to kubernetes, vault",
    }
    assert (await bus.asked(encoded(body))).fields == ["targets.0.kind"]
    await services.beat("site2", "syncer", kinds=())
    await services.settled()
    refused = faults(await services.asker.post("/v1/requests", json=body))
    assert refused["targets.0.kind"].endswith("delivers only to nothing")
    # One that says nothing of kinds is older than them.
    await services.beat("site2", "syncer", kinds=None)
    await services.settled()
    assert (await services.asker.post("/v1/requests", json=body)).status_code == 202


async def test_what_a_service_stopped_delivering_to_is_ordered_when_it_does_again(
    services: StandIns, bus: Bus, registry: RunningRegistry, deliverers: dict[str, Person]
) -> None:
    pods = {"kind": "kubernetes", "name": "pods", "site": "site2", "namespaces": ["web"], "secret": "tls"}
    files = {"kind": "files", "name": "disk", "site": "site2"}
    await services.beat("site2", "syncer", kinds=ALL)
    both = await services.requested(a_body(targets=[pods, files], endpoints=None, proof="none"))
    only = await services.requested(a_body(targets=[files], endpoints=None, proof="none"))
    await services.beat("site2", "syncer", kinds=("kubernetes",))
    for certificate in (both, only):
        await services.issue(certificate)
    await services.settled()

    async def ordered() -> list[list[str]]:
        await relayed(registry)
        found = []
        for certificate in (both, only):
            messages = await bus.messages("DEPLOY_site2", f"certs.deploy.site2.syncer.{certificate.id}")
            levels = await items(deliverers["site2-syncer"], "/v1/deployments", DeploymentOrdered)
            level = [item for item in levels if item.certificate_id == certificate.id]
            orders = [DeploymentOrdered.model_validate_json(message.data or b"") for message in messages]
            assert orders == level
            found.append([item.target.name for order in orders for item in order.placements])
        return found

    assert await ordered() == [["pods"], []]
    # The grid shows what is missing.
    assert [target.state for target in (await services.shown(only.name)).targets] == ["pending"]
    await services.beat("site2", "syncer", kinds=ALL)
    await services.settled()
    assert await ordered() == [["disk", "pods"], ["disk"]]
    # Told once more, nothing is ordered again.
    before = len(registry.process.rows("SELECT id FROM event"))
    await services.beat("site2", "syncer", kinds=ALL)
    await services.settled()
    assert len(registry.process.rows("SELECT id FROM event")) == before


async def test_a_service_that_says_its_kinds_for_the_first_time_gets_what_it_missed(
    services: StandIns, bus: Bus, registry: RunningRegistry
) -> None:
    """After it ran as an older one that said nothing, all was ordered from it already."""
    await services.beat("site2", "syncer", kinds=None)
    certificate = await services.requested(a_body(targets=[{**HOST, "site": "site2"}], endpoints=None, proof="none"))
    await services.issue(certificate)
    await services.settled()
    before = len(registry.process.rows("SELECT id FROM event"))
    await services.beat("site2", "syncer", kinds=ALL)
    await services.settled()
    assert len(registry.process.rows("SELECT id FROM event")) == before
    await relayed(registry)
    assert len(await bus.messages("DEPLOY_site2", f"certs.deploy.site2.syncer.{certificate.id}")) == 1
