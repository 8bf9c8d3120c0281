"""The two that answer the other services: the stand-in, and a running registry that holds the same."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certcore.api import CertificateView, Page, Role
from certcore.events import (
    AcceptedFingerprint,
    CsrOffered,
    DeploymentOrdered,
    EndpointExpected,
    EndpointsExpected,
    Event,
    IssueOrder,
    Recipient,
)
from certcore.intent import Target
from certcore.placements import PLATFORM
from certcore.sealing import RecipientKey
from tests.authority import Authority
from tests.integration.certbus.reporting_services import ReportingServices
from tests.integration.registry.toy_kinds import install
from tests.policies import TOY_PLACES, open_policy
from tests.registry_process import Person, RunningRegistry, running_registry
from tests.registry_standin import ISSUER_TOKEN, registry_standin
from tests.signing_requests import csr_pem

__all__ = ["CSR", "NAMES", "ORDERED_NAMES", "Served", "the_registry", "the_standin"]

EventT = TypeVar("EventT", bound=Event)

NAMES: Final = ("first", "second", "third")
ORDERED_NAMES: Final = ("ordered.example.org",)
CSR: Final = csr_pem(*ORDERED_NAMES)
"""That of the target `box`, which makes its own key."""
_UNKNOWN: Final = "a-token-that-nobody-has"
_DEADLINE_S: Final = 30.0


@dataclass(frozen=True)
class Served:
    """A registry that holds revision 1 of three certificates, each wanted at the target `disk` of site1.

    Of a fourth, revision 1 is ordered and not yet stored: in the platform's variant, sealed to site1's syncer, and
    in that of the target `box` by the request `CSR`. `ordered` is its path.

    `tokens` are those of site1's syncer and pusher, of the monitor and of the issuer, and one that nobody has.
    """

    url: str
    ordered: str
    tokens: Mapping[str, str]

    async def get(self, path: str, *, caller: str | None = "syncer", **query: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            return await client.get(path, headers=self._headers(caller), params=query)

    async def get_unless(self, known: str, path: str, *, caller: str) -> httpx.Response:
        """The answer to who has what these ETags are of."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            return await client.get(path, headers={**self._headers(caller), "if-none-match": known})

    async def put(self, path: str, body: bytes, *, caller: str | None = "issuer", **query: str) -> httpx.Response:
        headers = {**self._headers(caller), "content-type": "application/json"}
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            return await client.put(path, headers=headers, params=query, content=body)

    async def pages(
        self, path: str, model: type[EventT], *, caller: str = "syncer", **query: str
    ) -> list[tuple[EventT, ...]]:
        """Each page of a list, as far as `next` leads."""
        found: list[tuple[EventT, ...]] = []
        pages: type[Page[EventT]] = Page[model]  # type: ignore[valid-type] # pydantic makes a class of it
        while True:
            answer = await self.get(path, caller=caller, **query)
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == "application/json"
            assert answer.json().keys() == {"items", "next"}
            page = pages.model_validate_json(answer.content)
            assert page.unreadable == ()
            found.append(page.items)
            if page.next is None:
                return found
            query["after"] = page.next

    async def orders(self) -> dict[str, DeploymentOrdered]:
        pages = await self.pages("/v1/deployments", DeploymentOrdered)
        return {order.name: order for page in pages for order in page}

    async def wanted_csrs(self) -> list[object]:
        """The signing requests that site1's pusher should still offer."""
        items: list[object] = (await self.get("/v1/csrs", caller="pusher")).json()["items"]
        return items

    def _headers(self, caller: str | None) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens[caller]}"} if caller else {}


_POLICY: Final = open_policy(internal=["example.org"], public=["example.test"], places=TOY_PLACES)


@asynccontextmanager
async def the_standin() -> AsyncIterator[Served]:
    authority = Authority()
    recipient = RecipientKey("site1-syncer", X25519PrivateKey.generate())
    async with registry_standin() as standin:
        for name in NAMES:
            issued = authority.issue(f"{name}.example.org")
            standin.want(
                issued.chain_pem,
                issued.key_pem,
                certificate_id=f"c-{name}",
                name=name,
                revision=1,
                recipient=recipient,
                targets=[Target(name="disk", kind="files", site="site1")],
            )
            leaf = AcceptedFingerprint(revision=1, fingerprint_sha256=issued.fingerprint)
            standin.expectations[f"c-{name}"] = EndpointsExpected(
                certificate_id=f"c-{name}",
                name=name,
                owner="shop",
                generation=1,
                endpoints=(EndpointExpected(url=f"https://{name}.example.org", wanted=(leaf,)),),
            )
        for variant, csr in ((PLATFORM, None), ("box", CSR)):
            standin.issue_orders["c-ordered", 1, variant] = _ordered(variant, csr, recipient)
        tokens = dict.fromkeys(("syncer", "pusher", "monitor"), standin.token)
        yield Served(standin.url, "/v1/bundles/c-ordered/1", {**tokens, "issuer": ISSUER_TOKEN, "nobody": _UNKNOWN})


def _ordered(variant: str, csr: str | None, recipient: RecipientKey) -> IssueOrder:
    return IssueOrder(
        certificate_id="c-ordered",
        name="ordered",
        revision=1,
        dns_names=ORDERED_NAMES,
        exposure="internal",
        issuer=None,
        key_algorithm="ec-p256",
        approval_id="a-1",
        recipients=() if csr else (Recipient(name=recipient.name, public_key=recipient.public_key),),
        variant=variant,
        csr_pem=csr,
        owner="shop",
    )


@asynccontextmanager
async def the_registry(folder: Path) -> AsyncIterator[Served]:
    async with running_registry(plugins=install, policy=_POLICY) as running:
        ana = await running.person("ana", Role.REQUESTER)
        callers = {
            "syncer": await running.service("site1-syncer", Role.DELIVERER, site="site1", kind="syncer"),
            "pusher": await running.service("site1-pusher", Role.DELIVERER, site="site1", kind="pusher"),
            "monitor": await running.service("monitor", Role.MONITOR),
            "issuer": await running.service("issuer", Role.ISSUER),
        }
        tokens = {name: caller.token or "" for name, caller in callers.items()}
        token_file = folder / "issuer"
        token_file.write_text(tokens["issuer"])
        services = ReportingServices(
            nats_url=running.nats_url,
            registry_url=running.url,
            issuer_token_file=token_file,
            see=lambda name: _seen(running, name),
        )
        async with services:
            for name in NAMES:
                await _request(ana, name)
                await services.issue(_seen(running, name))
            await _request(ana, "ordered", {"kind": "appliance", "name": "box", "site": "site1"})
            ordered = _seen(running, "ordered").id
            served = Served(running.url, f"/v1/bundles/{ordered}/1", {**tokens, "nobody": _UNKNOWN})
            offer = CsrOffered(certificate_id=ordered, target="box", revision=1, variant="box", csr_pem=CSR)
            await services.report(offer, place="site1", service="pusher", about=ordered)
        async with asyncio.timeout(_DEADLINE_S):
            while len(await served.orders()) < len(NAMES) or await served.wanted_csrs():  # noqa: ASYNC110 # another process fills it
                await asyncio.sleep(0.05)
        yield served


async def _request(asker: Person, name: str, *more_targets: dict[str, str]) -> None:
    body = {
        "name": name,
        "dns_names": [f"{name}.example.org"],
        "exposure": "internal",
        "targets": [{"kind": "files", "name": "disk", "site": "site1"}, *more_targets],
        "endpoints": [{"url": f"https://{name}.example.org", "target": "disk"}],
    }
    created = await asker.post("/v1/requests", json=body)
    assert created.status_code == 202, created.text


def _seen(running: RunningRegistry, name: str) -> CertificateView:
    answer = httpx.get(f"{running.url}/v1/certificates/{name}", headers=running.admin.headers, trust_env=False)
    return CertificateView.model_validate_json(answer.raise_for_status().content)
