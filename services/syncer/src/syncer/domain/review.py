"""A review of a site's TLS Secrets, and what of it a registry is told that has another."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from certcore.events import DiscoveredSecret
from certcore.review import SecretName, SiteReviewUpdate

__all__ = ["Name", "Review"]

_PART_BYTES: Final = 512 * 1024
"""The registry takes 4 MiB at once, and stores a part in one transaction: others write in between."""

_EVENT_BYTES: Final = 800 * 1024
"""The bus takes 1 MiB for body and headers together."""

_NAME_BYTES: Final = 100

Name = tuple[str, str, str]
"""Cluster, namespace and name of a Secret."""


@dataclass(frozen=True)
class Review:
    """`digests` and `sizes` are those of each Secret's JSON; `digest` is that of all, whatever their order."""

    secrets: Mapping[Name, DiscoveredSecret]
    unreachable: tuple[str, ...]
    digests: Mapping[Name, bytes]
    sizes: Mapping[Name, int]
    digest: str

    @classmethod
    def of(cls, secrets: Iterable[DiscoveredSecret], unreachable: Sequence[str]) -> Self:
        by_name = {(secret.cluster, secret.namespace, secret.secret): secret for secret in secrets}
        found: dict[Name, DiscoveredSecret] = {}
        digests: dict[Name, bytes] = {}
        sizes: dict[Name, int] = {}
        whole = hashlib.sha256(repr(sorted(unreachable)).encode())
        for name in sorted(by_name):
            found[name] = by_name[name]
            body = by_name[name].model_dump_json().encode()
            sizes[name] = len(body) + 1
            digests[name] = hashlib.sha256(body).digest()
            whole.update(digests[name])
        return cls(found, tuple(sorted(unreachable)), digests, sizes, whole.hexdigest())

    def since(self, base: Self) -> SiteReviewUpdate | None:
        """What changed since another review; None where that is too much for one update."""
        changed = [name for name in self.secrets if self.digests[name] != base.digests.get(name)]
        gone = [name for name in base.digests if name not in self.digests]
        if sum(self.sizes[name] for name in changed) + _NAME_BYTES * len(gone) > _PART_BYTES:
            return None
        return SiteReviewUpdate(
            digest=self.digest,
            base=base.digest,
            changed=tuple(self.secrets[name] for name in changed),
            gone=tuple(
                SecretName(cluster=cluster, namespace=namespace, secret=secret) for cluster, namespace, secret in gone
            ),
            unreachable=self.unreachable,
        )

    def whole(self) -> Iterator[SiteReviewUpdate]:
        """All of it, in parts; an empty one has one part."""
        part: list[DiscoveredSecret] = []
        size = 0
        for name, secret in self.secrets.items():
            if part and size + self.sizes[name] > _PART_BYTES:
                yield self._part(part, more=True)
                part, size = [], 0
            part.append(secret)
            size += self.sizes[name]
        yield self._part(part, more=False)

    @property
    def fits_an_event(self) -> bool:
        return sum(self.sizes.values()) <= _EVENT_BYTES

    def _part(self, secrets: Sequence[DiscoveredSecret], *, more: bool) -> SiteReviewUpdate:
        return SiteReviewUpdate(digest=self.digest, changed=tuple(secrets), unreachable=self.unreachable, more=more)
