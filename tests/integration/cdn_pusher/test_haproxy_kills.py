"""A pusher that ends between any two steps of a push: the next one finishes, and nothing of it stays."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from cdn_pusher.domain.decision import Loaded, Noted
from cdn_pusher.domain.probe_names import ProbeAddress
from cdn_pusher.targets.haproxy.certificate_files import CertificateFiles
from cdn_pusher.targets.haproxy.instance import HaproxyInstance
from cdn_pusher.targets.haproxy.instance_lock import InstanceLock
from cdn_pusher.targets.haproxy.listeners import Listeners
from cdn_pusher.targets.haproxy.notes import Notes
from cdn_pusher.targets.haproxy.proof import Proof
from cdn_pusher.targets.haproxy.runtime_socket import RuntimeSocket, State
from tests.integration.cdn_pusher.balancer import Balancer, Place, Pusher, balancer, deliver, pem_of
from tests.servers import Haproxies

pytestmark = pytest.mark.integration

HOST = "shop.example.org"
FILE = "shop.pem"
_MANY = 100


class Killed(BaseException):
    """As SIGKILL: nothing of the pusher runs after it but what the kernel does, which frees its lock."""


@dataclass
class Life:
    """Ends after so many steps."""

    steps: int

    def step(self) -> None:
        if self.steps == 0:
            raise Killed
        self.steps -= 1


class MortalRuntime(RuntimeSocket):
    def __init__(self, path: Path, life: Life) -> None:
        super().__init__(path, command_limit_bytes=16383)
        self._life = life

    async def worker(self) -> str:
        self._life.step()
        return await super().worker()

    async def look(self, path: Path) -> tuple[State, Loaded | None]:
        self._life.step()
        return await super().look(path)

    async def new(self, path: Path) -> None:
        self._life.step()
        await super().new(path)

    async def set(self, path: Path, content: bytes) -> None:
        self._life.step()
        await super().set(path, content)

    async def commit(self, path: Path) -> Loaded | None:
        self._life.step()
        return await super().commit(path)

    async def enlist(self, crt_list: Path, path: Path) -> None:
        self._life.step()
        await super().enlist(crt_list, path)


class MortalFiles(CertificateFiles):
    def __init__(self, place: Place, life: Life) -> None:
        super().__init__(directory=place.directory, crt_list=place.crt_list)
        self._life = life

    def write(self, name: str, content: bytes) -> None:
        self._life.step()
        super().write(name, content)

    def enlist(self, name: str) -> None:
        self._life.step()
        super().enlist(name)

    def forget_previous(self, name: str) -> None:
        self._life.step()
        super().forget_previous(name)


class MortalNotes(Notes):
    def __init__(self, file: Path, life: Life) -> None:
        super().__init__(file)
        self._life = life

    def write(self, name: str, noted: Noted | None) -> None:
        self._life.step()
        super().write(name, noted)


def mortal(place: Place, life: Life) -> Pusher:
    runtime = MortalRuntime(place.socket, life)
    instance = HaproxyInstance(
        name="default",
        runtime=runtime,
        master=None,
        files=MortalFiles(place, life),
        crt_list=place.crt_list,
        notes=MortalNotes(place.folder / ".crt.placements.json", life),
        lock=InstanceLock(place.folder / ".crt.lock"),
    )
    listeners = Listeners([ProbeAddress.parse(f"127.0.0.1:{place.port}")], timeout_s=5.0)
    proof = Proof(instance, runtime=runtime, master=None, listeners=listeners, patience_s=5.0, watch_s=0.0)
    return Pusher(instance, proof)


@pytest_asyncio.fixture
async def edge(haproxy: Haproxies) -> AsyncIterator[Balancer]:
    async with balancer(haproxy) as running:
        yield running


@pytest.mark.parametrize("first", [True, False], ids=["a new certificate", "a renewed one"])
async def test_after_any_step_the_next_push_finishes_and_nothing_stays(edge: Balancer, first: bool) -> None:  # noqa: FBT001 # a case
    name, died = FILE, 0
    for steps in range(_MANY):
        name = f"shop-{steps}.pem" if first else FILE
        host = f"shop-{steps}.example.org" if first else HOST
        if not first:
            await deliver(edge.place, name, pem_of(edge.authority.issue(host)))
        life = Life(steps)
        try:
            await deliver(edge.place, name, pem_of(edge.authority.issue(host)), by=mortal(edge.place, life))
        except Killed:
            died += 1
        pem = pem_of(edge.authority.issue(host))
        await deliver(edge.place, name, pem)
        assert (await edge.served(host)).presented == pem.presented, steps
        assert [path.name for path in edge.place.directory.iterdir() if path.name.startswith(".")] == [], steps
        assert edge.place.crt_list.read_text().count(f"/{name}\n") == 1, steps
        assert (await edge.place.runtime.state()).transactions == (), steps
        if life.steps > 0:
            break
    assert died >= 7
    # What was written last is there after a restart.
    await edge.server.stop()
    await edge.server.start()
    assert (await edge.served(host)).presented == pem.presented
