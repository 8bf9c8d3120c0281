"""What a request may say about the places that must get a certificate: the door's models, one for each kind.

A request names places; it never says how to reach them. Sockets, directories, credentials and reload commands are
settings of the place's own syncer or pusher. A kind from another package joins by the entry point group
`certbus.target_kinds`, see docs/adding-a-target.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from certcore.names import KubernetesName, Label

__all__ = [
    "FILES",
    "HAPROXY",
    "KUBERNETES",
    "Capabilities",
    "Claim",
    "FilesTarget",
    "HaproxyTarget",
    "KeyHolder",
    "KubernetesTarget",
    "TargetKind",
    "TargetKinds",
    "TargetRequest",
]


class KeyHolder(StrEnum):
    """Who makes the private key: the issuer, or the target itself, which then offers a signing request."""

    PLATFORM = "platform"
    TARGET = "target"


@dataclass(frozen=True)
class Capabilities:
    """`slow`: a delivery may take days, as where a vendor reviews it."""

    key_holder: KeyHolder = KeyHolder.PLATFORM
    rolls_back: bool = True
    slow: bool = False


@dataclass(frozen=True)
class Claim:
    """Two claims of one key clash where their parts are the same, or one of them is `*`: all parts."""

    key: str
    part: str = "*"

    def clashes(self, other: "Claim") -> bool:
        return self.key == other.key and (self.part == other.part or "*" in {self.part, other.part})


class TargetRequest(BaseModel):
    """The fields that every kind has. `site` is missing where the kind belongs to no site, as a CDN does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Label = Field(description="Unique within the certificate; shown wherever the delivery is.")
    kind: str
    site: Label | None = Field(
        default=None, description="The site whose syncer or pusher carries the certificate there."
    )

    @classmethod
    def place_fields(cls) -> tuple[str, ...]:
        """Names of what `place` tells: a policy has a pattern for each."""
        own = (name for name in cls.model_fields if name not in {"name", "kind", "site"})
        return (*(("site",) if cls.model_fields["site"].is_required() else ()), *own)

    def place(self) -> dict[str, tuple[str, ...]]:
        """Where the certificate goes, in words that policies are about. Each value is one that must be allowed."""
        return {name: _texts(getattr(self, name)) for name in self.place_fields()}

    def claims(self) -> tuple[Claim, ...]:
        """What no other certificate may be delivered to as well; nothing where the certificate's own name is a part
        of the place.
        """
        return ()


def _texts(value: object) -> tuple[str, ...]:
    """`*` for what is left open: only whoever may have all of it may leave it open."""
    if isinstance(value, tuple | list | set | frozenset):
        return tuple(str(item) for item in value) or ("*",)
    return ("*",) if value is None else (str(value),)


class _AtSite(TargetRequest):
    site: Label = Field(description="The site whose syncer or pusher carries the certificate there.")


class KubernetesTarget(_AtSite):
    """A Secret of type kubernetes.io/tls in each namespace, in each of the site's clusters that is named."""

    kind: Literal["kubernetes"] = "kubernetes"
    namespaces: Annotated[tuple[KubernetesName, ...], Field(min_length=1, max_length=1000)]
    secret: KubernetesName = Field(description="Name of the Secret.")
    clusters: tuple[Label, ...] = Field(default=(), description="Empty: every cluster of the site.")

    @classmethod
    def place_fields(cls) -> tuple[str, ...]:
        return ("site", "cluster", "namespace", "secret")

    def place(self) -> dict[str, tuple[str, ...]]:
        return {
            "site": (self.site,),
            "cluster": self.clusters or ("*",),
            "namespace": self.namespaces,
            "secret": (self.secret,),
        }

    def claims(self) -> tuple[Claim, ...]:
        """Each Secret, in each cluster."""
        return tuple(
            Claim(f"kubernetes/{self.site}/{namespace}/{self.secret}", cluster)
            for namespace in self.namespaces
            for cluster in self.clusters or ("*",)
        )


class FilesTarget(_AtSite):
    """A directory of a host: `<store>/<certificate>/current/{tls.crt,tls.key,tls.pem}`."""

    kind: Literal["files"] = "files"
    store: Label = Field(default="default", description="One of the stores in the syncer's settings.")


class HaproxyTarget(_AtSite):
    """A certificate of a running HAProxy, on disk and in memory alike."""

    kind: Literal["haproxy"] = "haproxy"
    instance: Label = Field(default="default", description="One of the instances in the pusher's settings.")


@dataclass(frozen=True)
class TargetKind:
    """One kind of target, as the registry knows it: what a request may say, and which service delivers there.

    `request` has a field `kind: Literal[…]` of this kind's name. Where `request` asks for no site, the kind's
    targets belong to the hub.
    """

    kind: str
    service: str
    request: type[TargetRequest]
    capabilities: Capabilities = Capabilities()

    @property
    def at_site(self) -> bool:
        return self.request.model_fields["site"].is_required()


KUBERNETES: Final = TargetKind("kubernetes", "syncer", KubernetesTarget)
FILES: Final = TargetKind("files", "syncer", FilesTarget)
HAPROXY: Final = TargetKind("haproxy", "pusher", HaproxyTarget)


class TargetKinds(Mapping[str, TargetKind]):
    """The kinds that an installation knows, by name."""

    def __init__(self, kinds: Iterable[TargetKind]) -> None:
        self._kinds = {kind.kind: kind for kind in kinds}

    def __getitem__(self, name: str) -> TargetKind:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._kinds)))


AnyTargetRequest = SerializeAsAny[TargetRequest]
"""A target of any kind: written with the fields of its own kind."""
