import base64
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from certcore.errors import PermanentError
from syncer.targets.kubernetes.api import ClusterApi
from syncer.targets.kubernetes.review import discovered_secrets
from tests.integration.syncer.cluster_access import ClusterAdmin, new_namespaces
from tests.issuing import CERTIFICATE_ID, Authority
from tests.servers import Kube

pytestmark = pytest.mark.integration

AUTHORITY = Authority()
OURS = {"app.kubernetes.io/managed-by": "certbus", "certbus.dev/certificate-id": CERTIFICATE_ID}


async def test_a_review_tells_what_is_there_with_who_keeps_it_and_no_key(kube: Kube, tmp_path: Path) -> None:
    first, second = new_namespaces(2)
    issued, stranger = AUTHORITY.issue(["a.example.org", "b.example.org"]), AUTHORITY.issue()
    pair = {"tls.crt": issued.chain_pem, "tls.key": issued.key_pem}
    leaf_and_stranger = issued.chain_pem[: issued.chain_pem.find(b"-----BEGIN", 1)] + stranger.chain_pem
    async with AsyncExitStack() as stack:
        server = kube.clusters[0].api
        admin = ClusterAdmin(server, await stack.enter_async_context(server.client()))
        kubeconfig = await admin.grant(tmp_path, [first, second])
        marks: dict[str, dict[str, dict[str, str]]] = {
            "ours": {"labels": OURS},
            "theirs": {"annotations": {"cert-manager.io/certificate-name": "x"}},
            "charted": {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
            "synced": {"annotations": {"argocd.argoproj.io/tracking-id": "x:/Secret:a/b"}},
            "by-hand": {},
        }
        for name, how in marks.items():
            await admin.create_secret(
                first,
                pair,
                name=name,
                manager="kubectl",
                labels=how.get("labels"),
                annotations=how.get("annotations"),
            )
        await admin.create_secret(
            second, {"tls.crt": b"no certificate", "tls.key": issued.key_pem}, name="broken", manager="kubectl"
        )
        await admin.create_secret(
            second, {"tls.crt": leaf_and_stranger, "tls.key": issued.key_pem}, name="other-chain", manager="kubectl"
        )
        await admin.create_secret(second, {"password": b"x"}, name="no-tls", kind="Opaque")
        api = ClusterApi(name="blue", kubeconfig=kubeconfig, context=None, user_agent="certbus-test")
        stack.push_async_callback(api.close)
        found = [secret for secret in await discovered_secrets(api) if secret.namespace in {first, second}]

    by_name = {secret.secret: secret for secret in found}
    assert {name: secret.manager for name, secret in by_name.items()} == {
        "ours": "certbus",
        "theirs": "cert-manager",
        "charted": "helm",
        "synced": "argocd",
        "by-hand": "kubectl",
        "broken": "kubectl",
        "other-chain": "kubectl",
    }
    for name in (*marks, "other-chain"):
        assert by_name[name].dns_names == ("a.example.org", "b.example.org")
        assert by_name[name].fingerprint_sha256 == issued.leaf.fingerprint_sha256
        assert by_name[name].not_after == issued.leaf.not_after
    assert by_name["ours"].certificate_id == CERTIFICATE_ID
    assert by_name["theirs"].certificate_id is None
    assert by_name["ours"].problem is None
    assert by_name["broken"].not_after is None
    assert by_name["broken"].problem == "tls.crt: chain holds no certificate"
    assert "hang together" in (by_name["other-chain"].problem or "")
    told = "".join(secret.model_dump_json() for secret in found)
    key_body = issued.key_pem.splitlines()[1].decode()
    assert "PRIVATE KEY" not in told
    assert key_body not in told
    assert base64.b64encode(issued.key_pem).decode() not in told


async def test_a_list_of_several_pages_is_read_to_its_end(kube: Kube, tmp_path: Path) -> None:
    (namespace,) = new_namespaces(1)
    issued = AUTHORITY.issue()
    pair = {"tls.crt": issued.chain_pem, "tls.key": issued.key_pem}
    async with AsyncExitStack() as stack:
        server = kube.clusters[1].api
        admin = ClusterAdmin(server, await stack.enter_async_context(server.client()))
        kubeconfig = await admin.grant(tmp_path, [namespace])
        for number in range(7):
            await admin.create_secret(namespace, pair, name=f"s{number}", labels=OURS)
        api = ClusterApi(name="green", kubeconfig=kubeconfig, context=None, user_agent="certbus-test", page_size=2)
        stack.push_async_callback(api.close)
        found = [secret.secret for secret in await discovered_secrets(api) if secret.namespace == namespace]
        own = [metadata.name async for metadata in api.list_own_metadata() if metadata.namespace == namespace]
    assert sorted(found) == [f"s{number}" for number in range(7)]
    assert sorted(own) == sorted(found)


async def test_a_cluster_that_may_not_be_listed_is_an_error_and_no_empty_list(kube: Kube, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = kube.clusters[0].api
        admin = ClusterAdmin(server, await stack.enter_async_context(server.client()))
        kubeconfig = await admin.grant(tmp_path, [])
        await admin.revoke_review(kubeconfig)
        api = ClusterApi(name="blue", kubeconfig=kubeconfig, context=None, user_agent="certbus-test")
        stack.push_async_callback(api.close)
        with pytest.raises(PermanentError, match="forbidden"):
            await discovered_secrets(api)
