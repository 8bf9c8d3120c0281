"""What the services tell of themselves: readiness, metrics, alerts, and levels, as an outsider reads them."""

import asyncio
import re

import httpx

from certcore.alerts import AlertView
from certlocal.readiness import trusting
from certlocal.system import LocalSystem

__all__ = ["alerts", "broker_is_well", "level", "metric", "readiness"]


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


async def alerts(system: LocalSystem) -> list[AlertView]:
    """All alerts that the registry keeps, those that ended too.

    Raises:
        CommandError: the registry doesn't answer.
    """

    def ask() -> list[AlertView]:
        with system.connect() as registry:
            return list(registry.alerts())

    return await asyncio.to_thread(ask)


async def level(system: LocalSystem, path: str, *, person: str = "admin", **query: str) -> httpx.Response:
    """A page of the registry's API, as somebody."""
    headers = {"authorization": f"Bearer {system.home.token(person)}"}
    return await _get(system, f"{system.registry_url}{path}", headers=headers, params=query)


async def _get(
    system: LocalSystem, url: str, *, headers: dict[str, str] | None = None, params: dict[str, str] | None = None
) -> httpx.Response:
    async with httpx.AsyncClient(verify=trusting(system.ca_file), trust_env=False, timeout=10.0) as client:
        return await client.get(url, headers=headers, params=params)
