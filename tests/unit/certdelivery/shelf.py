"""A destination in memory, and the world around the engine, for tests of what the engine decides."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from certcore.bundles import Bundle, SealedBundle
from certcore.errors import PermanentError, TransientError
from certcore.events import CsrWanted, DeliveryReason, DeploymentOrdered, Event
from certcore.intent import Target
from certcore.sealing import RecipientKey
from certcore.targets import Capabilities
from certdelivery.engine import Engine
from certdelivery.model import Destination, Failure, Finding, Held, Wanted, Withdrawal, WriteReason
from certdelivery.reports import Reports
from certdelivery.target import Destinations, DriverContext, TargetPort
from certkit.registry_client import Listed
from tests.issuing import NOON, SITE, recipient_key


@dataclass
class Shelf:
    """Keeps what it is given, with its generation; fails as it is reported."""

    capabilities: Capabilities = field(default_factory=Capabilities)
    held: dict[str, Held] = field(default_factory=dict)
    before: dict[str, Held] = field(default_factory=dict)
    failing: list[Failure] = field(default_factory=list)
    unproven: list[Failure] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    async def refresh(self) -> None:
        self.done.append("refresh")

    async def inspect(self, wanted: Wanted) -> Finding:
        held = self.held.get(wanted.name)
        if held is None:
            return Finding.of([WriteReason.MISSING])
        if (held.order or 0) > wanted.generation:
            return Finding.of([held])
        right = held == Held(wanted.revision, wanted.fingerprint_sha256, wanted.generation)
        return Finding() if right else Finding.of([WriteReason.OLDER])

    def plan(self, wanted: Wanted, found: Finding) -> tuple[str, ...]:
        return tuple(f"put {wanted.name} on the shelf ({reason})" for reason in found.writes)

    async def deliver(self, wanted: Wanted, bundle: Bundle) -> Finding:
        assert bundle.leaf.fingerprint_sha256 == wanted.fingerprint_sha256
        self.done.append(f"deliver {wanted.generation}")
        if self.findings:
            return self.findings.pop(0)
        if self.failing:
            return Finding(failures=tuple(self.failing))
        found = await self.inspect(wanted)
        if found.writes:
            if wanted.name in self.held:
                self.before[wanted.name] = self.held[wanted.name]
            self.held[wanted.name] = Held(wanted.revision, wanted.fingerprint_sha256, wanted.generation)
        return found

    async def verify(self, wanted: Wanted) -> Finding:
        self.done.append(f"verify {wanted.generation}")
        return Finding(failures=tuple(self.unproven))

    async def roll_back(self, wanted: Wanted, reason: str) -> Held | None:
        self.done.append(f"roll back {wanted.generation}: {reason}")
        self.held.pop(wanted.name)
        if wanted.name not in self.before:
            return None
        self.held[wanted.name] = self.before.pop(wanted.name)
        return self.held[wanted.name]

    async def withdraw(self, withdrawal: Withdrawal) -> Finding:
        self.done.append(f"withdraw {withdrawal.generation}")
        held = self.held.get(withdrawal.name)
        if held is None:
            return Finding()
        if (held.order or 0) > withdrawal.generation:
            return Finding.of([held])
        del self.held[withdrawal.name]
        return Finding.of([WriteReason.WITHDRAWN])

    async def close(self) -> None:
        self.done.append("close")


class ShelfSettings(BaseModel):
    pass


class ShelfDriver:
    kind = "shelf"
    settings = ShelfSettings
    at_once = 2

    def destinations(self, target: Target, configured: Collection[str]) -> Destinations:
        asked = target.fields.get("shelves")
        if asked == "crash":
            raise ZeroDivisionError
        named = [str(name) for name in asked] if isinstance(asked, list) and asked else sorted(configured)
        missing = tuple(
            Failure(DeliveryReason.UNKNOWN_PLACE, f"no shelf {name}") for name in named if name not in configured
        )
        return Destinations(tuple(name for name in named if name in configured), missing)

    def build(self, name: str, settings: ShelfSettings, context: DriverContext) -> TargetPort:  # noqa: ARG002 # the protocol's
        return Shelf()


@dataclass
class World:
    """The registry as a level, and what it was reported. `broken`: a part of its list can't be read; it answers when
    `late` is set.
    """

    key: RecipientKey = field(default_factory=recipient_key)
    orders: list[DeploymentOrdered] = field(default_factory=list)
    csrs: list[CsrWanted] = field(default_factory=list)
    bundles: dict[tuple[str, int, str], SealedBundle] = field(default_factory=dict)
    reported: list[Event] = field(default_factory=list)
    fetched: list[int] = field(default_factory=list)
    away: bool = False
    broken: bool = False
    late: asyncio.Event | None = None
    patience_s: float = 10.0
    deaf: bool = False

    async def deployments(self) -> Listed[DeploymentOrdered]:
        if self.late is not None:
            await self.late.wait()
        if self.away:
            raise TransientError("the registry is away")
        return Listed(list(self.orders), complete=not self.broken)

    async def wanted_csrs(self) -> list[CsrWanted]:
        return list(self.csrs)

    async def fetch_bundle(self, certificate_id: str, revision: int, variant: str) -> SealedBundle:
        self.fetched.append(revision)
        if (certificate_id, revision, variant) not in self.bundles:
            raise PermanentError("404")
        return self.bundles[certificate_id, revision, variant]

    async def publish(self, event: Event, *, about: str) -> None:
        assert about
        if self.deaf:
            raise TransientError("no stream took it")
        self.reported.append(event)

    def engine(self, **shelves: Any) -> Engine:
        """A new process; the shelves outlive it."""
        drivers = {"shelf": ShelfDriver()}
        reports = Reports(self, place=SITE)
        return Engine(
            place=SITE,
            drivers=drivers,
            ports={Destination("shelf", name): shelf for name, shelf in shelves.items()},
            registry=self,
            key=self.key,
            reports=reports,
            tracer=TracerProvider().get_tracer("test"),
            metrics=CollectorRegistry(),
            clock=lambda: NOON,
            jitter=lambda: 0.0,
            patience_s=self.patience_s,
        )
