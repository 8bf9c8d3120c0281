"""The real servers, as the fixtures hand them out."""

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import nats
import pytest

from certkit.topology import topology
from certlocal.errors import ProcessFailedError
from certlocal.kube_servers import EtcdServer, KubeApiServer, secret_writer
from certlocal.ports import is_free
from certlocal.readiness import trusting
from certlocal.tools import ETCD, KUBE_APISERVER, Toolbox
from tests import servers
from tests.patience import HANG_S
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


async def test_haproxy_goes_on_serving_when_a_reload_is_refused(haproxy: Haproxies) -> None:
    port = free_port()
    server = await haproxy(_page(port, "before"))

    server.configuration_file.write_text("nonsense\n")
    with pytest.raises(ProcessFailedError, match="did not reload"):
        await server.reload()

    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).text == "before"


async def test_haproxy_says_why_it_does_not_start(haproxy: Haproxies) -> None:
    with pytest.raises(ProcessFailedError, match="unknown keyword 'nonsense'"):
        await haproxy("nonsense\n")


async def test_the_workers_of_haproxy_end_with_their_master(haproxy: Haproxies) -> None:
    port = free_port()
    server = await haproxy(_page(port, "here"))
    assert server.process.pid is not None

    # As the kernel does it where the one that started all of this was killed: the master alone.
    os.kill(server.process.pid, signal.SIGKILL)

    async with asyncio.timeout(HANG_S):
        while not is_free(port):  # noqa: ASYNC110 # nothing tells of the end of a grandchild
            await asyncio.sleep(0.02)


async def test_a_broker_keeps_its_streams_from_start_to_start() -> None:
    async with servers.broker(sites=SITES) as server:
        client = await nats.connect(server.url)
        await client.jetstream().publish("certs.ev.issued.c1", b"kept")
        await client.close()

        server.process.kill()
        await server.start()

        client = await nats.connect(server.url)
        try:
            assert (await client.jetstream().get_last_msg("CERTS", "certs.ev.issued.c1")).data == b"kept"
        finally:
            await client.close()


async def test_a_cluster_keeps_its_secrets_and_tokens_from_start_to_start(tmp_path: Path) -> None:
    toolbox = Toolbox(tell=print)
    etcd_program, api_program = toolbox.find(ETCD), toolbox.find(KUBE_APISERVER)
    ports = [free_port() for _ in range(3)]

    @asynccontextmanager
    async def started() -> AsyncIterator[KubeApiServer]:
        etcd = EtcdServer(program=etcd_program, folder=tmp_path, client_port=ports[0], peer_port=ports[1])
        cluster = KubeApiServer(
            program=api_program,
            name="site1",
            folder=tmp_path / "site1",
            port=ports[2],
            etcd_url=etcd.url,
            users=[secret_writer("site1-syncer")],
        )
        try:
            await etcd.start()
            await cluster.start()
            yield cluster
        finally:
            await cluster.stop()
            await etcd.stop()

    path = "/api/v1/namespaces/default/secrets"
    async with started() as cluster, cluster.client("site1-syncer") as client:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kept"}}
        assert (await client.post(path, json=secret)).status_code == 201
    token = cluster.token_of("site1-syncer")
    async with started() as cluster, cluster.client("site1-syncer") as client:
        assert cluster.token_of("site1-syncer") == token
        assert (await client.get(f"{path}/kept")).status_code == 200
