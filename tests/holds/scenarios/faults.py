"""The faults of a chaos run by name, each with the alarms that may tell it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from certcore import subjects
from certkit.background import end_tasks
from certlocal.process import ChildProcess
from certlocal.services import SITES
from tests.holds import broker
from tests.holds.alarm_watch import AlarmWatch, Fault
from tests.holds.disks import MIB, SmallDisk
from tests.holds.fleet import Fleet
from tests.holds.processes import frozen
from tests.holds.scenarios.full_disks import BrokerSupervisor

__all__ = ["Faults"]

Strike = Callable[[AlarmWatch], Awaitable[None]]

_BUS: Final = frozenset({"bus_unreachable", "bus_unhealthy", "service_restarted"})
_REGISTRY: Final = frozenset({"registry_unreachable", "registry_not_ready"})
_SERVICE: Final = frozenset({"service_silent", "service_not_ready", "service_restarted"})
_HALTED: Final = _SERVICE | {"service_stood_still"}
_STREAMS: Final = frozenset({"stream_lost", "lane_parked"})
_LITTLE_MIB: Final = 24


class Faults:
    """`longest_s` is the longest time for which something is frozen or full, two thirds of it the shortest."""

    def __init__(
        self, fleet: Fleet, disks: Mapping[str, SmallDisk], choice: random.Random, *, longest_s: float
    ) -> None:
        self._fleet = fleet
        self._system = fleet.system
        self._disks = disks
        self._choice = choice
        self._longest_s = longest_s
        self._broker_is_left_alone = False
        self.supervisor = BrokerSupervisor(fleet.system)

    def kinds(self) -> dict[str, Strike]:
        services = list(self._system.services)
        return {
            **{f"kill -9 {name}": partial(self._kill, name) for name in services},
            "kill -9 broker": self._kill_broker,
            **{f"SIGSTOP {name}": partial(self._freeze, name) for name in (*services, "broker")},
            "broker's store wiped": self._wipe,
            "broker's store rotten": self._rot,
            **{f"disk of {name} full": partial(self._fill, name) for name in self._disks},
        }

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """Restart a broker that says that it isn't well, unless it is just kept so; at the end mend everything."""

        async def supervise() -> None:
            while True:
                if not self._broker_is_left_alone:
                    await self.supervisor.look()
                await asyncio.sleep(1.0)

        supervising = asyncio.create_task(supervise())
        try:
            yield
            if supervising.done():
                supervising.result()
            for name in self._system.services:
                await self._system.ready(name)
        finally:
            await end_tasks([supervising])

    async def _kill(self, name: str, watch: AlarmWatch) -> None:
        reasons = _SERVICE | (_REGISTRY if name == "registry" else set())
        watch.begin(Fault(f"kill -9 {name}", reasons, _about(name)))
        await self._system.kill(name)

    async def _kill_broker(self, watch: AlarmWatch) -> None:
        async with self._left_alone():
            watch.begin(Fault("kill -9 broker", _BUS))
            broker.kill(self._system)
            await asyncio.sleep(self._choice.uniform(1.0, 5.0))
            await broker.start(self._system)

    async def _freeze(self, name: str, watch: AlarmWatch) -> None:
        process: ChildProcess
        if name == "broker":
            process, reasons, about = self._system.nats.process, _BUS, frozenset[str]()
        else:
            process, reasons, about = self._system.services[name].process, _HALTED, _about(name)
        if name == "registry":
            reasons |= _REGISTRY
        async with self._left_alone():
            seconds = self._seconds()
            watch.begin(Fault(f"SIGSTOP {name} for {seconds:.0f} s", reasons, about))
            with frozen(process):
                await asyncio.sleep(seconds)

    async def _wipe(self, watch: AlarmWatch) -> None:
        async with self._left_alone():
            watch.begin(Fault("broker's store wiped", _STREAMS))
            await broker.lose_store(self._system)
            await asyncio.sleep(self._choice.uniform(0.0, 5.0))
            await broker.declare_again(self._fleet)

    async def _rot(self, watch: AlarmWatch) -> None:
        async with self._left_alone():
            watch.begin(Fault("broker's store rotten", _STREAMS | _BUS))
            streams = (subjects.CERTS, *map(subjects.deploy_stream, SITES), *map(subjects.last_stream, SITES))
            print("    flipped: " + "; ".join(await broker.rot(self._system, self._choice.getrandbits(32), *streams)))
            await broker.declare_again(self._fleet)

    async def _fill(self, name: str, watch: AlarmWatch) -> None:
        disk = self._disks[name]
        reasons = _BUS | _STREAMS if name == "broker" else _SERVICE | (_REGISTRY if name == "registry" else set())
        async with self._left_alone():
            seconds = self._seconds()
            watch.begin(
                Fault(f"disk of {name} full for {seconds:.0f} s", reasons, _about(name) if name != "broker" else ())
            )
            roomy = disk.size()
            disk.resize(disk.used() + _LITTLE_MIB * MIB)
            disk.fill()
            await asyncio.sleep(seconds)
            disk.free()
            disk.resize(roomy)

    def _seconds(self) -> float:
        return self._choice.uniform(self._longest_s * 2 / 3, self._longest_s)

    @asynccontextmanager
    async def _left_alone(self) -> AsyncIterator[None]:
        self._broker_is_left_alone = True
        try:
            yield
        finally:
            self._broker_is_left_alone = False


def _about(name: str) -> frozenset[str]:
    """What the subject of an alarm about a service may hold: its identity, or place and service."""
    place, _, service = name.rpartition("-")
    return frozenset(
        {name, f"{place}/{service}", f"{service} at {place}", f"{service} of {place}"} if place else {name}
    )
