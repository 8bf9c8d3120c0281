"""The escrow isn't on the bus: it tells the registry itself that it lives, and is missed when it doesn't."""

from datetime import UTC, datetime

import pytest

from certcore.alerts import AlertView
from certcore.api import Role, ServiceView
from certcore.events import SiteHeartbeat
from certcore.identities import ESCROW, HUB
from tests.integration.registry.bus import eventually
from tests.integration.registry.reported import items
from tests.registry_process import RunningRegistry, running_registry

pytestmark = pytest.mark.integration

FIRST, SECOND = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC)


def body(started: datetime, **fields: object) -> dict[str, object]:
    own = SiteHeartbeat(site=HUB, service=ESCROW, version="1", contract=4, started=started)
    return own.model_copy(update=fields).model_dump(mode="json")


async def told(registry: RunningRegistry) -> set[tuple[str, str]]:
    found = await items(registry.admin, "/v1/alerts", AlertView)
    return {(alert.reason, alert.subject) for alert in found if alert.resolved_at is None}


async def test_a_restart_of_the_escrow_is_told_and_what_keeps_it_from_its_work() -> None:
    async with running_registry(watch_every_s=0.2) as registry:
        assert ("hub", "escrow") not in {
            (item.place, item.service) for item in await items(registry.admin, "/v1/services", ServiceView)
        }
        escrow = await registry.service("escrow", Role.ESCROW)
        for _ in range(2):
            assert (await escrow.post("/v1/heartbeats", json=body(FIRST))).status_code == 204
        # A read of its list says that it lives, and forgets nothing of what it said.
        assert (await escrow.get("/v1/reseals")).status_code == 200
        [seen] = [item for item in await items(registry.admin, "/v1/services", ServiceView) if item.service == ESCROW]
        assert (seen.place, seen.version, seen.silent) == (HUB, "1", False)
        assert ("service_restarted", "hub/escrow") not in await told(registry)
        assert (await escrow.post("/v1/heartbeats", json=body(SECOND))).status_code == 204

        async def restarted() -> bool:
            return ("service_restarted", "hub/escrow") in await told(registry)

        await eventually(restarted, what="the restart is told")
        assert ("service_stood_still", "hub/escrow") not in await told(registry)
        # An older escrow doesn't know the field.
        older = {name: value for name, value in body(SECOND).items() if name != "stood_still_s"}
        for beat in (body(SECOND, stood_still_s=29.0), older):
            assert (await escrow.post("/v1/heartbeats", json=beat)).status_code == 204

        async def stood_still() -> bool:
            return ("service_stood_still", "hub/escrow") in await told(registry)

        await eventually(stood_still, what="the standstill is told")


async def test_it_can_report_only_as_itself() -> None:
    async with running_registry() as registry:
        escrow = await registry.service("escrow", Role.ESCROW)
        refused = await escrow.post("/v1/heartbeats", json=body(FIRST, service="issuer"))
        assert refused.status_code == 403
        assert "can't report for issuer at hub" in refused.text
        assert (await registry.admin.post("/v1/heartbeats", json=body(FIRST))).status_code == 403
