"""Every fault at random moments, in a seeded order, while certificates are asked for and renewed."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certcore.api import CertificateState, CertificateSummary
from certcore.identities import owner_identity
from tests.holds import broker
from tests.holds.alarm_watch import AlarmWatch, watching_alarms
from tests.holds.asking_on_the_bus import ask_on_the_bus
from tests.holds.disks import SmallDisk
from tests.holds.figures import Figure
from tests.holds.fleet import TEAMS, Fleet
from tests.holds.scenarios.faults import Faults
from tests.holds.scenarios.restored_copy import watching_delivered

__all__ = ["chaos"]

_ALARM_WITHIN_S = 120.0
_OWN = "registry_unreachable"


async def chaos(
    fleet: Fleet,
    disks: Mapping[str, SmallDisk],
    *,
    seed: int,
    seconds: float,
    longest_s: float = 30.0,
    every_s: float = 2.0,
    only: Callable[[str], bool] = lambda _: True,
) -> list[Figure]:
    """Faults for so many seconds, each kind before any comes again; `only` says which kinds by their names."""
    choice = random.Random(seed)
    faults = Faults(fleet, disks, choice, longest_s=longest_s)
    traffic = _Traffic(fleet, random.Random(seed + 1), every_s)
    began = time.monotonic()
    async with watching_alarms(fleet.system) as watch, watching_delivered(fleet) as older:
        async with faults.supervised(), traffic.going_on():
            count = await _strike(faults, watch, choice, began + seconds, only)
        struck = time.monotonic() - began
        settled = await _settle(fleet)
        await fleet.one_order_each()
        await watch.all_told(within_s=_ALARM_WITHIN_S)
    assert not older, f"an older revision over a newer one: {older}"
    assert not traffic.broken, traffic.broken
    assert not faults.supervisor.unsaid, faults.supervisor.unsaid
    return [
        Figure(
            f"{count} faults in {struck:.0f} s, {traffic.asked} requests and {traffic.renewed} renewals: all settled",
            settled,
        ),
        Figure("  faults without an alarm", len(watch.missing()), 0.0, unit=""),
        *watch.figures(_ALARM_WITHIN_S),
    ]


async def _strike(
    faults: Faults, watch: AlarmWatch, choice: random.Random, ends: float, only: Callable[[str], bool]
) -> int:
    kinds = {name: strike for name, strike in faults.kinds().items() if only(name)}
    count = 0
    while True:
        bag = sorted(kinds)
        choice.shuffle(bag)
        for name in bag:
            print(f"  {ends - time.monotonic():6.0f} s left: {name}", flush=True)
            await kinds[name](watch)
            count += 1
            await asyncio.sleep(choice.uniform(1.0, 6.0))
            if time.monotonic() > ends:
                return count


async def _settle(fleet: Fleet) -> float:
    """Each is live, or failing with a reason that is told and is the CA's: what waits for the registry was issued."""
    failing: dict[str, str] = {}

    def is_settled(item: CertificateSummary) -> bool:
        if item.state is CertificateState.FAILING and item.reason and _OWN not in item.reason:
            failing[item.name] = item.reason
            return True
        failing.pop(item.name, None)
        return item.state is CertificateState.LIVE

    took = await fleet.reached(fleet.names, is_settled, "settled", every_s=1.0)
    for name, reason in sorted(failing.items()):
        print(f"  {name} is failing: {reason}")
    return took


@dataclass
class _Traffic:
    """New requests and renewals, over the API and over the bus, as long as the block lasts."""

    fleet: Fleet
    choice: random.Random
    every_s: float
    asked: int = 0
    renewed: int = 0

    def __post_init__(self) -> None:
        self.broken: list[str] = []
        self._ending = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def going_on(self) -> "_Traffic":
        return self

    async def __aenter__(self) -> None:
        self._made = asyncio.create_task(self._make())

    async def __aexit__(self, *_: object) -> None:
        """What was begun is finished: a request that was accepted by then counts."""
        self._ending.set()
        await self._made
        for ended in await asyncio.gather(*self._running, return_exceptions=True):
            if isinstance(ended, BaseException):
                self.broken.append(repr(ended))

    async def _make(self) -> None:
        for number in itertools.count():
            if self._ending.is_set():
                return
            turn = (self._ask_api, self._renew, self._ask_bus)[number % 3]
            self._running.add(asyncio.create_task(turn(number)))
            await asyncio.sleep(self.choice.uniform(0.5, 1.5) * self.every_s)

    async def _ask_api(self, number: int) -> None:
        await self.fleet.request(f"meanwhile-{number}", team=self.choice.choice(TEAMS))
        self.asked += 1

    async def _ask_bus(self, number: int) -> None:
        team = self.choice.choice(TEAMS)
        async with broker.connected(self.fleet.system, owner_identity(team)) as bus:
            await ask_on_the_bus(self.fleet, bus, f"meanwhile-{number}", team=team)
        self.asked += 1

    async def _renew(self, _: int) -> None:
        if not self.fleet.names:
            return
        name = self.choice.choice(self.fleet.names)
        try:
            await self.fleet.ask("admin", lambda registry: registry.renew(name))
            self.renewed += 1
        except CommandError as error:
            # What has nothing issued yet can't be renewed.
            if error.exit_code is not ExitCode.INVALID:
                raise
