"""What the services tell of themselves: readiness, metrics, alerts, and levels, as an outsider reads them."""

import json
import re
from dataclasses import dataclass
from datetime import datetime

import httpx

from certlocal.readiness import trusting
from certlocal.system import LocalSystem

__all__ = ["ShownAlert", "alerts", "broker_is_well", "level", "metric", "readiness"]


@dataclass(frozen=True)
class ShownAlert:
    reason: str
    subject: str
    since: datetime


async def readiness(system: LocalSystem, service: str) -> tuple[int, str]:
    """The status and the body of /readyz; 0 where nobody answers."""
    try:
        response = await _get(system, f"{system.services[service].url}/readyz")
    except httpx.HTTPError as error:
        return 0, type(error).__name__
    return response.status_code, response.text


async def broker_is_well(system: LocalSystem) -> bool:
    """What the broker itself says of its JetStream: what a supervisor restarts it by."""
    try:
        return (await _get(system, f"{system.nats.monitor_url}/healthz")).status_code == 200
    except httpx.HTTPError:
        return False


async def metric(system: LocalSystem, service: str, name: str, labels: str = "") -> float:
    """The sum of a metric's samples whose labels hold this text."""
    text = (await _get(system, f"{system.services[service].url}/metrics")).text
    samples = re.findall(rf"^{re.escape(name)}(?:\{{([^}}]*)\}})? (\S+)", text, re.MULTILINE)
    assert samples, f"{service} has no metric {name}"
    return sum(float(value) for found, value in samples if labels in found)


async def alerts(system: LocalSystem) -> list[ShownAlert]:
    """All alerts that the registry keeps, those that ended too."""
    found: list[ShownAlert] = []
    after = ""
    while True:
        response = await level(system, "/v1/alerts", **({"after": after} if after else {}))
        page = json.loads(response.raise_for_status().text)
        found += [
            ShownAlert(item["reason"], item["subject"], datetime.fromisoformat(item["since"]))
            for item in page["items"]
        ]
        if not page["next"]:
            return found
        after = page["next"]


async def level(system: LocalSystem, path: str, *, person: str = "admin", **query: str) -> httpx.Response:
    """A page of the registry's API, as somebody."""
    headers = {"authorization": f"Bearer {system.home.token(person)}"}
    return await _get(system, f"{system.registry_url}{path}", headers=headers, params=query)


async def _get(
    system: LocalSystem, url: str, *, headers: dict[str, str] | None = None, params: dict[str, str] | None = None
) -> httpx.Response:
    async with httpx.AsyncClient(verify=trusting(system.ca_file), trust_env=False, timeout=10.0) as client:
        return await client.get(url, headers=headers, params=params)
