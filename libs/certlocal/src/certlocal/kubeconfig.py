"""As much of a kubeconfig as a client with a token needs."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import Base64Str, BaseModel, ConfigDict, Field

from certlocal.errors import LocalError

__all__ = ["ClusterAccess", "read_kubeconfig"]


@dataclass(frozen=True)
class ClusterAccess:
    """Where a cluster is, whom to trust as it, and as whom to ask. Without `ca_pem` the system's roots count."""

    server: str
    ca_pem: str | None
    token: str = field(repr=False)

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.ca_pem)


class _Cluster(BaseModel):
    server: str
    ca_file: Path | None = Field(default=None, alias="certificate-authority")
    ca_data: Base64Str | None = Field(default=None, alias="certificate-authority-data")


class _User(BaseModel):
    token: str | None = Field(default=None, repr=False)
    token_file: Path | None = Field(default=None, alias="tokenFile")


class _Context(BaseModel):
    cluster: str
    user: str


class _NamedCluster(BaseModel):
    name: str
    cluster: _Cluster


class _NamedUser(BaseModel):
    name: str
    user: _User


class _NamedContext(BaseModel):
    name: str
    context: _Context


class _Kubeconfig(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    current_context: str | None = Field(default=None, alias="current-context")
    clusters: tuple[_NamedCluster, ...]
    users: tuple[_NamedUser, ...]
    contexts: tuple[_NamedContext, ...]


def read_kubeconfig(file: Path, context: str | None = None) -> ClusterAccess:
    """Read one context of a kubeconfig, by default its current one. Paths in it are relative to its folder.

    Raises:
        LocalError: it can't be read, lacks the context, or its user has no token.
    """
    try:
        config = _Kubeconfig.model_validate(yaml.safe_load(file.read_bytes()))
        name = context or config.current_context
        chosen = next(entry.context for entry in config.contexts if entry.name == name)
        cluster = next(entry.cluster for entry in config.clusters if entry.name == chosen.cluster)
        user = next(entry.user for entry in config.users if entry.name == chosen.user)
        token = user.token or ((file.parent / user.token_file).read_text() if user.token_file else "")
        ca_pem = cluster.ca_data or ((file.parent / cluster.ca_file).read_text() if cluster.ca_file else None)
    except StopIteration:
        raise LocalError(f"{file} has no context {context or 'of its own'} with a cluster and a user") from None
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise LocalError(f"{file} can't be read: {type(error).__name__}") from None
    if not token.strip():
        raise LocalError(f"{file}: user {chosen.user} has no token")
    return ClusterAccess(cluster.server, ca_pem, token.strip())
