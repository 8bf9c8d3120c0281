"""The story of `certbus run`: certificates asked for, approved, issued once, carried, proven; and its promises."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from certbus.client import Registry
from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certcore.api import CertificateState, CertificateView, Decision, RequestState
from certcore.certificate import CertificateSpec, endpoint_address
from certcore.conditions import Health
from certlocal.clients import Tally, handshaking
from certlocal.errors import LocalError
from certlocal.local_dns import INSIDE
from certlocal.requests import EDGE, edge_request, orders_request, shop_request
from certlocal.secrets import secret_serials
from certlocal.services import SITES
from certlocal.shown_health import shown_health
from certlocal.system import LocalSystem
from certlocal.trace_tree import read_trace, render
from certprobe.handshake import HandshakeError, Prober

__all__ = ["Promise", "Story"]

Tell = Callable[[str], None]
AnswerT = TypeVar("AnswerT")

_PATIENCE_S: Final = 90.0
_HANDSHAKES: Final = 200


@dataclass(frozen=True)
class Promise:
    """`figure` is what was seen, whether the promise held or not."""

    text: str
    held: bool
    figure: str


class Story:
    def __init__(self, system: LocalSystem, *, tell: Tell) -> None:
        self._system = system
        self._tell = tell
        self._began = time.monotonic()
        self._promises: list[Promise] = []
        self._prober = Prober(ca_file=system.pebble.roots_file)

    async def play(self) -> bool:
        """Play it and print the table; True if every expectation was met.

        Raises:
            LocalError: it can't go on: a certificate doesn't become live.
        """
        system = self._system
        self._began = time.monotonic()
        orders_before = len(system.pebble.finalized_orders())
        serial_before = await system.dns.serial()
        revisions_before = await self._revisions()
        self._tell("\nThe story")
        orders = await self._internal_name()
        shop = await self._public_name()
        edge = await self._balancer_name()
        edge = await self._renewal(edge)
        await self._outage(shop, beside=orders)
        if system.clusters:
            await self._clusters(orders.name)
        await self._trace(orders)
        issued = await self._revisions() - revisions_before
        finalized = len(system.pebble.finalized_orders()) - orders_before
        self._promise(
            "exactly one finalized order for each revision", issued == finalized, f"{finalized} for {issued}"
        )
        await self._proofs(serial_before)
        for view in (orders, shop, edge):
            await self._outside_look(view.name)
        self._table()
        return all(promise.held for promise in self._promises)

    # ── the scenes ──────────────────────────────────────────────────────────────────────────────────────────

    async def _internal_name(self) -> CertificateView:
        spec = orders_request(self._system.places)
        self._say(f"team-shop needs {spec.dns_names[0]} at both sites: an internal name, approved by policy")
        await self._request("alice", spec)
        view = await self._live(spec.name)
        served = {endpoint.served_fingerprint_sha256 for endpoint in view.endpoints}
        count = len(view.endpoints)
        self._promise(
            "the internal name was issued once and is served at both sites",
            len(served) == 1 and count >= 2,
            f"one fingerprint at {count} endpoints of {len({target.site for target in view.targets})} sites",
        )
        return view

    async def _public_name(self) -> CertificateView:
        spec = shop_request(self._system.places)
        self._say(f"team-shop needs {spec.dns_names[0]}: a public name, so a second person must approve it")
        known = await self._request("alice", spec)
        waiting = [
            item
            for item in await self._ask("bob", lambda registry: list(registry.requests(state=RequestState.WAITING)))
            if item.name == spec.name
        ]
        for request in waiting:
            self._say(f"  it waits: {request.reason}")
            refused = await self._approve("alice", request.id)
            self._promise("the requester can't approve her own request", refused, "refused" if refused else "allowed")
            approved = not await self._approve("bob", request.id)
            self._promise("a second person approved the public name", approved, "bob")
        if known and not waiting:
            self._say("  it was approved in an earlier run: renewals need nobody")
        return await self._live(spec.name)

    async def _balancer_name(self) -> CertificateView:
        spec = edge_request(self._system.places)
        self._say(f"team-shop needs {spec.dns_names[0]} at the balancer of site1: a real HAProxy")
        await self._request("alice", spec)
        return await self._live(spec.name)

    async def _renewal(self, before: CertificateView) -> CertificateView:
        assert before.revision is not None
        self._say(f"{before.name} is renewed while clients keep connecting to the balancer")
        system = self._system
        async with handshaking(EDGE, system.places.edge, ca_file=system.pebble.roots_file) as tally:
            await self._until(
                lambda: tally.handshakes >= _HANDSHAKES // 4 or bool(tally.failed), "the clients' start"
            )
            answer = await self._ask("admin", lambda registry: registry.renew(before.name))
            view = await self._live(before.name, revision=answer.revision)
            seen = tally.handshakes + _HANDSHAKES // 4
            enough = lambda: tally.handshakes >= max(_HANDSHAKES, seen) or bool(tally.failed)  # noqa: E731 # a condition
            await self._until(enough, "the clients' end")
        self._judge_clients(tally, before, view)
        return view

    def _judge_clients(self, tally: Tally, before: CertificateView, after: CertificateView) -> None:
        assert before.revision is not None
        assert after.revision is not None
        good = not tally.failed and tally.wrong_names == 0 and tally.handshakes >= _HANDSHAKES
        first = f", first: {tally.failed[0]}" if tally.failed else ""
        self._promise(
            "no client failed or saw a wrong name during the renewal",
            good,
            f"{tally.handshakes} handshakes, {len(tally.failed)} failed, {tally.wrong_names} wrong{first}",
        )
        self._promise(
            "the clients saw the old certificate, then the new one",
            tally.serials == [before.revision.serial, after.revision.serial],
            " → ".join(serial[:8] for serial in tally.serials),
        )

    async def _outage(self, view: CertificateView, *, beside: CertificateView) -> None:
        """What serves two certificates at one site stops, and comes back; the health of the first is followed."""
        site = SITES[-1]
        application = self._system.applications[site]
        self._say(f"what serves {view.dns_names[0]} at {site} stops: live says what was proven, health what holds")
        await application.stop()
        after, reason = await self._healthy(view.name, Health.DEGRADED)
        self._promise(
            "an endpoint that stops serving shows in list, show and page",
            reason is not None,
            f"degraded after {after:.1f} s: {reason}" if reason else f"not degraded after {after:.0f} s",
        )
        application.start()
        after, reason = await self._healthy(view.name, Health.OK)
        held = reason is not None
        self._promise("and is well again by itself", held, f"ok {after:.1f} s after it was started again")
        # The other may have had one bad look meanwhile: that leaves its health, and is shown until the next look.
        await self._live(beside.name)

    async def _healthy(self, name: str, health: Health) -> tuple[float, str | None]:
        """Wait until list, show and page say this health: after how many seconds, and the reason; None if never."""
        began = time.monotonic()
        while time.monotonic() - began < _PATIENCE_S:
            shown = await asyncio.to_thread(shown_health, self._system, name)
            if set(shown.values()) == {health.value}:
                view = await self._ask("admin", lambda registry: registry.certificate(name))
                self._say(f"  {name}: {view.health}, {view.health_reason}")
                return time.monotonic() - began, view.health_reason
            await asyncio.sleep(0.2)
        return time.monotonic() - began, None

    async def _clusters(self, name: str) -> None:
        view = await self._ask("admin", lambda registry: registry.certificate(name))
        serials = await secret_serials(self._system)
        wanted = view.revision.serial if view.revision else ""
        self._promise(
            "the Secrets of both clusters hold one and the same serial",
            set(serials.values()) == {wanted} and len(serials) >= 2,
            f"{len(serials)} Secrets, serial {wanted[:16]}",
        )

    async def _trace(self, view: CertificateView) -> None:
        trace_id = view.trace_id or ""
        spans = read_trace(self._system.home.path("traces"), trace_id)
        handshakes = {span.attributes.get("certbus.url") for span in spans if span.name == "tls.handshake"}
        sites = {target.site for target in view.targets}
        delivered = {span.service for span in spans if span.service.endswith("syncer")}
        self._promise(
            "one trace leads from the request to the handshake of each site",
            len(handshakes) == len(view.endpoints) and len(delivered) == len(sites),
            f"{len(spans)} spans, {len(handshakes)} handshakes, trace {trace_id}",
        )
        self._tell(f"\nThe trace of {view.name} ({trace_id})")
        for line in render(spans):
            self._tell(f"  {line}")

    async def _proofs(self, serial_before: int) -> None:
        """By whom the names inside were proven; at least one was, at the renewal."""
        local, held = self._system.dns, True
        figure = "DNS: the CA's test server; install knot for a real one"
        if local.knot is not None:
            serial = await local.serial()
            held = serial > serial_before
            figure = f"DNS: knot by RFC 2136, {INSIDE} went from serial {serial_before} to {serial}"
        self._promise("the names inside were proven by DNS", held, figure)

    async def _outside_look(self, name: str) -> None:
        """Shake hands with every endpoint ourselves, and compare with what the registry says."""
        view = await self._ask("admin", lambda registry: registry.certificate(name))
        wrong = []
        for endpoint in view.endpoints:
            host, port = endpoint_address(endpoint.url)
            try:
                seen = await self._prober.shake("127.0.0.1", port, server_name=host)
            except HandshakeError as error:
                wrong.append(f"{endpoint.url}: {error}")
                continue
            if seen.leaf.fingerprint_sha256 != endpoint.served_fingerprint_sha256 or seen.trust_problem:
                wrong.append(f"{endpoint.url}: {seen.leaf.fingerprint_sha256[:12]} {seen.trust_problem or ''}")
        figure = "; ".join(wrong) if wrong else f"{len(view.endpoints)} of {len(view.endpoints)} endpoints agree"
        held = not wrong and view.state is CertificateState.LIVE
        self._promise(f"{name} is live, and an outside look agrees", held, figure)

    # ── what the scenes are made of ─────────────────────────────────────────────────────────────────────────

    async def _ask(self, person: str, question: Callable[[Registry], AnswerT]) -> AnswerT:
        """Ask the registry as somebody; a registry that is being started again is waited for."""

        def ask() -> AnswerT:
            with self._system.connect(person) as registry:
                return question(registry)

        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return await asyncio.to_thread(ask)
            except CommandError as error:
                if error.exit_code is not ExitCode.UNREACHABLE or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def _request(self, person: str, spec: CertificateSpec) -> bool:
        """Ask for it; True if an earlier run did."""
        began = datetime.now(UTC)
        try:
            asked = await self._ask(person, lambda registry: registry.create_request(spec))
        except CommandError as error:
            # With another home's ports it is another request for the same name.
            if not any(field == "name" for field, _ in error.fields):
                raise LocalError(f"{spec.name} was refused: {'; '.join(error.lines())}") from error
        else:
            # What is there already is the answer to asking again.
            if asked.created_at >= began:
                return False
        self._say(f"  {spec.name} is here from an earlier run")
        return True

    async def _approve(self, person: str, request_id: str) -> bool:
        """True if the person was refused."""
        try:
            await self._ask(person, lambda registry: registry.decide(request_id, "approve", Decision()))
        except CommandError as error:
            if error.exit_code is ExitCode.NOT_ALLOWED:
                return True
            raise LocalError(f"request {request_id}: {error}") from error
        return False

    async def _live(self, name: str, revision: int = 1) -> CertificateView:
        """Wait until the revision or a later one is live, telling each step.

        Raises:
            LocalError: it isn't in time.
        """
        deadline = time.monotonic() + _PATIENCE_S
        told = ""
        while True:
            view = await self._ask("admin", lambda registry: registry.certificate(name))
            number = view.revision.number if view.revision else 0
            if view.state is CertificateState.LIVE and number >= revision and not self._unproven(view):
                self._say(f"  {name}: live, revision {number}, {view.reason}")
                return view
            step = f"  {name}: {view.state.replace('_', ' ')}, {view.reason}"
            if step != told:
                self._say(step)
                told = step
            if time.monotonic() > deadline:
                raise LocalError(f"{name} is not live after {_PATIENCE_S:g} s: {view.state}, {view.reason}")
            await asyncio.sleep(0.2)

    def _unproven(self, view: CertificateView) -> bool:
        return any(endpoint.state != "served" for endpoint in view.endpoints)

    async def _revisions(self) -> int:
        """How many revisions were issued ever."""
        return sum(
            item.revision or 0 for item in await self._ask("admin", lambda registry: list(registry.certificates()))
        )

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise LocalError(f"{what} took longer than {_PATIENCE_S:g} s")
            await asyncio.sleep(0.05)

    def _promise(self, text: str, held: bool, figure: str) -> None:  # noqa: FBT001 # what is promised, and whether it held
        self._promises.append(Promise(text, held, figure))

    def _say(self, line: str) -> None:
        self._tell(f"{time.monotonic() - self._began:6.1f} s  {line}")

    def _table(self) -> None:
        width = max(len(promise.text) for promise in self._promises)
        self._tell("\nWhat was expected, and what was seen")
        for promise in self._promises:
            self._tell(f"  {'✓' if promise.held else '✗'} {promise.text:<{width}}  {promise.figure}")
