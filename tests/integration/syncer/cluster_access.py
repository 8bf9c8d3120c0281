"""What a site's administrator does in a cluster: applies the manifests of deploy/site and hands out the token."""

import asyncio
import base64
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from certcore.inspection import check_pair, read_chain
from certlocal.kube_servers import KubeApiServer
from tests.patience import HANG_S

MANIFESTS = Path(__file__).parents[3] / "deploy" / "site"
_PLURALS = {
    "Namespace": "/api/v1/namespaces",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
}


def new_namespaces(count: int) -> tuple[str, ...]:
    run = uuid.uuid4().hex[:8]
    return tuple(f"ns-{run}-{number}" for number in range(count))


@dataclass(frozen=True)
class SecretSeen:
    type: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    data: Mapping[str, bytes]
    resource_version: str

    def fingerprint(self) -> str:
        """Of the certificate, after the checks that an ingress makes of the pair."""
        chain = read_chain(self.data["tls.crt"])
        check_pair(chain, self.data["tls.key"])
        return chain[0].fingerprint_sha256


class ClusterAdmin:
    """The administrator's hands in one cluster."""

    def __init__(self, cluster: KubeApiServer, client: httpx.AsyncClient) -> None:
        self.name = cluster.name
        self._cluster = cluster
        self._client = client

    async def grant(self, folder: Path, namespaces: Iterable[str], *, review: bool = True) -> Path:
        """Apply the syncer's manifests, and write a kubeconfig with the token of its service account."""
        namespaces = tuple(namespaces)
        await self.create_namespaces(namespaces)
        for manifest in _manifests("rbac.yaml"):
            if review or not manifest["kind"].startswith("ClusterRole"):
                await self._apply(manifest, manifest["metadata"].get("namespace", ""))
        for namespace in namespaces:
            for manifest in _manifests("rbac-namespace.yaml"):
                await self._apply(manifest, namespace)
        token = await self._token()
        for namespace in namespaces:
            await self._until_answered(token, f"/api/v1/namespaces/{namespace}/secrets/none", 404)
        if review:
            await self._until_answered(token, "/api/v1/secrets?limit=1", 200)
        return self._kubeconfig(folder, token)

    async def grant_challenges(self, folder: Path, namespace: str) -> Path:
        """As `grant`, with the right to write answers to challenges, and no other."""
        await self.create_namespaces((namespace,))
        for manifest in _manifests("rbac.yaml"):
            if not manifest["kind"].startswith("ClusterRole"):
                await self._apply(manifest, manifest["metadata"].get("namespace", ""))
        for manifest in _manifests("rbac-challenges.yaml"):
            await self._apply(manifest, namespace)
        token = await self._token()
        await self._until_answered(token, f"/api/v1/namespaces/{namespace}/secrets/certbus-challenges", 200)
        return self._kubeconfig(folder, token)

    async def revoke_review(self, kubeconfig: Path) -> None:
        path = f"{_PLURALS['ClusterRoleBinding']}/certbus-syncer-review"
        (await self._client.delete(path)).raise_for_status()
        await self._until_answered(token_of(kubeconfig), "/api/v1/secrets?limit=1", 403)

    async def create_namespaces(self, names: Iterable[str]) -> None:
        await self._cluster.ensure_namespaces(names)

    async def delete_namespace(self, name: str) -> None:
        """No controller empties it here, so it stays terminating."""
        (await self._client.delete(f"/api/v1/namespaces/{name}")).raise_for_status()

    async def secret(self, namespace: str, name: str = "shop-tls") -> SecretSeen | None:
        reply = await self._client.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        if reply.status_code == 404:
            return None
        body = reply.raise_for_status().json()
        metadata = body["metadata"]
        return SecretSeen(
            type=body["type"],
            labels=metadata.get("labels", {}),
            annotations=metadata.get("annotations", {}),
            data={key: base64.b64decode(value) for key, value in body.get("data", {}).items()},
            resource_version=metadata["resourceVersion"],
        )

    async def create_secret(
        self,
        namespace: str,
        data: Mapping[str, bytes],
        *,
        name: str = "shop-tls",
        kind: str = "kubernetes.io/tls",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        manager: str = "helm",
    ) -> SecretSeen:
        body = {
            "metadata": {"name": name, "labels": labels or {}, "annotations": annotations or {}},
            "type": kind,
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
        path = f"/api/v1/namespaces/{namespace}/secrets"
        (await self._client.post(path, params={"fieldManager": manager}, json=body)).raise_for_status()
        made = await self.secret(namespace, name)
        assert made is not None
        return made

    async def edit_secret(self, namespace: str, patch: Mapping[str, object], *, name: str = "shop-tls") -> None:
        reply = await self._client.patch(
            f"/api/v1/namespaces/{namespace}/secrets/{name}",
            params={"fieldManager": "kubectl-edit"},
            headers={"content-type": "application/merge-patch+json"},
            content=json.dumps(patch),
        )
        reply.raise_for_status()

    async def edit_data(self, namespace: str, data: Mapping[str, bytes]) -> None:
        await self.edit_secret(
            namespace, {"data": {key: base64.b64encode(value).decode() for key, value in data.items()}}
        )

    async def delete_secret(self, namespace: str, name: str = "shop-tls") -> None:
        (await self._client.delete(f"/api/v1/namespaces/{namespace}/secrets/{name}")).raise_for_status()

    async def writes_since(self, resource_version: str, namespaces: Iterable[str]) -> list[tuple[str, str]]:
        """The changes of Secrets after a version: each `ADDED`, `MODIFIED` or `DELETED`, and its namespace."""
        query = {"watch": "1", "resourceVersion": resource_version, "timeoutSeconds": "1"}
        body = (await self._client.get("/api/v1/secrets", params=query)).raise_for_status().text
        changes = [json.loads(line) for line in body.splitlines()]
        changed = [(change["type"], change["object"]["metadata"]["namespace"]) for change in changes]
        return sorted(change for change in changed if change[1] in set(namespaces))

    async def version(self) -> str:
        """The cluster's present resource version."""
        reply = await self._client.get("/api/v1/secrets", params={"limit": "1"})
        return str(reply.raise_for_status().json()["metadata"]["resourceVersion"])

    async def _token(self) -> str:
        account = "/api/v1/namespaces/certbus/serviceaccounts/certbus-syncer/token"
        made = await self._client.post(account, json={"spec": {"expirationSeconds": 3600}})
        return str(made.raise_for_status().json()["status"]["token"])

    async def _apply(self, manifest: Mapping[str, Any], namespace: str) -> None:
        path = _PLURALS[manifest["kind"]].format(namespace=namespace)
        reply = await self._client.patch(
            f"{path}/{manifest['metadata']['name']}",
            params={"fieldManager": "kubectl", "force": "true"},
            headers={"content-type": "application/apply-patch+yaml"},
            content=json.dumps(manifest),
        )
        reply.raise_for_status()

    async def _until_answered(self, token: str, path: str, status: int) -> None:
        # The authoriser sees a changed role a moment after it was stored.
        headers = {"authorization": f"Bearer {token}"}
        async with asyncio.timeout(HANG_S):
            while (  # noqa: ASYNC110 # nothing tells of it
                await self._client.get(path, headers=headers)
            ).status_code != status:
                await asyncio.sleep(0.02)

    def _kubeconfig(self, folder: Path, token: str) -> Path:
        content = {
            "current-context": "syncer",
            "clusters": [
                {
                    "name": "c",
                    "cluster": {"server": self._cluster.server, "certificate-authority": str(self._cluster.ca_file)},
                }
            ],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "syncer", "context": {"cluster": "c", "user": "u"}}],
        }
        path = folder / f"{self.name}.kubeconfig"
        path.write_text(json.dumps(content))
        return path


def token_of(kubeconfig: Path) -> str:
    return str(json.loads(kubeconfig.read_text())["users"][0]["user"]["token"])


def _manifests(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((MANIFESTS / file).read_text()))
