"""etcd and as many API servers as there are clusters on it: Kubernetes as far as an API client can tell.

No kubelet, no controllers: what is written stays as it was written.
"""

import asyncio
import csv
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certlocal.errors import LocalError
from certlocal.local_ca import LocalCa
from certlocal.private_file import write_private
from certlocal.process import ChildProcess
from certlocal.readiness import answers, trusting

__all__ = ["ADMIN", "ClusterUser", "EtcdServer", "KubeApiServer", "secret_writer"]

ADMIN: Final = "admin"
"""The user of group system:masters that each cluster has, for setting it up and for looking into it."""

_FIELD_MANAGER: Final = "certbus-local"


@dataclass(frozen=True)
class ClusterUser:
    """Somebody with a token, and with the rules of RBAC that he gets in the whole cluster."""

    name: str
    rules: tuple[dict[str, list[str]], ...]


def secret_writer(name: str) -> ClusterUser:
    """A user who may do with Secrets what a syncer must, look for namespaces, and nothing else."""
    return ClusterUser(
        name,
        (
            {
                "apiGroups": [""],
                "resources": ["secrets"],
                "verbs": ["get", "list", "watch", "create", "patch", "delete"],
            },
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
        ),
    )


class EtcdServer:
    def __init__(self, *, program: Path, folder: Path, client_port: int, peer_port: int) -> None:
        self.url = f"http://127.0.0.1:{client_port}"
        peer = f"http://127.0.0.1:{peer_port}"
        self.process = ChildProcess(
            name="etcd",
            argv=[
                str(program),
                "--name=local",
                f"--data-dir={folder / 'data'}",
                f"--listen-client-urls={self.url}",
                f"--advertise-client-urls={self.url}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=local={peer}",
                # What it holds is rebuilt by whoever wrote it; waiting for the disk would only cost time.
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
            log_path=folder / "etcd.log",
            ports=(client_port, peer_port),
        )

    async def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ProcessFailedError: it can't be started here.
        """
        self.process.start()
        await self.process.wait_ready(answers(f"{self.url}/readyz"))

    async def stop(self) -> None:
        await self.process.stop()


class KubeApiServer:
    """One cluster: RBAC, an admin, and users with just the rules that were given."""

    def __init__(
        self,
        *,
        program: Path,
        name: str,
        folder: Path,
        port: int,
        etcd_url: str,
        users: Sequence[ClusterUser],
    ) -> None:
        self.name = name
        self.server = f"https://127.0.0.1:{port}"
        self.ca_file = folder / "api" / "ca.pem"
        self.kubeconfig = folder / "admin.kubeconfig"
        self._folder = folder
        self._users = tuple(users)
        self._tokens_file = folder / "tokens.csv"
        key_file = folder / "service-account.key"
        self.process = ChildProcess(
            name=f"kube-apiserver {name}",
            argv=[
                str(program),
                f"--etcd-servers={etcd_url}",
                f"--etcd-prefix=/{name}",
                f"--secure-port={port}",
                "--bind-address=127.0.0.1",
                f"--cert-dir={folder / 'certificates'}",
                f"--tls-cert-file={folder / 'api' / 'server.pem'}",
                f"--tls-private-key-file={folder / 'api' / 'server.key'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={key_file}",
                f"--service-account-signing-key-file={key_file}",
                "--authorization-mode=RBAC",
                f"--token-auth-file={self._tokens_file}",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--disable-admission-plugins=ServiceAccount",
                "--endpoint-reconciler-type=none",
                "--profiling=false",
                "--v=0",
            ],
            log_path=folder / "kube-apiserver.log",
            ports=(port,),
        )
        self._key_file = key_file

    async def start(self) -> None:
        """Start it, wait until it serves with its own RBAC rules in place, and give each user his rules.

        Raises:
            ProcessFailedError: it can't be started here.
            LocalError: it refuses a user's rules.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        LocalCa(self._folder / "api").server("server")
        if not self._key_file.exists():
            _write_service_account_key(self._key_file)
        self._write_tokens()
        self.write_kubeconfig(ADMIN, self.kubeconfig)
        self.process.start()
        # Its readiness includes the hook that writes the default roles; etcd is included as well.
        await self.process.wait_ready(answers(f"{self.server}/readyz", ca_file=self.ca_file))
        await self._grant()

    async def stop(self) -> None:
        # Asked politely it drains for seconds, though nothing of it needs to: etcd has all of it.
        await self.process.stop(grace_s=0.0)

    def token_of(self, user: str) -> str:
        """The bearer token of a user.

        Raises:
            LocalError: there is no such user.
        """
        tokens = self._tokens()
        if user not in tokens:
            raise LocalError(f"cluster {self.name} has no user {user}")
        return tokens[user]

    def write_kubeconfig(self, user: str, path: Path) -> Path:
        """Write how this user reaches the cluster: JSON, which YAML's readers read as well. Its context is `name`."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": self.name,
            "clusters": [
                {"name": self.name, "cluster": {"server": self.server, "certificate-authority": str(self.ca_file)}}
            ],
            "users": [{"name": user, "user": {"token": self.token_of(user)}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": user}}],
        }
        write_private(path, (json.dumps(content, indent=2) + "\n").encode())
        return path

    def client(self, user: str = ADMIN) -> httpx.AsyncClient:
        """A plain client of its API; close it after use."""
        return httpx.AsyncClient(
            base_url=self.server,
            headers={"authorization": f"Bearer {self.token_of(user)}"},
            verify=trusting(self.ca_file),
            trust_env=False,
            timeout=10.0,
        )

    async def ensure_namespaces(self, names: Iterable[str]) -> None:
        """Create the namespaces that are missing.

        Raises:
            LocalError: the server refuses one.
        """
        async with self.client() as api:
            for name in names:
                namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                await _apply(api, f"/api/v1/namespaces/{name}", namespace)

    async def _grant(self) -> None:
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        async with self.client() as api:
            for user in self._users:
                metadata = {"name": f"certbus:{user.name}"}
                role = {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRole",
                    "metadata": metadata,
                    "rules": list(user.rules),
                }
                binding = {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRoleBinding",
                    "metadata": metadata,
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": "ClusterRole",
                        "name": metadata["name"],
                    },
                    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user.name}],
                }
                await _apply(api, f"{rbac}/clusterroles/{metadata['name']}", role)
                await _apply(api, f"{rbac}/clusterrolebindings/{metadata['name']}", binding)

    def _tokens(self) -> dict[str, str]:
        if not self._tokens_file.exists():
            return {}
        with self._tokens_file.open(newline="") as file:
            return {row[1]: row[0] for row in csv.reader(file) if row}

    def _write_tokens(self) -> None:
        known = self._tokens()
        lines = []
        for user in (ADMIN, *(user.name for user in self._users)):
            token = known.get(user) or secrets.token_urlsafe(32)
            group = ',"system:masters"' if user == ADMIN else ""
            lines.append(f"{token},{user},{user}{group}\n")
        write_private(self._tokens_file, "".join(lines).encode())


async def _apply(api: httpx.AsyncClient, path: str, resource: Mapping[str, object]) -> None:
    query = {"fieldManager": _FIELD_MANAGER, "force": "true"}
    headers = {"content-type": "application/apply-patch+yaml"}
    for wait_s in (0.1, 0.3, 1.0, 3.0, None):
        response = await api.patch(path, params=query, headers=headers, content=json.dumps(resource))
        if response.is_success:
            return
        # Just started, it may still lack a part that the call needs.
        if wait_s is None or response.status_code < 500:
            break
        await asyncio.sleep(wait_s)
    raise LocalError(f"{api.base_url}: apply {path}: {response.status_code} {response.text[:300]}")


def _write_service_account_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(path, pem)
