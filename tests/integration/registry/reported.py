"""What was told about a certificate, and one that is wanted everywhere."""

from typing import Any, TypeVar

import httpx
from pydantic import BaseModel

from certcore import subjects
from certcore.api import CertificateView
from certcore.events import Event
from tests.integration.registry.bodies import Body, a_body
from tests.integration.registry.bus import Bus, eventually
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import Person, RunningRegistry

__all__ = ["DURABLE", "announced", "everywhere", "items", "relayed", "told"]

ModelT = TypeVar("ModelT", bound=BaseModel)

DURABLE = "registry"


def everywhere() -> Body:
    """Three targets of three services at two sites, each with an endpoint, and one endpoint that proves all."""
    body = a_body()
    host = body["dns_names"][0]
    return {
        **body,
        "targets": [
            {"kind": "files", "name": "host", "site": "site1"},
            {"kind": "haproxy", "name": "edge", "site": "site1"},
            {"kind": "kubernetes", "name": "pods", "site": "site2", "namespaces": ["web"], "secret": body["name"]},
        ],
        "endpoints": [
            {"url": f"https://{host}:8441", "target": "host"},
            {"url": f"https://{host}:8442", "target": "edge"},
            {"url": f"https://{host}:8443", "target": "pods"},
            {"url": f"https://{host}"},
        ],
    }


async def announced(bus: Bus, certificate: CertificateView) -> list[str]:
    """The names of the events that everyone was told about a certificate, in order, but for those of its health."""
    messages = await bus.messages("CERTS", f"certs.ev.*.{certificate.id}")
    names = [(message.subject or "").split(".")[2] for message in messages]
    return [name for name in names if name != "health_changed"]


async def told(services: StandIns, certificate: CertificateView, event: type[Event]) -> list[Any]:
    """Every event of a kind about a certificate, as the stream holds it."""
    await relayed(services.registry)
    subject = subjects.event(event.type, certificate.id)
    return [
        event.model_validate_json(message.data or b"") for message in await services.bus.messages("CERTS", subject)
    ]


async def relayed(registry: RunningRegistry) -> None:
    """Wait until everything that is stored was published."""

    async def look() -> bool:
        return not registry.process.rows("SELECT id FROM event WHERE sent_at IS NULL")

    await eventually(look, what="the outbox is empty")


async def items(person: Person, path: str, kind: type[ModelT], *, limit: int = 500) -> list[ModelT]:
    """A whole list, page by page."""
    found: list[ModelT] = []
    after: str | None = None
    while True:
        parameters: dict[str, str | int] = {"limit": limit, **({"after": after} if after else {})}
        response = await person.get(str(httpx.URL(path).copy_merge_params(parameters)))
        assert response.status_code == 200, response.text
        page = response.json()
        found += [kind.model_validate(item) for item in page["items"]]
        after = page["next"]
        if after is None:
            return found
