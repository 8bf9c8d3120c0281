"""Secrets of one cluster: server-side apply where the revision is missing, never to a Secret that isn't ours."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from certcore.bundles import Bundle
from certcore.errors import CertbusError, InspectionError
from certcore.events import DeliveryReason, DiscoveredSecret
from certcore.inspection import check_pair, read_chain
from certcore.intent import Target
from certcore.targets import KUBERNETES, Capabilities
from certdelivery.model import Failure, Finding, Held, Wanted, Withdrawal, WriteReason
from syncer.domain.secret import (
    TLS_TYPE,
    Conflict,
    ExistingSecret,
    Keep,
    Pair,
    Remove,
    Write,
    annotations_for,
    judge,
    judge_withdrawal,
    labels_for,
)
from syncer.targets.kubernetes.api import (
    ApplyConflictError,
    ClusterApi,
    RefusedError,
    ServerFailedError,
    UnreachableError,
)
from syncer.targets.kubernetes.fields import read_fields
from syncer.targets.kubernetes.replies import Metadata, Secret
from syncer.targets.kubernetes.review import discovered_secrets

__all__ = ["KubernetesCluster"]

log = structlog.get_logger()

_AT_ONCE: Final = 8
"""Concurrent namespaces for one certificate: if the cluster is down, the others are not tried."""

_PAIRS_KNOWN: Final = 1000

_TRIES: Final = 3
"""How often a Secret is read again that is changed by others at the same time."""

_Part = WriteReason | Failure | Held | None


class KubernetesCluster:
    """A TargetPort. Each Secret that was found right is cached by its resource version, without its key.

    A write names the version that it was decided by, so that it replaces only what was inspected: not what
    others wrote since, nor what a later write of ours did while this one was delayed.
    """

    def __init__(self, *, api: ClusterApi) -> None:
        self._api = api
        self._seen: dict[tuple[str, str], ExistingSecret] = {}
        self._pairs: dict[bytes, Pair | None] = {}

    @property
    def capabilities(self) -> Capabilities:
        return KUBERNETES.capabilities

    async def discovered(self) -> list[DiscoveredSecret]:
        """The TLS Secrets of the cluster, whichever program manages them.

        Raises:
            TransientError, PermanentError: the cluster can't be reached, or doesn't let this site list.
        """
        return await discovered_secrets(self._api)

    async def refresh(self) -> None:
        if not self._seen:
            return
        try:
            present = {
                (metadata.namespace, metadata.name): (metadata.uid, metadata.resource_version)
                async for metadata in self._api.list_own_metadata()
            }
        except CertbusError as error:
            # Listing is not allowed, or the connection broke: each Secret is then read by itself.
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
                case Keep(_, newer):
                    return newer

        return await self._each_namespace(wanted.target, look)

    def plan(self, wanted: Wanted, found: Finding) -> tuple[str, ...]:
        secret = read_fields(wanted.target).secret
        return tuple(f"apply Secret {secret} in cluster {self._api.name} ({reason})" for reason in found.writes)

    async def deliver(self, wanted: Wanted, bundle: Bundle) -> Finding:
        async def bring(namespace: str, secret: str) -> _Part:
            return await self._bring(namespace, secret, wanted, bundle)

        return await self._each_namespace(wanted.target, bring)

    async def verify(self, wanted: Wanted) -> Finding:  # noqa: ARG002 # the protocol's
        """The API server serves what it stored; which programs read it isn't known here."""
        return Finding()

    async def roll_back(self, wanted: Wanted, reason: str) -> Held | None:  # noqa: ARG002 # the protocol's
        """A Secret holds no earlier pair: the registry has to order it again."""
        return None

    async def withdraw(self, withdrawal: Withdrawal) -> Finding:
        async def remove(namespace: str, secret: str) -> _Part:
            return await self._remove(namespace, secret, withdrawal)

        return await self._each_namespace(withdrawal.target, remove)

    async def close(self) -> None:
        await self._api.close()

    async def _each_namespace(self, target: Target, work: Callable[[str, str], Awaitable[_Part]]) -> Finding:
        fields = read_fields(target)
        down: list[Failure] = []
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(namespace: str) -> _Part:
            try:
                async with slots:
                    return None if down else await work(namespace, fields.secret)
            except UnreachableError as error:
                # The others would time out as well.
                down.append(Failure(DeliveryReason.UNREACHABLE, str(error), error.retry_after, out=True))
                return None
            except (ServerFailedError, ApplyConflictError) as error:
                detail = self._named(namespace, fields.secret, str(error))
                return Failure(DeliveryReason.UNREACHABLE, detail, error.retry_after)
            except RefusedError as error:
                return Failure(DeliveryReason.REFUSED, self._named(namespace, fields.secret, str(error)))

        parts = await asyncio.gather(*(one(namespace) for namespace in fields.namespaces))
        return Finding.of([*parts, *down[:1]])

    async def _bring(self, namespace: str, secret: str, wanted: Wanted, bundle: Bundle) -> _Part:
        for _ in range(_TRIES):
            existing = await self._existing(namespace, secret)
            match judge(existing, wanted):
                case Keep(_, newer):
                    return newer
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
                            generation=wanted.generation,
                            revision=wanted.revision,
                            reason=str(reason),
                        )
                        return reason
        detail = self._named(namespace, secret, "is changed by others at the same time, again and again")
        return Failure(DeliveryReason.UNREACHABLE, detail)

    async def _remove(self, namespace: str, secret: str, withdrawal: Withdrawal) -> _Part:
        for _ in range(_TRIES):
            self._seen.pop((namespace, secret), None)
            existing = await self._existing(namespace, secret)
            match judge_withdrawal(existing, withdrawal):
                case Keep(_, newer):
                    return newer
                case Remove():
                    assert existing is not None
            try:
                await self._api.delete_secret(
                    namespace, secret, uid=existing.uid, resource_version=existing.resource_version
                )
            except ApplyConflictError:
                continue
            self._seen.pop((namespace, secret), None)
            log.info(
                "secret_removed",
                cluster=self._api.name,
                namespace=namespace,
                secret=secret,
                certificate=withdrawal.name,
                generation=withdrawal.generation,
            )
            return WriteReason.WITHDRAWN
        detail = self._named(namespace, secret, "is changed by others at the same time, again and again")
        return Failure(DeliveryReason.UNREACHABLE, detail)

    async def _write(
        self, namespace: str, secret: str, wanted: Wanted, bundle: Bundle, existing: ExistingSecret | None
    ) -> bool:
        """Apply; False where the Secret was changed since it was read."""
        manifest = _manifest(secret, wanted, bundle, existing)
        try:
            metadata = await self._api.apply_secret(namespace, secret, manifest, force=False)
        except ApplyConflictError as error:
            self._seen.pop((namespace, secret), None)
            if existing is None or not error.managers:
                return False
            # It is ours by its marks, and was edited: our fields are restored.
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
        # The same pair is in many namespaces: it is parsed once, and recognised by its digest.
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
    # The engine delivers no bundle without a key to a target that makes none.
    assert bundle.key_pem is not None
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
