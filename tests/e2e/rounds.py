"""A certificate's whole life, small enough to be played many times on one system."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TypeVar

from certbus.client import Registry
from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certcore.api import CertificateState, CertificateView, Decision, RequestState
from certcore.certificate import CertificateSpec, EndpointSpec, Exposure
from certcore.targets import FilesTarget, HaproxyTarget
from certlocal.ports import free_port
from certlocal.services import SITES
from certlocal.system import LocalSystem
from tests.patience import HANG_S

__all__ = ["Round", "ask", "in_files", "play", "renew", "request", "until", "wait_live"]

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Round:
    """What was live at its end."""

    views: tuple[CertificateView, ...]

    @property
    def revisions(self) -> int:
        return sum(view.revision.number for view in self.views if view.revision)


async def ask(system: LocalSystem, person: str, question: Callable[[Registry], AnswerT]) -> AnswerT:
    """Ask the registry; one that was just killed is asked again."""

    def once() -> AnswerT:
        with system.connect(person) as registry:
            return question(registry)

    deadline = time.monotonic() + HANG_S
    while True:
        try:
            return await asyncio.to_thread(once)
        except CommandError as error:
            if error.exit_code is not ExitCode.UNREACHABLE or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + HANG_S
    while not await condition():
        assert time.monotonic() < deadline, f"{what} took longer than {HANG_S:g} s"
        await asyncio.sleep(0.1)


async def request(system: LocalSystem, spec: CertificateSpec) -> None:
    """Ask for it once; an answer that was lost is no second request."""
    try:
        await ask(system, "alice", lambda registry: registry.create_request(spec))
    except CommandError as error:
        if not any(field == "name" for field, _ in error.fields):
            raise


async def approve(system: LocalSystem, name: str) -> None:
    """Give the waiting request of this name Bob's approval; an answer that was lost is no second decision."""
    waiting = await ask(system, "bob", lambda registry: list(registry.requests(state=RequestState.WAITING)))
    for item in waiting:
        if item.name == name:
            try:
                await ask(system, "bob", lambda registry: registry.decide(item.id, "approve", Decision()))  # noqa: B023
            except CommandError as error:
                if "decided before" not in str(error):
                    raise


async def wait_live(system: LocalSystem, name: str, revision: int = 1) -> CertificateView:
    deadline = time.monotonic() + HANG_S
    while True:
        view = await ask(system, "admin", lambda registry: registry.certificate(name))
        if view.state is CertificateState.LIVE and view.revision and view.revision.number >= revision:
            return view
        assert time.monotonic() < deadline, f"{name} is {view.state} after {HANG_S:g} s: {view.reason}"
        await asyncio.sleep(0.2)


def in_files(
    name: str, host: str, ports: Mapping[str, int], *, exposure: Exposure = Exposure.INTERNAL
) -> CertificateSpec:
    """A certificate that lies in files of each site and is served there at the site's port."""
    return CertificateSpec(
        name=name,
        dns_names=(host,),
        exposure=exposure,
        targets=tuple(FilesTarget(name=f"{site}-host", site=site) for site in ports),
        endpoints=tuple(
            EndpointSpec(url=f"https://{host}:{port}", target=f"{site}-host") for site, port in ports.items()
        ),
    )


async def play(system: LocalSystem, number: int, disturb: Callable[[], Coroutine[None, None, None]]) -> Round:
    """An internal name at both sites, a public one at one, one at the balancer; and a renewal of the first.

    `disturb` runs beside it.
    """
    ports = {site: free_port() for site in SITES}
    pub_port = free_port()
    app, pub, edge = f"app-{number}", f"pub-{number}", f"edge-{number}"
    applications = [
        await system.serve(
            f"{app}-{site}",
            [{"listen": f"127.0.0.1:{ports[site]}", "files": str(system.delivered_files(site, app))}],
        )
        for site in SITES
    ]
    applications.append(
        await system.serve(
            pub, [{"listen": f"127.0.0.1:{pub_port}", "files": str(system.delivered_files("site1", pub))}]
        )
    )
    disturbing = asyncio.create_task(disturb())
    await request(system, in_files(app, f"{app}.internal.example.test", ports))
    await request(system, in_files(pub, f"{pub}.example.test", {"site1": pub_port}, exposure=Exposure.PUBLIC))
    await approve(system, pub)
    await request(
        system,
        CertificateSpec(
            name=edge,
            dns_names=(f"{edge}.internal.example.test",),
            exposure=Exposure.INTERNAL,
            targets=(HaproxyTarget(name="balancer", site="site1"),),
            endpoints=(EndpointSpec(url=f"https://{edge}.internal.example.test:{system.places.edge}"),),
        ),
    )
    await wait_live(system, app)
    await renew(system, app, 2)
    views = (
        await wait_live(system, app, 2),
        await wait_live(system, pub),
        await wait_live(system, edge),
    )
    await disturbing
    # Whatever was killed last: the end must hold after everything is up again.
    for name in system.services:
        await system.ready(name)
    settled = tuple([await wait_live(system, view.name, view.revision.number) for view in views if view.revision])
    for application in applications:
        await application.stop()
    return Round(settled)


async def renew(system: LocalSystem, name: str, revision: int) -> None:
    """Order this revision, once: an answer that was lost doesn't order another."""
    view = await ask(system, "admin", lambda registry: registry.certificate(name))
    if view.state is CertificateState.LIVE and view.revision and view.revision.number < revision:
        await ask(system, "admin", lambda registry: registry.renew(name))
