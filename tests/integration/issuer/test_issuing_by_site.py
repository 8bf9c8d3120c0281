"""The whole way by http-01 at two sites: registry, issuer, syncers, a real HAProxy, and Pebble, which asks that."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from certcore.api import CertificateView, Role
from certlocal.tools import Tell
from tests import servers
from tests.answer_servers import AnsweringHaproxy, answering_haproxy
from tests.integration.issuer.issuer_process import IssuerProcess
from tests.integration.issuer.scene import until
from tests.integration.registry.bodies import a_body
from tests.policies import open_policy
from tests.registry_process import RunningRegistry, running_registry
from tests.syncer_process import SyncerProcess

pytestmark = pytest.mark.integration

SITES = ("site1", "site2")


@dataclass(frozen=True)
class Line:
    registry: RunningRegistry
    issuer: IssuerProcess
    pebble: servers.Pebble
    haproxy: AnsweringHaproxy
    folder: Path
    at_balancer: SyncerProcess
    at_folder: SyncerProcess

    def waits(self) -> list[str]:
        """Why the job waited, each time that it did."""
        lines = self.issuer.process.log_path.read_text().splitlines()
        found: list[dict[str, Any]] = [json.loads(line) for line in lines if line.startswith("{")]
        return [str(line["detail"]) for line in found if line["event"] == "job_waits"]

    def challenges(self) -> dict[str, dict[str, Any]]:
        """What the registry has of the challenge, by site."""
        return {row["site"]: row for row in self.registry.process.rows("SELECT * FROM challenge")}

    def files(self) -> list[str]:
        return [file.name for file in self.folder.iterdir()]

    async def certificate(self, name: str) -> CertificateView:
        response = await self.registry.admin.get(f"/v1/certificates/{name}")
        return CertificateView.model_validate_json(response.content)


@pytest_asyncio.fixture
async def line(tmp_path: Path, tell: Tell) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(running_registry(policy=open_policy(cas=["by-http"])))
        pebble = await stack.enter_async_context(servers.pebble_ca(tell=tell))
        # Where Pebble asks, the site's balancer listens, and not the issuer.
        haproxy = await stack.enter_async_context(answering_haproxy(port=pebble.http01_port))
        folder = tmp_path / "served"
        folder.mkdir()
        at_balancer = await SyncerProcess.made(
            registry,
            tmp_path / "site1",
            site="site1",
            challenges={
                "edge": {
                    "kind": "haproxy_map",
                    "sockets": [str(haproxy.socket)],
                    "map": str(haproxy.map),
                    "check_urls": [haproxy.url],
                }
            },
        )
        at_folder = await SyncerProcess.made(
            registry, tmp_path / "site2", site="site2", challenges={"web": {"kind": "file", "folder": str(folder)}}
        )
        issuer = IssuerProcess(
            tmp_path,
            pebble,
            registry.nats_url,
            registry.url,
            more_solvers={"web": {"kind": "site", "sites": list(SITES)}},
            more_settings={"policy": {"internal": "by-http", "public": "by-http"}},
        )
        token = (await registry.service("issuer", Role.ISSUER)).token
        (tmp_path / "token").write_text(token or "")
        for process in (issuer.process, at_balancer.process, at_folder.process):
            stack.push_async_callback(process.stop)
        yield Line(registry, issuer, pebble, haproxy, folder, at_balancer, at_folder)


async def test_a_name_is_proven_by_its_sites_when_the_last_of_them_answers(line: Line) -> None:
    await line.at_balancer.start()
    await line.issuer.start()
    asker = await line.registry.person("asker", Role.REQUESTER)
    body = a_body("at-sites", endpoints=None, proof="none")
    assert (await asker.post("/v1/requests", json=body)).status_code == 202

    lacks = "site2 doesn't answer yet (its syncer was never heard) for at-sites.internal.example.test"
    await until(lambda: line.waits()[-1:] == [lacks], what="only the site that is away is waited for")
    shown = line.challenges()
    assert shown["site1"]["shown_at"] is not None
    assert (shown["site2"]["shown_at"], shown["site2"]["looked_at"]) == (None, None)

    # Its syncer dies, and the balancer forgets: what was shown comes back with the syncer.
    line.at_balancer.process.kill()
    await line.haproxy.server.reload()
    await line.at_balancer.start()
    await line.at_folder.start()

    rows = line.registry.process.rows
    await until(lambda: rows("SELECT 1 FROM revision WHERE number = 1 AND ca IS NOT NULL"), what="it is issued")
    found = (await line.certificate("at-sites")).revision
    assert found is not None
    assert (found.ca, found.validation_method) == ("by-http", "http-01")
    assert len(line.pebble.finalized_orders()) == 1

    await until(lambda: line.challenges() == {}, what="both sites said that it is removed")
    assert line.files() == []
    live = line.at_balancer.folder / "live" / "at-sites" / "current" / "tls.crt"
    await until(live.exists, what="the certificate is delivered")
