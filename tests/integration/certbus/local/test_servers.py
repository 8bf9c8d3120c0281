"""The real servers, as the fixtures hand them out."""

import ssl

import httpx
import nats
import pytest

from certbus.local.readiness import trusting
from certcore.topology import topology
from tests.ports import free_port
from tests.servers import SITES, Haproxies, Kube, Pebble

pytestmark = pytest.mark.integration


async def test_a_broker_starts_without_streams(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    try:
        assert await client.jetstream().streams_info() == []
    finally:
        await client.close()


async def test_a_declared_bus_has_every_stream(declared_bus: str) -> None:
    client = await nats.connect(declared_bus)
    try:
        found = {info.config.name for info in await client.jetstream().streams_info()}
    finally:
        await client.close()

    assert found == {stream.name for stream in topology(SITES).streams}


async def test_pebble_serves_its_directory_to_who_trusts_its_ca(pebble: Pebble) -> None:
    async with httpx.AsyncClient(verify=trusting(pebble.ca_file), trust_env=False) as client:
        directory = (await client.get(pebble.directory_url)).json()

    assert "newOrder" in directory
    assert set(directory["meta"]["profiles"]) == {"default", "shortlived"}
    assert pebble.finalized_orders() == []


async def test_the_roots_of_every_start_of_pebble_are_kept(pebble: Pebble) -> None:
    await pebble.ca.stop()
    await pebble.ca.start()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(pebble.roots_file)
    assert len(context.get_ca_certs()) == 2


async def test_the_challenge_dns_takes_records(pebble: Pebble) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{pebble.challtestsrv_url}/set-txt", json={"host": "_acme-challenge.a.example.org.", "value": "v"}
        )

    assert answer.status_code == 200


async def test_clusters_keep_their_secrets_apart(kube: Kube) -> None:
    one, two = kube.clusters
    await one.api.ensure_namespaces(["apart"])
    await one.api.ensure_namespaces(["apart"])
    await two.api.ensure_namespaces(["apart"])
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}

    async with one.api.client("site1-syncer") as client:
        created = await client.post("/api/v1/namespaces/apart/secrets", json=secret)
    async with two.api.client("site1-syncer") as client:
        elsewhere = await client.get("/api/v1/namespaces/apart/secrets/s")

    assert (created.status_code, elsewhere.status_code) == (201, 404)


async def test_a_syncer_may_do_nothing_but_its_work(kube: Kube) -> None:
    (cluster, _) = kube.clusters
    async with cluster.api.client("site1-syncer") as client:
        refused = [
            await client.get("/api/v1/nodes"),
            await client.get("/api/v1/namespaces/default/configmaps"),
            await client.delete("/api/v1/namespaces/default"),
            await client.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", json={}),
            await client.delete("/api/v1/namespaces/default/secrets"),
        ]

    assert [answer.status_code for answer in refused] == [403] * 5


async def test_the_cluster_tells_its_pinned_version(kube: Kube) -> None:
    async with kube.clusters[0].api.client() as client:
        assert (await client.get("/version")).json()["gitVersion"] == "v1.37.2"


def _page(port: int, text: str) -> str:
    return f"""\
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend page
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string {text}
"""


async def test_a_reload_of_haproxy_serves_the_new_configuration(haproxy: Haproxies) -> None:
    port = free_port()
    server = await haproxy(_page(port, "before"))
    async with httpx.AsyncClient(trust_env=False) as client:
        before = (await client.get(f"http://127.0.0.1:{port}/")).text

    server.configuration_file.write_text(_page(port, "after"))
    await server.reload()

    async with httpx.AsyncClient(trust_env=False) as client:
        after = (await client.get(f"http://127.0.0.1:{port}/")).text
    assert (before, after) == ("before", "after")
