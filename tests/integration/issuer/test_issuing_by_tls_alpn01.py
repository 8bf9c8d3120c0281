"""The whole way by tls-alpn-01, with Pebble as the CA."""

from pathlib import Path

import pytest

from certcore.events import RevisionIssued
from certlocal.tools import Tell
from tests import servers
from tests.integration.issuer.bus_peer import an_order, bus_peer
from tests.integration.issuer.issuer_process import IssuerProcess, pebble_settings
from tests.registry_standin import registry_standin

pytestmark = pytest.mark.integration


async def test_a_ca_that_connects_finds_its_proof(tmp_path: Path, tell: Tell) -> None:
    async with (
        servers.broker(sites=servers.SITES) as broker,
        servers.pebble_ca(tell=tell) as pebble,
        registry_standin() as registry,
        bus_peer(broker.url) as peer,
    ):
        issuer = IssuerProcess(
            tmp_path,
            pebble,
            broker.url,
            registry.url,
            more_cas=tuple(pebble_settings(pebble, ("by-tls", ["tls-alpn-01"]))),
            more_solvers={"tls": {"kind": "tlsalpn01", "port": pebble.ca.tls_alpn01_port}},
        )
        try:
            await issuer.start()
            await peer.order(an_order("shop", "shop.example.org", "www.shop.example.org", cas=("by-tls",)))
            issued = (await peer.wait_for(RevisionIssued, certificate_ids=["shop"]))["shop"]
        finally:
            await issuer.stop()
    assert (issued.ca, issued.validation_method) == ("by-tls", "tls-alpn-01")
