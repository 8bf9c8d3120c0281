"""What a kind of target must be able to do, and how it is found: see docs/adding-a-target.md."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from certcore.bundles import Bundle
from certcore.clock import Clock
from certcore.events import CsrWanted
from certcore.intent import Target
from certcore.targets import Capabilities
from certdelivery.model import Failure, Finding, Held, Wanted, Withdrawal

__all__ = ["AnyDriver", "CsrOffering", "Destinations", "DriverContext", "TargetDriver", "TargetPort"]

SettingsT = TypeVar("SettingsT", bound=BaseModel)


class TargetPort(Protocol):
    """One destination: a cluster, a store of files, a balancer, an account at a CDN.

    Every call is safe to repeat, at any time, and after a crash at any step of it. What fails is returned in the
    finding, never raised. What does not carry our own marks is never written and never removed. A reader of the
    destination sees the old pair of certificate and key or the new one, and nothing else. Of the calls that look at,
    write or withdraw a certificate, as many come at the same time as the driver says; those for one target of a
    certificate are made one after the other.

    Names and ids were checked as tokens; the fields of the target were not. Of two orders the higher generation
    counts: for a destination that holds a higher one than the wanted, return it (`Finding.newer`) and change nothing.
    Where the destination can't store a generation, the driver must.
    """

    @property
    def capabilities(self) -> Capabilities:
        """Who holds the key, whether an earlier revision can be put back, whether a delivery takes days."""

    async def refresh(self) -> None:
        """Drop cached state of copies that others may have changed since."""

    async def inspect(self, wanted: Wanted) -> Finding:
        """Compare what is there with what is wanted; nothing is changed at the destination."""

    def plan(self, wanted: Wanted, found: Finding) -> tuple[str, ...]:
        """The steps by which `deliver` would do the writes of this finding, one line each, for people. Pure."""

    async def deliver(self, wanted: Wanted, bundle: Bundle) -> Finding:
        """Make every copy hold the revision; one that holds it is not written again. What fails leaves the copy as
        it was before.
        """

    async def verify(self, wanted: Wanted) -> Finding:
        """Check whether the revision is active, where that can be checked: a proof of the destination itself, not of
        an endpoint. Empty where no fault was found.
        """

    async def roll_back(self, wanted: Wanted, reason: str) -> Held | None:
        """Put back what was held before `wanted`, after `verify` failed, and return it. None where there was nothing
        before (then nothing is left), where it can't be put back, or where `capabilities` exclude it.
        """

    async def withdraw(self, withdrawal: Withdrawal) -> Finding:
        """Remove what carries our marks of this certificate; what is gone already is no failure."""

    async def close(self) -> None:
        """Close connections."""


@runtime_checkable
class CsrOffering(Protocol):
    """In addition to TargetPort, for a kind whose target holds the key (`capabilities.key_holder`)."""

    async def offer(self, wanted: CsrWanted) -> str:
        """A signing request (PKCS #10, PEM) for these names; the same one for the same revision, until it expires.

        Raises:
            CertbusError: there is none now; the call is repeated later.
        """


@dataclass(frozen=True)
class Destinations:
    """Where a target is to be delivered. `failures` are for what it names and this place doesn't have."""

    found: tuple[str, ...]
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class DriverContext:
    """What a driver may use to build a destination."""

    place: str
    user_agent: str
    clock: Clock


class TargetDriver(Protocol, Generic[SettingsT]):
    """One kind of target, found by the entry point group `certbus.targets` under the name of its kind."""

    kind: str

    settings: type[SettingsT]
    """Of one destination; unknown settings are refused."""

    at_once: int
    """How many certificates one destination takes at the same time."""

    def destinations(self, target: Target, configured: Collection[str]) -> Destinations:
        """Which of the configured destinations the target names; those are served even where it also names others.
        Pure. Values that come from the target are checked here as tokens before they are used.
        """

    def build(self, name: str, settings: SettingsT, context: DriverContext) -> TargetPort:
        """Make one destination; nothing is connected yet."""


AnyDriver = TargetDriver[Any]
