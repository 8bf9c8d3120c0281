"""The kubernetes target against a real API server, with the rights of deploy/site and no others."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from certcore.events import DeliveryReason
from certdelivery.model import Finding, Held, Wanted, WriteReason
from syncer.targets.kubernetes.api import ClusterApi
from syncer.targets.kubernetes.cluster import KubernetesCluster
from tests.integration.syncer.cluster_access import ClusterAdmin, new_namespaces, token_of
from tests.issuing import CERTIFICATE_ID, Authority, Issued, kubernetes_target, wanted_for, withdrawal_of
from tests.patience import HANG_S
from tests.ports import free_port
from tests.servers import Kube

pytestmark = pytest.mark.integration

AUTHORITY = Authority()
OURS = {"app.kubernetes.io/managed-by": "certbus", "certbus.dev/certificate-id": CERTIFICATE_ID}


class Cluster:
    """One cluster as the syncer sees it, and the hands of its administrator."""

    def __init__(self, admin: ClusterAdmin, kubeconfig: Path) -> None:
        self.admin = admin
        self.kubeconfig = kubeconfig
        self.api = ClusterApi(name="blue", kubeconfig=kubeconfig, context=None, user_agent="certbus-test")
        self.target = KubernetesCluster(api=self.api)

    async def deliver(
        self, issued: Issued, generation: int, *namespaces: str, revision: int | None = None
    ) -> Finding:
        wanted = _wanted(issued, generation, *namespaces, revision=revision)
        return await self.target.deliver(wanted, issued.bundle(wanted.revision))


def _wanted(issued: Issued, generation: int, *namespaces: str, revision: int | None = None) -> Wanted:
    return wanted_for(issued, generation, kubernetes_target(*namespaces), revision=revision)


@asynccontextmanager
async def _cluster(kube: Kube, folder: Path, *namespaces: str, review: bool = True) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        server = kube.clusters[0].api
        admin = ClusterAdmin(server, await stack.enter_async_context(server.client()))
        cluster = Cluster(admin, await admin.grant(folder, namespaces, review=review))
        stack.push_async_callback(cluster.target.close)
        yield cluster


def _reasons(finding: Finding) -> list[DeliveryReason]:
    return [failure.reason for failure in finding.failures]


async def test_one_write_carries_pair_type_and_origin_to_every_namespace(kube: Kube, tmp_path: Path) -> None:
    namespaces = new_namespaces(3)
    issued = AUTHORITY.issue()
    async with _cluster(kube, tmp_path, *namespaces) as cluster:
        finding = await cluster.deliver(issued, 1, *namespaces)
        assert finding == Finding(writes=(WriteReason.MISSING,) * 3)
        for namespace in namespaces:
            secret = await cluster.admin.secret(namespace)
            assert secret is not None
            assert secret.type == "kubernetes.io/tls"
            assert secret.fingerprint() == issued.leaf.fingerprint_sha256
            assert secret.labels == {
                "app.kubernetes.io/managed-by": "certbus",
                "certbus.dev/certificate-id": CERTIFICATE_ID,
                "certbus.dev/certificate": "shop",
                "certbus.dev/site": "site1",
            }
            assert secret.annotations["certbus.dev/generation"] == "1"
            assert secret.annotations["certbus.dev/revision"] == "1"
            assert secret.annotations["certbus.dev/fingerprint-sha256"] == issued.leaf.fingerprint_sha256
            assert set(secret.data) == {"tls.crt", "tls.key"}


async def test_what_is_right_is_not_written_again_by_this_process_nor_by_the_next(kube: Kube, tmp_path: Path) -> None:
    namespaces = new_namespaces(2)
    issued = AUTHORITY.issue()
    async with _cluster(kube, tmp_path, *namespaces) as cluster:
        await cluster.deliver(issued, 1, *namespaces)
        version = await cluster.admin.version()
        assert await cluster.deliver(issued, 1, *namespaces) == Finding()
        await cluster.target.refresh()
        assert await cluster.target.inspect(_wanted(issued, 1, *namespaces)) == Finding()
        async with _cluster(kube, tmp_path, *namespaces) as restarted:
            assert await restarted.target.inspect(_wanted(issued, 1, *namespaces)) == Finding()
            assert await restarted.deliver(issued, 1, *namespaces) == Finding()
        assert await cluster.admin.writes_since(version, namespaces) == []


async def test_a_rotation_is_one_write_for_each_copy_and_an_older_revision_is_none(
    kube: Kube, tmp_path: Path
) -> None:
    (namespace,) = new_namespaces(1)
    first, second = AUTHORITY.issue(), AUTHORITY.issue()
    async with _cluster(kube, tmp_path, namespace) as cluster:
        await cluster.deliver(first, 1, namespace)
        version = await cluster.admin.version()
        assert await cluster.deliver(second, 2, namespace) == Finding(writes=(WriteReason.OLDER,))
        held = Held(2, second.leaf.fingerprint_sha256, 2)
        assert await cluster.deliver(first, 1, namespace) == Finding(newer=held)
        secret = await cluster.admin.secret(namespace)
        assert secret is not None
        assert secret.fingerprint() == second.leaf.fingerprint_sha256
        assert await cluster.admin.writes_since(version, [namespace]) == [("MODIFIED", namespace)]


async def test_a_rollback_is_carried_out_and_a_stale_order_takes_it_not_back(kube: Kube, tmp_path: Path) -> None:
    (namespace,) = new_namespaces(1)
    first, second = AUTHORITY.issue(), AUTHORITY.issue()
    async with _cluster(kube, tmp_path, namespace) as cluster:
        await cluster.deliver(first, 2, namespace)
        await cluster.deliver(second, 3, namespace)
        done = await cluster.deliver(first, 4, namespace, revision=2)
        assert done == Finding(writes=(WriteReason.OLDER,))
        async with _cluster(kube, tmp_path, namespace) as restarted:
            held = Held(2, first.leaf.fingerprint_sha256, 4)
            assert await restarted.deliver(second, 3, namespace) == Finding(newer=held)
            assert await restarted.target.inspect(_wanted(first, 4, namespace, revision=2)) == Finding()
        secret = await cluster.admin.secret(namespace)
        assert secret is not None
        assert secret.fingerprint() == first.leaf.fingerprint_sha256
        assert secret.annotations["certbus.dev/generation"] == "4"


async def test_a_copy_from_before_there_were_generations_is_not_written_again(kube: Kube, tmp_path: Path) -> None:
    (namespace,) = new_namespaces(1)
    issued = AUTHORITY.issue()
    async with _cluster(kube, tmp_path, namespace) as cluster:
        await cluster.deliver(issued, 3, namespace)
        unknown = {"certbus.dev/generation": None, "certbus.dev/marks-sha256": None}
        await cluster.admin.edit_secret(namespace, {"metadata": {"annotations": unknown}})
        version = await cluster.admin.version()
        await cluster.target.refresh()
        assert await cluster.target.inspect(_wanted(issued, 3, namespace)) == Finding()
        assert await cluster.deliver(issued, 3, namespace) == Finding()
        assert await cluster.admin.writes_since(version, [namespace]) == []
        assert (await cluster.deliver(issued, 4, namespace, revision=3)).writes == (WriteReason.OLDER,)


async def test_a_withdrawal_removes_our_copies_and_leaves_what_is_a_stranger_s(kube: Kube, tmp_path: Path) -> None:
    namespaces = new_namespaces(3)
    issued = AUTHORITY.issue()
    withdrawal = withdrawal_of(2, kubernetes_target(*namespaces))
    async with _cluster(kube, tmp_path, *namespaces) as cluster:
        await cluster.deliver(issued, 1, *namespaces[:2])
        await cluster.deliver(issued, 3, namespaces[1])
        pair = {"tls.crt": issued.chain_pem, "tls.key": issued.key_pem}
        stranger = await cluster.admin.create_secret(namespaces[2], pair)
        held = Held(3, issued.leaf.fingerprint_sha256, 3)
        assert await cluster.target.withdraw(withdrawal) == Finding(writes=(WriteReason.WITHDRAWN,), newer=held)
        assert await cluster.admin.secret(namespaces[0]) is None
        assert await cluster.admin.secret(namespaces[1]) is not None
        assert await cluster.admin.secret(namespaces[2]) == stranger
        assert await cluster.target.withdraw(withdrawal) == Finding(newer=held)


@pytest.mark.parametrize("damage", ["deleted", "certificate", "key", "both", "revision", "generation", "mark"])
async def test_a_lost_or_edited_copy_is_found_after_a_refresh_and_mended(
    kube: Kube, tmp_path: Path, damage: str
) -> None:
    (namespace,) = new_namespaces(1)
    issued, other = AUTHORITY.issue(), AUTHORITY.issue()
    async with _cluster(kube, tmp_path, namespace) as cluster:
        await cluster.deliver(issued, 1, namespace)
        match damage:
            case "deleted":
                await cluster.admin.delete_secret(namespace)
            case "certificate":
                await cluster.admin.edit_data(namespace, {"tls.crt": other.chain_pem})
            case "key":
                await cluster.admin.edit_data(namespace, {"tls.key": other.key_pem})
            case "both":
                await cluster.admin.edit_data(namespace, {"tls.crt": other.chain_pem, "tls.key": other.key_pem})
            case "revision" | "generation":
                await cluster.admin.edit_secret(
                    namespace, {"metadata": {"annotations": {f"certbus.dev/{damage}": "77"}}}
                )
            case _:
                await cluster.admin.edit_secret(
                    namespace, {"metadata": {"labels": {"certbus.dev/certificate": "other"}}}
                )
        await cluster.target.refresh()
        expected = Finding(writes=(WriteReason.MISSING if damage == "deleted" else WriteReason.EDITED,))
        assert await cluster.target.inspect(_wanted(issued, 1, namespace)) == expected
        assert await cluster.deliver(issued, 1, namespace) == expected
        secret = await cluster.admin.secret(namespace)
        assert secret is not None
        assert secret.fingerprint() == issued.leaf.fingerprint_sha256
        assert secret.annotations["certbus.dev/revision"] == "1"
        await cluster.target.refresh()
        assert await cluster.target.inspect(_wanted(issued, 1, namespace)) == Finding()


async def test_a_copy_that_was_edited_since_it_was_seen_is_still_rotated(kube: Kube, tmp_path: Path) -> None:
    (namespace,) = new_namespaces(1)
    first, second, other = AUTHORITY.issue(), AUTHORITY.issue(), AUTHORITY.issue()
    async with _cluster(kube, tmp_path, namespace) as cluster:
        await cluster.deliver(first, 1, namespace)
        await cluster.admin.edit_data(namespace, {"tls.crt": other.chain_pem, "note": b"kept"})
        finding = await cluster.deliver(second, 2, namespace)
        assert finding.failures == ()
        secret = await cluster.admin.secret(namespace)
        assert secret is not None
        assert secret.fingerprint() == second.leaf.fingerprint_sha256
        assert secret.data["note"] == b"kept"


async def test_a_stranger_s_secret_is_left_alone_and_the_other_namespaces_are_served(
    kube: Kube, tmp_path: Path
) -> None:
    namespaces = new_namespaces(6)
    issued, foreign = AUTHORITY.issue(), AUTHORITY.issue()
    pair = {"tls.crt": foreign.chain_pem, "tls.key": foreign.key_pem}
    async with _cluster(kube, tmp_path, *namespaces) as cluster:
        admin = cluster.admin
        strangers = [
            await admin.create_secret(namespaces[0], pair),
            # The very pair that would be delivered, by a stranger under our own field manager's name.
            await admin.create_secret(
                namespaces[1], {"tls.crt": issued.chain_pem, "tls.key": issued.key_pem}, manager="certbus"
            ),
            await admin.create_secret(namespaces[2], {"password": b"x"}, kind="Opaque", labels=OURS),
            await admin.create_secret(namespaces[3], pair, labels={**OURS, "certbus.dev/certificate-id": "crt-9"}),
            await admin.create_secret(
                namespaces[4], pair, labels=OURS, annotations={"cert-manager.io/certificate-name": "shop"}
            ),
        ]
        for finding in (
            await cluster.target.inspect(_wanted(issued, 1, *namespaces)),
            await cluster.deliver(issued, 1, *namespaces),
        ):
            assert _reasons(finding) == [DeliveryReason.CONFLICT] * 5
            assert finding.writes == (WriteReason.MISSING,)
        details = [failure.detail for failure in finding.failures]
        assert f"blue/{namespaces[0]}/shop-tls: is not certbus's, kept by helm" in details
        assert any("cert-manager Certificate shop" in detail for detail in details)
        for namespace, before in zip(namespaces, strangers, strict=False):
            assert await admin.secret(namespace) == before
        served = await admin.secret(namespaces[5])
        assert served is not None
        assert served.fingerprint() == issued.leaf.fingerprint_sha256


async def test_a_stranger_that_takes_the_place_of_our_copy_is_not_overwritten(kube: Kube, tmp_path: Path) -> None:
    (namespace,) = new_namespaces(1)
    first, second, foreign = AUTHORITY.issue(), AUTHORITY.issue(), AUTHORITY.issue()
    async with _cluster(kube, tmp_path, namespace) as cluster:
        await cluster.deliver(first, 1, namespace)
        # No refresh: the target still remembers its own copy.
        await cluster.admin.delete_secret(namespace)
        before = await cluster.admin.create_secret(
            namespace, {"tls.crt": foreign.chain_pem, "tls.key": foreign.key_pem}
        )
        assert _reasons(await cluster.deliver(second, 2, namespace)) == [DeliveryReason.CONFLICT]
        assert await cluster.admin.secret(namespace) == before


async def test_namespaces_that_refuse_are_named_and_the_others_go_on(kube: Kube, tmp_path: Path) -> None:
    present, terminating, forbidden, missing = new_namespaces(4)
    issued = AUTHORITY.issue()
    async with _cluster(kube, tmp_path, present, terminating) as cluster:
        await cluster.admin.create_namespaces([forbidden])
        await cluster.admin.delete_namespace(terminating)
        finding = await cluster.deliver(issued, 1, terminating, forbidden, missing, present)
        assert finding.writes == (WriteReason.MISSING,)
        assert _reasons(finding) == [DeliveryReason.REFUSED] * 3
        by_namespace = {failure.detail.split("/")[1]: failure.detail for failure in finding.failures}
        assert "being terminated" in by_namespace[terminating]
        assert "forbidden" in by_namespace[forbidden]
        assert set(by_namespace) == {terminating, forbidden, missing}
        assert await cluster.admin.secret(present) is not None
        assert not any("PRIVATE" in failure.detail for failure in finding.failures)


async def test_the_syncer_s_role_can_not_reach_elsewhere(kube: Kube, tmp_path: Path) -> None:
    (namespace,) = new_namespaces(1)
    async with _cluster(kube, tmp_path, namespace) as cluster:
        await cluster.deliver(AUTHORITY.issue(), 1, namespace)
        async with kube.clusters[0].api.client() as client:
            client.headers["authorization"] = f"Bearer {token_of(cluster.kubeconfig)}"
            own = f"/api/v1/namespaces/{namespace}/secrets/shop-tls"
            assert (await client.delete("/api/v1/namespaces/default/secrets/x")).status_code == 403
            assert (await client.delete(f"/api/v1/namespaces/{namespace}/secrets")).status_code == 403
            assert (await client.get("/api/v1/namespaces/default/secrets/x")).status_code == 403
            assert (await client.get("/api/v1/configmaps")).status_code == 403
            assert (await client.put(own, json={})).status_code in {400, 403}


async def test_without_the_right_to_list_repairs_still_happen(kube: Kube, tmp_path: Path) -> None:
    (namespace,) = new_namespaces(1)
    issued = AUTHORITY.issue()
    async with _cluster(kube, tmp_path, namespace) as cluster:
        await cluster.admin.revoke_review(cluster.kubeconfig)
        await cluster.deliver(issued, 1, namespace)
        await cluster.admin.delete_secret(namespace)
        await cluster.target.refresh()
        assert await cluster.target.inspect(_wanted(issued, 1, namespace)) == Finding(writes=(WriteReason.MISSING,))


def _kubeconfig(folder: Path, url: str) -> Path:
    config = {
        "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


async def _deliver_to(kubeconfig: Path, *namespaces: str) -> Finding:
    issued = AUTHORITY.issue()
    api = ClusterApi(name="blue", kubeconfig=kubeconfig, context=None, user_agent="certbus-test")
    target = KubernetesCluster(api=api)
    async with asyncio.timeout(HANG_S):
        finding = await target.deliver(_wanted(issued, 1, *namespaces), issued.bundle(1))
    await target.close()
    assert finding.writes == ()
    return finding


async def test_a_cluster_that_is_down_is_told_once_and_at_once(tmp_path: Path) -> None:
    kubeconfig = _kubeconfig(tmp_path, f"https://127.0.0.1:{free_port()}")
    assert _reasons(await _deliver_to(kubeconfig, *new_namespaces(200))) == [DeliveryReason.UNREACHABLE]


async def test_a_cluster_that_asks_for_time_is_left_alone_for_so_long(tmp_path: Path) -> None:
    asked = 0

    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 8\r\nConnection: close\r\n\r\nlater on"
        )
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(busy, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        finding = await _deliver_to(_kubeconfig(tmp_path, f"http://127.0.0.1:{port}"), *new_namespaces(200))
    assert [failure.retry_after for failure in finding.failures] == [timedelta(seconds=7)]
    assert asked <= 8


async def test_a_kubeconfig_that_can_not_be_used_is_told(tmp_path: Path) -> None:
    for text in ("", "{}", "{ no: yaml: at all", '{"current-context": "x", "contexts": []}'):
        (tmp_path / "kubeconfig").write_text(text)
        finding = await _deliver_to(tmp_path / "kubeconfig", "shop")
        assert _reasons(finding) == [DeliveryReason.UNREACHABLE], text
        assert "kubeconfig" in finding.failures[0].detail
    assert _reasons(await _deliver_to(tmp_path / "missing", "shop")) == [DeliveryReason.UNREACHABLE]


async def test_a_login_that_ended_is_renewed_from_the_kubeconfig(kube: Kube, tmp_path: Path) -> None:
    (namespace,) = new_namespaces(1)
    issued = AUTHORITY.issue()
    async with _cluster(kube, tmp_path, namespace) as cluster:
        good = cluster.kubeconfig.read_text()
        config = json.loads(good)
        config["users"][0]["user"]["token"] = "ended"
        cluster.kubeconfig.write_text(json.dumps(config))
        assert _reasons(await cluster.deliver(issued, 1, namespace)) == [DeliveryReason.UNREACHABLE]
        cluster.kubeconfig.write_text(good)
        assert await cluster.deliver(issued, 1, namespace) == Finding(writes=(WriteReason.MISSING,))
