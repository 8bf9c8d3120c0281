"""The TLS Secrets of a cluster, as a review lists them: metadata and certificate, never the key."""

import asyncio
from typing import Final

from certcore.errors import InspectionError
from certcore.events import DiscoveredSecret
from certcore.inspection import X509Certificate, read_chain
from syncer.domain.origin import manager_of
from syncer.targets.kubernetes.api import ClusterApi
from syncer.targets.kubernetes.replies import PublicSecret

__all__ = ["discovered_secrets"]

_END: Final = b"-----END CERTIFICATE-----"


async def discovered_secrets(api: ClusterApi) -> list[DiscoveredSecret]:
    """List them.

    Raises:
        TransientError, PermanentError: the cluster can't be reached, or refuses listing.
    """
    found: list[DiscoveredSecret] = []
    async for page in api.list_tls_secrets():
        found += await asyncio.to_thread(_described_page, api.name, page)
    return found


def _described_page(cluster: str, page: tuple[PublicSecret, ...]) -> list[DiscoveredSecret]:
    return [_described(cluster, secret) for secret in page]


def _described(cluster: str, secret: PublicSecret) -> DiscoveredSecret:
    marks = secret.metadata.marks()
    leaf, problem = _leaf(secret.data.chain)
    return DiscoveredSecret(
        cluster=cluster,
        namespace=secret.metadata.namespace,
        secret=secret.metadata.name,
        manager=manager_of(marks),
        dns_names=leaf.dns_names if leaf else (),
        not_after=leaf.not_after if leaf else None,
        fingerprint_sha256=leaf.fingerprint_sha256 if leaf else None,
        problem=problem,
        certificate_id=marks.certificate_id,
    )


def _leaf(pem: bytes) -> tuple[X509Certificate | None, str | None]:
    try:
        return read_chain(pem)[0], None
    except InspectionError as error:
        problem = f"tls.crt: {error}"
    try:
        # Where only the chain behind it is broken, names and expiry can still be read from the leaf.
        return read_chain(pem[: pem.find(_END) + len(_END)])[0], problem
    except InspectionError:
        return None, problem
