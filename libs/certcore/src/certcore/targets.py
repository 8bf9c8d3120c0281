"""What a request may say about the places that must get a certificate.

A request names places; it never says how to reach them. Sockets, directories, credentials and reload commands
are settings of the site's own syncer or pusher.
"""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from certcore.names import KubernetesName, Label

__all__ = ["SERVICE_OF_KIND", "FilesTarget", "HaproxyTarget", "KubernetesTarget", "TargetSpec"]


class _Target(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Label = Field(description="Unique within the certificate; shown wherever the delivery is.")
    site: Label = Field(description="The site whose syncer or pusher carries the certificate there.")


class KubernetesTarget(_Target):
    """A Secret of type kubernetes.io/tls in each namespace, in each of the site's clusters that is named."""

    kind: Literal["kubernetes"] = "kubernetes"
    namespaces: Annotated[tuple[KubernetesName, ...], Field(min_length=1, max_length=1000)]
    secret: KubernetesName = Field(description="Name of the Secret.")
    clusters: tuple[Label, ...] = Field(default=(), description="Empty: every cluster of the site.")


class FilesTarget(_Target):
    """A directory of a host: `<store>/<certificate>/current/{tls.crt,tls.key,tls.pem}`."""

    kind: Literal["files"] = "files"
    store: Label = Field(default="default", description="One of the stores in the syncer's settings.")


class HaproxyTarget(_Target):
    """A certificate of a running HAProxy, on disk and in memory alike."""

    kind: Literal["haproxy"] = "haproxy"
    instance: Label = Field(default="default", description="One of the instances in the pusher's settings.")


TargetSpec: TypeAlias = Annotated[
    KubernetesTarget | FilesTarget | HaproxyTarget,
    Field(discriminator="kind"),
]

SERVICE_OF_KIND: Final = {"kubernetes": "syncer", "files": "syncer", "haproxy": "pusher"}
"""Which service of the site delivers to a target of this kind."""
