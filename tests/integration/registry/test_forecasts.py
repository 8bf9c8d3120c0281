"""When orders could go under the CAs' limits, by what the issuer told of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from certcore.api import Role
from certcore.ca_limits.forecast import ForecastAnswer
from certcore.ca_limits.limit import LimitKind
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

HOUR = timedelta(hours=1)


def used(made_at: datetime, *, full_in: timedelta = 2 * HOUR) -> dict[str, Any]:
    """Of two orders in two hours so much is used that the bucket is full again after that time."""
    limit = {"kind": "new_orders", "count": 2, "period": "PT2H"}
    ca = {"name": "le", "directory_url": "https://ca.test/dir", "share": 1.0, "renewal_memory": "P1D"}
    bucket = {"scope": "le", "kind": "new_orders", "full_at": (made_at + full_in).isoformat()}
    return {"made_at": made_at.isoformat(), "cas": [{**ca, "limits": [limit]}], "buckets": [bucket]}


def asked(*cas: str) -> dict[str, Any]:
    return {"orders": [{"id": f"{n}", "ca": ca, "dns_names": ["a.example.org"]} for n, ca in enumerate(cas)]}


async def foreseen(person: Person, *cas: str) -> ForecastAnswer:
    answer = await person.post("/v1/forecasts", json=asked(*cas))
    assert answer.status_code == 200, answer.text
    return ForecastAnswer.model_validate_json(answer.content)


async def test_an_operator_foresees_by_the_newest_that_the_issuer_told(registry: RunningRegistry) -> None:
    issuer = await registry.service("issuer", Role.ISSUER)
    operator = await registry.person("olga", Role.OPERATOR)
    now = datetime.now(UTC)
    for made_at, full_in in ((now, 2 * HOUR), (now - HOUR, 9 * HOUR)):
        answer = await issuer.put("/v1/limits", json=used(made_at, full_in=full_in))
        assert answer.status_code == 204, answer.text
    found = await foreseen(operator, "le", "le", "nobody")
    assert found.limits_at == now
    first, second, nobody = found.orders
    assert (first.at, first.limit) == (now + HOUR, LimitKind.NEW_ORDERS)
    assert (second.at, second.limit) == (now + 2 * HOUR, LimitKind.NEW_ORDERS)
    assert (nobody.at, nobody.limit) == (None, None)
    # What is told next counts from then on.
    await issuer.put("/v1/limits", json={**used(now + timedelta(seconds=1)), "buckets": []})
    [free] = (await foreseen(operator, "le")).orders
    assert free.limit is None


async def test_what_cannot_be_is_refused(registry: RunningRegistry) -> None:
    issuer = await registry.service("issuer", Role.ISSUER)
    operator = await registry.person("olga", Role.OPERATOR)
    viewer = await registry.person("vic", Role.VIEWER, Role.REQUESTER)
    now = datetime.now(UTC)
    ahead = await issuer.put("/v1/limits", json=used(now + 2 * HOUR))
    assert (ahead.status_code, "ahead of the registry's" in ahead.json()["detail"]) == (409, True)
    assert (await viewer.post("/v1/forecasts", json=asked("le"))).status_code == 403
    assert (await operator.put("/v1/limits", json=used(now))).status_code == 403
    typo = {"orders": [{"id": "a", "ca": "le", "dns_name": ["a.example.org"]}]}
    assert (await operator.post("/v1/forecasts", json=typo)).status_code == 422
    # Limits that lead beyond the year 9999 are no fault of the registry's.
    slow = used(now)
    slow["cas"][0]["limits"][0] |= {"count": 1, "period": "P900000D"}
    assert (await issuer.put("/v1/limits", json={**slow, "made_at": (now + HOUR / 2).isoformat()})).status_code == 204
    beyond = await operator.post("/v1/forecasts", json=asked("le", "le", "le", "le", "le"))
    assert (beyond.status_code, "end of the calendar" in beyond.json()["detail"]) == (409, True)
