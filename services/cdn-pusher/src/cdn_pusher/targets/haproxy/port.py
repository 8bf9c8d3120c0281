"""One HAProxy as a destination of the engine."""

from collections.abc import Awaitable, Callable

import structlog

from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.domain.pem import normal_pem
from cdn_pusher.targets.haproxy.instance import HaproxyInstance
from cdn_pusher.targets.haproxy.proof import Proof
from certcore.bundles import Bundle
from certcore.errors import InspectionError
from certcore.events import DeliveryReason
from certcore.names import is_label
from certcore.targets import HAPROXY, Capabilities
from certdelivery.model import Failure, Finding, Held, Wanted, Withdrawal, WriteReason

__all__ = ["HaproxyPort"]

log = structlog.get_logger()


class HaproxyPort:
    """A TargetPort. Its file is named by the certificate: `<directory>/<certificate>.pem`."""

    def __init__(self, instance: HaproxyInstance, proof: Proof) -> None:
        self._instance = instance
        self._proof = proof

    @property
    def capabilities(self) -> Capabilities:
        return HAPROXY.capabilities

    async def refresh(self) -> None:
        """Nothing is cached: every inspection reads disk and memory."""

    async def inspect(self, wanted: Wanted) -> Finding:
        async def look(file: str) -> Finding:
            return Finding.of([(await self._instance.look(file, wanted)).part])

        return await self._guarded(wanted.name, look)

    def plan(self, wanted: Wanted, found: Finding) -> tuple[str, ...]:
        return tuple(
            f"push {wanted.name}.pem to the HAProxy {self._instance.name} ({reason})" for reason in found.writes
        )

    async def deliver(self, wanted: Wanted, bundle: Bundle) -> Finding:
        # The engine delivers no bundle without a key to a target that makes none.
        assert bundle.key_pem is not None
        try:
            pem = normal_pem(bundle.chain_pem, bundle.key_pem)
        except InspectionError as error:
            return Finding.failed(DeliveryReason.BUNDLE_INVALID, str(error))

        async def push(file: str) -> Finding:
            decision = await self._instance.push(file, pem, wanted)
            if isinstance(decision.part, WriteReason):
                log.info(
                    "certificate_pushed",
                    instance=self._instance.name,
                    certificate=wanted.name,
                    generation=wanted.generation,
                    revision=wanted.revision,
                    reason=str(decision.reason),
                )
            return Finding.of([decision.part])

        return await self._guarded(wanted.name, push)

    async def verify(self, wanted: Wanted) -> Finding:
        async def prove(file: str) -> Finding:
            await self._proof.prove(file)
            return Finding()

        return await self._guarded(wanted.name, prove)

    async def roll_back(self, wanted: Wanted, reason: str) -> Held | None:
        try:
            return await self._instance.put_back(
                f"{wanted.name}.pem", DeliveryError(DeliveryReason.NOT_SERVED, reason)
            )
        except DeliveryError as error:
            log.warning("not_put_back", instance=self._instance.name, certificate=wanted.name, problem=error.detail)
            return None

    async def withdraw(self, withdrawal: Withdrawal) -> Finding:
        async def remove(file: str) -> Finding:
            return Finding.of([await self._instance.remove(file, withdrawal)])

        return await self._guarded(withdrawal.name, remove)

    async def close(self) -> None:
        await self._proof.close()

    async def _guarded(self, name: str, work: Callable[[str], Awaitable[Finding]]) -> Finding:
        if not is_label(name):
            # It would become a path, and a word of a command.
            return Finding.failed(DeliveryReason.UNREADABLE_ORDER, f"{name!r:.80} is no name of a certificate")
        try:
            return await work(f"{name}.pem")
        except DeliveryError as error:
            detail = f"{self._instance.name}/{name}: {error.detail}"
            out = error.reason is DeliveryReason.UNREACHABLE
            return Finding(failures=(Failure(error.reason, detail, out=out),))
