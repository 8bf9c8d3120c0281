"""Secrets of one cluster: server-side apply of what lacks a revision, and of nothing that isn't ours."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from certcore.bundles import Bundle
from certcore.errors import CertbusError, InspectionError
from certcore.events import DeliveryReason
from certcore.inspection import check_pair, read_chain
from certcore.targets import KubernetesTarget
from syncer.adapters.kubernetes_api import (
    ApplyConflictError,
    ClusterApi,
    RefusedError,
    ServerFailedError,
    UnreachableError,
)
from syncer.adapters.kubernetes_replies import Metadata, Secret
from syncer.domain.secret import (
    TLS_TYPE,
    Conflict,
    ExistingSecret,
    Keep,
    Pair,
    Write,
    annotations_for,
    judge,
    labels_for,
)
from syncer.domain.target import Failure, Finding, Wanted, WriteReason

__all__ = ["KubernetesCluster"]

log = structlog.get_logger()

_AT_ONCE: Final = 8
"""Namespaces in work for one certificate: the rest has not begun where the cluster turns out to be down."""

_PAIRS_KNOWN: Final = 1000

_TRIES: Final = 3
"""How often a Secret is read again that somebody changes at the same moment."""

_Part = WriteReason | Failure | None


class KubernetesCluster:
    """A Target. Each Secret that was found right is remembered with its resource version, without its key.

    A write names the version that it was decided by, so that it can only ever replace what was looked at: not what
    a stranger put there since, nor what a later write of ours did while this one was delayed on its way.
    """

    def __init__(self, *, api: ClusterApi) -> None:
        self._api = api
        self._seen: dict[tuple[str, str], ExistingSecret] = {}
        self._pairs: dict[bytes, Pair | None] = {}

    async def refresh(self) -> None:
        if not self._seen:
            return
        try:
            present = {
                (metadata.namespace, metadata.name): (metadata.uid, metadata.resource_version)
                async for metadata in self._api.list_own_metadata()
            }
        except CertbusError as error:
            # Not allowed to list, or cut off: each Secret is then read by itself.
            log.info("secrets_not_listed", cluster=self._api.name, error=str(error))
            present = {}
        self._seen = {
            key: seen for key, seen in self._seen.items() if present.get(key) == (seen.uid, seen.resource_version)
        }

    async def inspect(self, wanted: Wanted) -> Finding:
        async def look(namespace: str, secret: str) -> _Part:
            existing = await self._existing(namespace, secret)
            match judge(existing, wanted):
                case Write(reason):
                    return reason
                case Conflict(_, owner):
                    return self._conflict(namespace, secret, owner)
                case Keep():
                    return None

        return await self._each_namespace(wanted, look)

    async def deliver(self, wanted: Wanted, bundle: Bundle) -> Finding:
        async def bring(namespace: str, secret: str) -> _Part:
            return await self._bring(namespace, secret, wanted, bundle)

        return await self._each_namespace(wanted, bring)

    async def close(self) -> None:
        await self._api.close()

    async def _each_namespace(self, wanted: Wanted, work: Callable[[str, str], Awaitable[_Part]]) -> Finding:
        target = wanted.target
        if not isinstance(target, KubernetesTarget):
            raise TypeError(f"a cluster holds no target of kind {target.kind}")
        down: list[Failure] = []
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(namespace: str) -> _Part:
            try:
                async with slots:
                    return None if down else await work(namespace, target.secret)
            except UnreachableError as error:
                # The others would wait for the same silence.
                down.append(Failure(DeliveryReason.UNREACHABLE, str(error), error.retry_after))
                return None
            except (ServerFailedError, ApplyConflictError) as error:
                detail = self._named(namespace, target.secret, str(error))
                return Failure(DeliveryReason.UNREACHABLE, detail, error.retry_after)
            except RefusedError as error:
                return Failure(DeliveryReason.REFUSED, self._named(namespace, target.secret, str(error)))

        parts = await asyncio.gather(*(one(namespace) for namespace in dict.fromkeys(target.namespaces)))
        return Finding.of([*parts, *down[:1]])

    async def _bring(self, namespace: str, secret: str, wanted: Wanted, bundle: Bundle) -> _Part:
        for _ in range(_TRIES):
            existing = await self._existing(namespace, secret)
            match judge(existing, wanted):
                case Keep():
                    return None
                case Conflict(_, owner):
                    return self._conflict(namespace, secret, owner)
                case Write(reason):
                    if await self._write(namespace, secret, wanted, bundle, existing):
                        log.info(
                            "secret_applied",
                            cluster=self._api.name,
                            namespace=namespace,
                            secret=secret,
                            certificate=wanted.name,
                            revision=wanted.revision,
                            reason=str(reason),
                        )
                        return reason
        detail = self._named(namespace, secret, "is changed by somebody else again and again")
        return Failure(DeliveryReason.UNREACHABLE, detail)

    async def _write(
        self, namespace: str, secret: str, wanted: Wanted, bundle: Bundle, existing: ExistingSecret | None
    ) -> bool:
        """Apply; False where the Secret is no longer what it was judged by."""
        manifest = _manifest(secret, wanted, bundle, existing)
        try:
            metadata = await self._api.apply_secret(namespace, secret, manifest, force=False)
        except ApplyConflictError as error:
            self._seen.pop((namespace, secret), None)
            if existing is None or not error.managers:
                return False
            # It is ours by its marks, and somebody edited it: the fields are taken back.
            log.warning(
                "fields_taken_back",
                cluster=self._api.name,
                namespace=namespace,
                secret=secret,
                conflicts=error.managers,
            )
            try:
                metadata = await self._api.apply_secret(namespace, secret, manifest, force=True)
            except ApplyConflictError:
                return False
        self._seen[namespace, secret] = _applied(metadata, bundle)
        return True

    async def _existing(self, namespace: str, secret: str) -> ExistingSecret | None:
        seen = self._seen.get((namespace, secret))
        if seen is not None:
            return seen
        found = await self._api.read_secret(namespace, secret)
        if found is None:
            return None
        existing = self._facts(found)
        if existing.marks.certificate_id is not None:
            self._seen[namespace, secret] = existing
        return existing

    def _facts(self, secret: Secret) -> ExistingSecret:
        metadata = secret.metadata
        return ExistingSecret(
            type=secret.type,
            marks=metadata.marks(),
            pair=self._pair(secret.data.chain, secret.data.key),
            uid=metadata.uid,
            resource_version=metadata.resource_version,
        )

    def _pair(self, chain_pem: bytes, key_pem: bytes) -> Pair | None:
        # One pair lies in many namespaces: it is parsed once, and known again by its digest.
        digest = hashlib.sha256(chain_pem + b"\0" + key_pem).digest()
        if digest not in self._pairs:
            if len(self._pairs) >= _PAIRS_KNOWN:
                self._pairs.clear()
            self._pairs[digest] = _read_pair(chain_pem, key_pem)
        return self._pairs[digest]

    def _conflict(self, namespace: str, secret: str, owner: str) -> Failure:
        return Failure(DeliveryReason.CONFLICT, self._named(namespace, secret, owner))

    def _named(self, namespace: str, secret: str, what: str) -> str:
        return f"{self._api.name}/{namespace}/{secret}: {what}"


def _read_pair(chain_pem: bytes, key_pem: bytes) -> Pair | None:
    try:
        chain = read_chain(chain_pem)
    except InspectionError:
        return None
    try:
        check_pair(chain, key_pem)
        key_fits = True
    except InspectionError:
        key_fits = False
    leaf = chain[0]
    return Pair(leaf.fingerprint_sha256, leaf.not_after, _sha256(chain_pem), key_fits)


def _applied(metadata: Metadata, bundle: Bundle) -> ExistingSecret:
    leaf = bundle.leaf
    pair = Pair(leaf.fingerprint_sha256, leaf.not_after, _sha256(bundle.chain_pem), key_fits=True)
    return ExistingSecret(TLS_TYPE, metadata.marks(), pair, metadata.uid, metadata.resource_version)


def _manifest(secret: str, wanted: Wanted, bundle: Bundle, existing: ExistingSecret | None) -> dict[str, object]:
    metadata: dict[str, object] = {
        "name": secret,
        "labels": labels_for(wanted),
        "annotations": annotations_for(wanted, chain_sha256=_sha256(bundle.chain_pem)),
    }
    if existing is not None:
        metadata["resourceVersion"] = existing.resource_version
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": TLS_TYPE,
        "metadata": metadata,
        "data": {
            "tls.crt": base64.b64encode(bundle.chain_pem).decode(),
            "tls.key": base64.b64encode(bundle.key_pem).decode(),
        },
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
