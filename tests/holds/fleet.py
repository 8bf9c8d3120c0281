"""Many certificates on one real system: asked for by several teams, served at two sites, counted at the CA."""

import asyncio
import sys
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from certbus.client import Registry
from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certcore.api import CertificateState, CertificateSummary, Role
from certcore.certificate import CertificateSpec
from certcore.conditions import Health
from certcore.tokens import TokenOrder
from certlocal.home import Home
from certlocal.ports import free_port
from certlocal.process import ChildProcess, Start, execute
from certlocal.services import INTERNAL_CA, PUBLIC_CA, SITES
from certlocal.system import LocalSystem
from tests.e2e.rounds import in_files
from tests.patience import HANG_S
from tests.policies import open_policy, policy_file

__all__ = ["TEAMS", "Fleet", "running_fleet"]

AnswerT = TypeVar("AnswerT")

TEAMS: Final = ("bank", "maps", "shop")
"""Each has a token at the API and an identity on the bus."""

_ROOT: Final = Path(__file__).parents[2]
_AT_ONCE: Final = 64
_TELL_EVERY_S: Final = 5.0
_LOOKS_PER_SECOND: Final = 20
"""The monitor's period is stretched so that it shakes hands about so often a second: it is not what is measured."""


@dataclass
class Fleet:
    """`sites` are those whose streams are declared; `names` are the certificates whose requests were accepted."""

    system: LocalSystem
    ports: Mapping[str, int]
    sites: list[str] = field(default_factory=lambda: list(SITES))
    names: list[str] = field(default_factory=list)
    clients: dict[str, "_Clients"] = field(default_factory=dict)

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────────

    async def ask(
        self, person: str, question: Callable[[Registry], AnswerT], *, patience_s: float = HANG_S
    ) -> AnswerT:
        """Ask the registry; while it can't be reached, again. Nobody waits for another person's questions."""
        clients = self.clients.setdefault(person, _Clients(self.system, person))
        deadline = time.monotonic() + patience_s
        while True:
            try:
                return await clients.ask(question)
            except CommandError as error:
                if error.exit_code is not ExitCode.UNREACHABLE or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.3)

    def spec(self, name: str, *sites: str) -> CertificateSpec:
        """An internal name in files of the sites; without them at one, each fifth certificate at both."""
        turn = zlib.crc32(name.encode()) % 5
        at = sites or ((SITES[turn % 2],) if turn else SITES)
        return in_files(name, host_of(name), {site: self.ports[site] for site in at})

    async def request(self, name: str, *sites: str, team: str = "shop") -> None:
        """Ask over the API until it is accepted; an answer that was lost is no second request."""
        spec = self.spec(name, *sites)
        try:
            await self.ask(team, lambda registry: registry.create_request(spec))
        except CommandError as error:
            if not any(fault == "name" for fault, _ in error.fields):
                raise
        self.names.append(name)

    async def request_all(self, names: Iterable[str], *, team: str = "shop") -> None:
        """Ask for all of them at once."""
        await asyncio.gather(*(self.request(name, team=team) for name in names))

    async def renew(self, names: Collection[str]) -> None:
        """Order the next revision of each, once."""
        numbers = {name: item.revision or 0 for name, item in (await self.states()).items()}

        async def one(name: str) -> None:
            # Answered as in progress where an answer was lost, or refused where it is live again by then.
            answer = await self.ask("admin", lambda registry: registry.renew(name))
            assert answer.revision in {numbers[name], numbers[name] + 1}, (name, answer)

        await asyncio.gather(*(one(name) for name in names))

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────

    async def states(self) -> dict[str, CertificateSummary]:
        """Every certificate, page by page."""
        found = await self.ask("admin", lambda registry: list(registry.certificates()))
        return {item.name: item for item in found}

    async def reached(
        self,
        names: Collection[str],
        done: Callable[[CertificateSummary], bool],
        what: str,
        *,
        every_s: float = 0.3,
        supervise: Callable[[], Awaitable[None]] | None = None,
    ) -> float:
        """Wait until each is done, however long that takes, while anything moves; after how many seconds it was.

        `supervise` is called before each look, as a supervisor looks after processes.
        """
        began = moved = told = time.monotonic()
        before: Counter[str] = Counter()
        while True:
            if supervise is not None:
                await supervise()
            looked = time.monotonic()
            found = await self.states()
            left = [name for name in names if name not in found or not done(found[name])]
            now = time.monotonic()
            if not left:
                return now - began
            picture = Counter(_told(found.get(name)) for name in left)
            if picture != before:
                before, moved = picture, now
            if now - told > _TELL_EVERY_S:
                told = now
                print(
                    f"    {now - began:5.0f} s  {what}: {len(left)} of {len(names)} to go, {dict(picture)}",
                    flush=True,
                )
            if now - moved > HANG_S:
                reason = found[left[0]].reason if left[0] in found else "unknown to the registry"
                raise AssertionError(
                    f"{what}: {len(left)} of {len(names)} stand still for {HANG_S:g} s: {dict(picture)}; "
                    f"{left[0]}: {reason}"
                )
            # A look at hundreds costs the registry something: most of its time stays its own.
            await asyncio.sleep(max(every_s, 4 * (now - looked)))

    async def live(
        self,
        names: Collection[str],
        *,
        revision: int = 1,
        every_s: float = 0.3,
        supervise: Callable[[], Awaitable[None]] | None = None,
    ) -> float:
        """Wait until each is live in this revision or a later one."""

        def is_live(item: CertificateSummary) -> bool:
            return item.state is CertificateState.LIVE and (item.revision or 0) >= revision

        return await self.reached(names, is_live, "live", every_s=every_s, supervise=supervise)

    async def one_live(self, name: str) -> float:
        """Wait for one certificate with cheap looks."""
        began = told = time.monotonic()
        while True:
            view = await self.ask("admin", lambda registry: registry.certificate(name))
            if view.state is CertificateState.LIVE:
                return time.monotonic() - began
            if time.monotonic() - told > _TELL_EVERY_S:
                told = time.monotonic()
                print(f"    {told - began:5.0f} s  {name} is {view.state}: {view.reason}", flush=True)
            assert time.monotonic() - began < 2 * HANG_S, f"{name} is {view.state}: {view.reason}"
            await asyncio.sleep(0.1)

    async def well(self, names: Collection[str] | None = None) -> float:
        """Wait until each is live and its health ok."""

        def is_well(item: CertificateSummary) -> bool:
            return (item.state, item.health) == (CertificateState.LIVE, Health.OK)

        return await self.reached(self.names if names is None else names, is_well, "ok")

    async def one_order_each(self) -> int:
        """As many orders were finalized at the CA as there are revisions; how many those are."""
        revisions = {name: item.revision or 0 for name, item in (await self.states()).items()}
        orders = len(self.system.pebble.finalized_orders())
        assert orders == sum(revisions.values()), f"{orders} orders for {sum(revisions.values())} revisions"
        return orders

    # ── what it starts ──────────────────────────────────────────────────────────────────────────────────────

    async def join(self, sites: Sequence[str] = SITES, teams: Sequence[str] = TEAMS) -> list[ChildProcess]:
        """Give the teams their tokens, and start what serves at the sites."""
        for team in teams:
            order = TokenOrder(subject=f"{team}-tool", owner=team, roles=(Role.VIEWER, Role.REQUESTER))
            made = await self.ask("admin", lambda registry: registry.make_token(order))  # noqa: B023 # awaited here
            self.system.home.keep_token(team, made.token)
        return [await self._serve(site) for site in sites]

    async def _serve(self, site: str) -> ChildProcess:
        store = self.system.delivered_files(site, "any").parents[1]
        process = ChildProcess(
            name=f"servers of {site}",
            argv=[sys.executable, "-m", "tests.holds.store_server", str(self.ports[site]), str(store)],
            log_path=self.system.home.path("logs", f"servers-{site}.log"),
            cwd=_ROOT,
            ports=(self.ports[site],),
        )
        process.start()
        await process.wait_ready()
        return process

    async def set_monitor_period(self, endpoints: int) -> None:
        """Stretch the monitor's period for so many endpoints."""
        seconds = max(5, endpoints // _LOOKS_PER_SECOND)
        monitor = self.system.services["monitor"]
        monitor.process.env["CERTBUS_MONITOR_PERIOD_S"] = str(seconds)
        await self.system.hold("monitor")
        await self.system.release("monitor")


class _Clients:
    """As many clients of one person as ask at once; each keeps its connection."""

    def __init__(self, system: LocalSystem, person: str) -> None:
        self._system = system
        self._person = person
        self._threads = ThreadPoolExecutor(_AT_ONCE)
        self._idle: list[Registry] = []

    async def ask(self, question: Callable[[Registry], AnswerT]) -> AnswerT:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, question)

    def _ask(self, question: Callable[[Registry], AnswerT]) -> AnswerT:
        registry = self._idle.pop() if self._idle else self._system.connect(self._person)
        try:
            return question(registry)
        finally:
            self._idle.append(registry)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for registry in self._idle:
            registry.__exit__(None, None, None)


def host_of(name: str) -> str:
    return f"{name}.internal.example.test"


def _told(item: CertificateSummary | None) -> str:
    if item is None:
        return "unknown"
    return f"{item.state}/{item.health}"


@asynccontextmanager
async def running_fleet(
    folder: Path,
    *,
    certificates: int = 0,
    before: Callable[[LocalSystem], None] | None = None,
    start: Start = execute,
) -> AsyncIterator[Fleet]:
    """A whole system with so many live certificates; `before` is called before it starts, `start` starts services."""
    system = LocalSystem(Home(folder), kubernetes=False, tell=print, owners=TEAMS, start=start)
    policy_file(folder, open_policy([*TEAMS, "platform"], cas=(INTERNAL_CA, PUBLIC_CA)))
    if before is not None:
        before(system)
    fleet = Fleet(system, {site: free_port() for site in SITES})
    servers: list[ChildProcess] = []
    try:
        await system.start()
        servers += await fleet.join()
        if certificates:
            await fleet.set_monitor_period(certificates + certificates // 5)
            names = [f"first-{number:04}" for number in range(certificates)]
            began = time.monotonic()
            for first in range(0, certificates, 50):
                await fleet.request_all(names[first : first + 50], team=TEAMS[first // 50 % len(TEAMS)])
            await fleet.live(names, every_s=1.0)
            print(f"  {certificates} certificates live after {time.monotonic() - began:.0f} s", flush=True)
        yield fleet
    finally:
        await asyncio.gather(*(server.stop() for server in servers))
        await system.stop()
        for clients in fleet.clients.values():
            clients.close()
