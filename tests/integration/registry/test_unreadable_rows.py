"""Rows that something newer wrote, or that are damaged: they stop nothing, and nothing is done by them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from certcore.api import CertificateState, CertificateSummary, CertificateView, Role
from certcore.conditions import ConditionStatus, ConditionType, Health
from certcore.events import CsrWanted, DeploymentOrdered, EndpointsExpected
from tests.integration.registry.bodies import a_body
from tests.integration.registry.bus import Bus, eventually
from tests.integration.registry.reported import items
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

UNREADABLE: dict[str, Any] = {
    "a list": [],
    "a number": 7,
    "null": None,
    "a name of another kind": {"name": 7},
    "an end that is none": {"name": "x", "end_date": "soon"},
    "labels of another form": {"name": "x", "labels": ["a"]},
    "a target without a name": {"name": "x", "dns_names": ["x.example.org"], "targets": [{"kind": "files"}]},
    "a name that is none": {"name": "x", "dns_names": ["x.example.org", 7]},
}


@asynccontextmanager
async def stored(registry: RunningRegistry, name: str, **columns: object) -> AsyncIterator[None]:
    """Other values in a certificate's row, which gets its own back: many tests share the registry."""
    [row] = registry.process.rows("SELECT * FROM certificate WHERE name = ?", name)
    try:
        for column, value in columns.items():
            registry.process.change(f"UPDATE certificate SET {column} = ? WHERE name = ?", value, name)  # noqa: S608 # ours
        yield
    finally:
        for column in columns:
            registry.process.change(
                f"UPDATE certificate SET {column} = ? WHERE name = ?",  # noqa: S608 # ours
                row[column],
                name,
            )


async def everything_goes_on(services: StandIns, deliverers: dict[str, Person], other: CertificateView) -> None:
    """Lists, page, levels, and a report about another certificate."""
    registry = services.registry
    admin = registry.admin
    monitor = await registry.service("monitor", Role.MONITOR)
    names = {item.name for item in await items(admin, "/v1/certificates", CertificateSummary)}
    assert other.name in names
    assert (await admin.get("/v1/requests")).status_code == 200
    assert (await admin.get("/v1/sites")).status_code == 200
    page = await admin.get("/list")
    assert page.status_code == 200
    for person in deliverers.values():
        orders = await items(person, "/v1/deployments", DeploymentOrdered)
        assert not [order for order in orders if order.unreadable]
        await items(person, "/v1/csrs", CsrWanted)
    held = await items(deliverers["site1-syncer"], "/v1/deployments", DeploymentOrdered)
    assert other.id in {order.certificate_id for order in held}
    expected = await items(monitor, "/v1/expectations", EndpointsExpected)
    assert other.id in {item.certificate_id for item in expected}


@pytest.mark.parametrize("what", UNREADABLE)
async def test_an_intent_that_can_t_be_read_is_shown_as_such_and_stops_nobody(
    services: StandIns, registry: RunningRegistry, deliverers: dict[str, Person], what: str
) -> None:
    certificate, other = await services.requested(), await services.requested()
    await services.make_live(certificate)
    await services.make_live(other)
    async with stored(registry, certificate.name, spec=json.dumps(UNREADABLE[what])):
        shown = await services.shown(certificate.name)
        assert (shown.state, shown.health) == (CertificateState.LIVE, Health.UNKNOWN)
        assert "of the stored intent can't be read" in shown.health_reason
        [summary] = [
            item
            for item in await items(registry.admin, "/v1/certificates", CertificateSummary)
            if item.name == certificate.name
        ]
        assert (summary.health, summary.health_reason) == (Health.UNKNOWN, shown.health_reason)
        await everything_goes_on(services, deliverers, other)
        refused = await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
        assert (refused.status_code, "can't be read" in refused.json()["detail"]) == (409, True), refused.text
        # What is reported of it is kept.
        again = await services.requested()
        await services.make_live(again)
        assert (await services.shown(again.name)).health is Health.OK
    assert (await services.shown(certificate.name)).health is Health.OK


async def test_an_unknown_field_is_ignored(services: StandIns, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    issued = await services.make_live(certificate)
    [row] = registry.process.rows("SELECT spec FROM certificate WHERE id = ?", certificate.id)
    spec = json.loads(row["spec"])
    newer = {**spec, "colour": {"red": 1}, "exposure": "partner", "key_algorithm": "ml-dsa-44", "proof": "log"}
    newer["targets"] = [{**target, "weight": 7} for target in spec["targets"]]
    newer["endpoints"] = [{**endpoint, "sni": "x"} for endpoint in spec["endpoints"]]
    async with stored(registry, certificate.name, spec=json.dumps(newer)):
        shown = await services.shown(certificate.name)
        assert (shown.health, str(shown.exposure), str(shown.key_algorithm)) == (Health.OK, "partner", "ml-dsa-44")
        url = certificate.endpoints[0].url
        await services.served(certificate, url, 1, issued)
        await services.settled()
        assert (await services.shown(certificate.name)).health is Health.OK
        # What its kind knows of a target travels with the order, as it came.
        syncer = await registry.service("site1-syncer", Role.DELIVERER, site="site1", kind="syncer")
        [order] = [
            item
            for item in await items(syncer, "/v1/deployments", DeploymentOrdered)
            if item.certificate_id == certificate.id
        ]
        assert order.placements[0].target.fields == {"weight": 7}


async def test_a_state_that_nobody_knows_is_shown_as_it_is_and_nothing_is_done_by_it(
    services: StandIns, registry: RunningRegistry, deliverers: dict[str, Person], ben: Person
) -> None:
    body = a_body(exposure="public")
    request = (await services.asker.post("/v1/requests", json=body)).json()
    other, live = await services.requested(), await services.requested()
    await services.make_live(other)
    issued = await services.make_live(live)
    async with stored(registry, body["name"], state="suspended"), stored(registry, live.name, state="suspended"):
        for name in (body["name"], live.name):
            shown = await services.shown(name)
            assert (shown.state, shown.health) == ("suspended", Health.UNKNOWN)
            assert shown.health_reason == "its state suspended is not known to this version"
        assert "suspended" in (await registry.admin.get(f"/list?q={live.name}")).text
        await everything_goes_on(services, deliverers, other)
        for step in ("approve", "deny"):
            refused = await ben.post(f"/v1/requests/{request['id']}/{step}", json={"reason": "now"})
            assert (refused.status_code, "suspended" in refused.json()["detail"]) == (409, True), refused.text
        refused = await services.asker.post(f"/v1/certificates/{live.name}/renew")
        assert (refused.status_code, "suspended" in refused.json()["detail"]) == (409, True), refused.text
        # A report is kept, and the state stays what it is.
        await services.served(live, live.endpoints[0].url, 1, issued)
        await services.settled()
        present = await services.shown(live.name)
        assert (present.state, present.health) == ("suspended", Health.UNKNOWN)
        served = next(item for item in present.conditions if item.type is ConditionType.SERVED)
        assert served.status is ConditionStatus.TRUE
    waiting = (await ben.get(f"/v1/requests/{request['id']}")).json()
    assert waiting["state"] == "waiting"


async def test_other_words_that_nobody_knows_stop_no_list(
    services: StandIns, registry: RunningRegistry, deliverers: dict[str, Person]
) -> None:
    certificate, other = await services.requested(), await services.requested()
    await services.make_live(certificate)
    await services.make_live(other)
    process = registry.process
    for statement, restored in (
        ("UPDATE request SET state = 'parked'", "UPDATE request SET state = 'approved'"),
        ("UPDATE endpoint SET verdict = 'haunted'", "UPDATE endpoint SET verdict = 'wanted'"),
        ("UPDATE placement SET action = 'mirror'", "UPDATE placement SET action = 'hold'"),
    ):
        where = " WHERE certificate_id = ?"
        process.change(statement + where, certificate.id)
        await everything_goes_on(services, deliverers, other)
        assert (await registry.admin.get(f"/v1/certificates/{certificate.name}")).status_code == 200
        process.change(restored + where, certificate.id)
    async with stored(registry, certificate.name, health="splendid", conditions='[{"type": 7}]'):
        await everything_goes_on(services, deliverers, other)
        assert (await services.shown(certificate.name)).health == "splendid"
    person = await registry.person("rolf", Role.VIEWER)
    process.change("""UPDATE token SET roles = '["viewer", "wizard"]' WHERE subject = 'rolf'""")
    assert (await person.get("/v1/sites")).status_code == 200
    process.change("""UPDATE token SET roles = '["wizard"]' WHERE subject = 'rolf'""")
    assert (await person.get("/v1/sites")).status_code == 403


async def test_the_sweeps_pass_over_what_they_can_t_read(mortal: RunningRegistry) -> None:
    async with Bus.connect(mortal.nats_url) as bus:
        services = await StandIns.start(mortal, bus)
        damaged, state = await services.requested(), await services.requested()
        for certificate in (damaged, state):
            await services.make_live(certificate)
        async with stored(mortal, damaged.name, spec="[]"), stored(mortal, state.name, state="suspended"):
            # Whatever the order of their ids: several.
            due = [await services.requested() for _ in range(3)]
            for certificate in due:
                await services.make_live(certificate, age=timedelta(days=25))

            async def renewing() -> bool:
                shown = [await services.shown(certificate.name) for certificate in due]
                return {certificate.state for certificate in shown} == {CertificateState.RENEWING}

            await eventually(renewing, what="all that is due is renewed")
        assert not [line for line in mortal.process.log_lines if "round_broke" in line]
