"""Certificates a second and CPU each, of the issuer's ACME client alone beside a bare client of the library acme.

`python -m tests.benchmarks.acme_client [CERTIFICATES]`: both on one Pebble that validates by http-01 without a
pause, and both on one with 5 % bad nonces, in turns, so that none has the quieter machine. Each certificate has one
name and a P-256 key of its own. No journal takes part. Limits: 80 % of the bare client, 15 ms CPU, and at bad nonces
85 % of what ours does without.
"""

import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC

from issuer.cas.acme.account_key import AccountSafe
from issuer.cas.acme.ca import AcmeCa
from issuer.cas.acme.jws import SigningKey
from issuer.cas.acme.settings import CaSettings
from issuer.domain.account import AccountRecord
from issuer.domain.ca_order import ChallengeKind, OrderMove, OrderView, judge_order
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from tests import servers
from tests.benchmarks.bare_acme import BareClient
from tests.benchmarks.http01_responder import responder
from tests.benchmarks.issued_names import a_request
from tests.benchmarks.registry_cost import cpu_s

_OURS: Final = "ours.example.org"
_BARE: Final = "bare.example.org"
_TURNS: Final = 3
_IN_FLIGHT: Final = 32
_BAD_NONCES_PERCENT: Final = 5
_SAFE: Final = AccountSafe(bytes(32))
_LEAST_RATIO: Final = 0.8
_MOST_CPU_MS: Final = 15.0
_LEAST_AT_BAD_NONCES: Final = 0.85


class _Book:
    """One account, in memory."""

    def __init__(self, record: AccountRecord) -> None:
        self._record = record

    async def account(self, ca: str, directory_url: str) -> AccountRecord | None:
        del ca, directory_url
        return self._record

    async def keep_account(self, record: AccountRecord) -> AccountRecord:
        return record

    async def set_account_url(self, ca: str, directory_url: str, url: str) -> None:
        del ca, directory_url
        self._record = replace(self._record, url=url)


@dataclass
class Cost:
    certificates: int = 0
    wall_s: float = 0.0
    client_cpu_s: float = 0.0
    pebble_cpu_s: float = 0.0
    given_up: int = 0

    @property
    def rate(self) -> float:
        return self.certificates / self.wall_s

    @property
    def cpu_ms(self) -> float:
        return self.client_cpu_s * 1000 / self.certificates

    def told(self, who: str) -> str:
        return (
            f"{who:28} {self.rate:8.1f} {self.cpu_ms:12.1f} {self.pebble_cpu_s * 1000 / self.certificates:12.1f}"
            f" {self.client_cpu_s / self.pebble_cpu_s:8.2f} {self.given_up:9}"
        )


@dataclass
class Ours:
    ca: AcmeCa
    given_up: int = field(default=0)

    async def issue(self, names: Sequence[str]) -> list[str]:
        turn = asyncio.Semaphore(_IN_FLIGHT)

        async def one(name: str) -> str:
            async with turn:
                return await self._one(name)

        return await asyncio.gather(*map(one, names))

    async def _one(self, name: str) -> str:
        while True:
            try:
                return await self._order(name)
            except CaUnreachableError:
                # Pebble hangs an order now and then: only a new one helps.
                self.given_up += 1

    async def _order(self, name: str) -> str:
        _, csr_der = a_request(name)
        view = await self.ca.open_order((name,), replaces=None, profile=None)
        url = view.url
        authorization = await self.ca.authorization(view.authorizations[0])
        await self.ca.answer(next(offer.url for offer in authorization.offers if offer.kind is ChallengeKind.HTTP_01))
        view = await self._until(url, view, leaves=OrderMove.PROVE)
        view = await self.ca.finalize(view.finalize_url, csr_der)
        view = await self._until(url, view, leaves=OrderMove.WAIT)
        return await self.ca.certificate(view.certificate_url or "")

    async def _until(self, url: str, view: OrderView, *, leaves: OrderMove) -> OrderView:
        look = 1
        while (move := judge_order(view)) in {leaves, OrderMove.ABANDON}:
            if move is OrderMove.ABANDON:
                raise AcmeProblemError(type="", status=200, detail=f"{url} is invalid: {view.problem}")
            await asyncio.sleep(min(0.05 * 1.6 ** (look - 1), 3.0))
            view = await self.ca.order(url)
            look += 1
        return view


@dataclass(frozen=True)
class Stage:
    pebble: servers.Pebble
    ours: Ours
    bare: BareClient


@asynccontextmanager
async def a_stage(bad_nonces_percent: int) -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="certbus-") as name:
        folder = Path(name)
        async with servers.pebble_ca(bad_nonces_percent=bad_nonces_percent) as pebble:
            keys = {domain: ec.generate_private_key(ec.SECP256R1()) for domain in (_OURS, _BARE)}
            thumbprints = folder / "thumbprints"
            thumbprints.write_text(
                "".join(f"{domain} {SigningKey(key).thumbprint}\n" for domain, key in keys.items())
            )
            web = responder(pebble.http01_port, source=thumbprints, log_path=folder / "responder.log")
            settings = CaSettings(
                name="pebble",
                directory_url=pebble.directory_url,
                ca_file=pebble.ca_file,
                challenges=(ChallengeKind.HTTP_01,),
                profile="default",
            )
            sealed = _SAFE.seal(SigningKey(keys[_OURS]), ca=settings.name, directory_url=settings.directory_url)
            bare = BareClient(directory_url=pebble.directory_url, ca_file=pebble.ca_file, key=JWKEC(key=keys[_BARE]))
            try:
                web.start()
                await web.wait_ready()
                async with AcmeCa(settings=settings, accounts=_Book(sealed), safe=_SAFE, state_folder=folder) as ca:
                    await ca.account_url()
                    await asyncio.to_thread(bare.register)
                    yield Stage(pebble, Ours(ca), bare)
            finally:
                await web.stop()


@dataclass
class Costs:
    ours: Cost = field(default_factory=Cost)
    bare: Cost = field(default_factory=Cost)


async def measured(stages: Sequence[Stage], certificates: int) -> list[Costs]:
    """Ours and the bare client at each CA, in turns."""
    costs = [Costs() for _ in stages]
    for turn in range(_TURNS):
        for stage, cost in zip(stages, costs, strict=True):
            await _one_turn(stage, cost, turn, certificates // _TURNS)
    return costs


async def _one_turn(stage: Stage, cost: Costs, turn: int, certificates: int) -> None:
    ours = [f"t{turn}-{number}.{_OURS}" for number in range(certificates)]
    bare = [f"t{turn}-{number}.{_BARE}" for number in range(certificates)]
    with_ours = _clock(stage, cost.ours)
    chains = await stage.ours.issue(ours)
    with_ours(len(chains))
    with_bare = _clock(stage, cost.bare)
    bare_chains = await asyncio.to_thread(stage.bare.issue, bare)
    with_bare(len(bare_chains))
    _check(chains, ours)
    _check(bare_chains, bare)
    cost.ours.given_up, cost.bare.given_up = stage.ours.given_up, stage.bare.given_up
    assert max(Counter(stage.pebble.finalized_orders()).values()) == 1


def _clock(stage: Stage, cost: Cost) -> Callable[[int], None]:
    pid = stage.pebble.ca.process.pid
    assert pid is not None
    began, client, pebble = time.monotonic(), time.process_time(), cpu_s(pid)

    def stop(certificates: int) -> None:
        cost.certificates += certificates
        cost.wall_s += time.monotonic() - began
        cost.client_cpu_s += time.process_time() - client
        cost.pebble_cpu_s += cpu_s(pid) - pebble

    return stop


def _check(chains: Sequence[str], names: Sequence[str]) -> None:
    for chain, name in zip(chains, names, strict=True):
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        signed = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert signed.get_values_for_type(x509.DNSName) == [name]


async def main(certificates: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    async with a_stage(0) as quick, a_stage(_BAD_NONCES_PERCENT) as rough:
        await measured([quick, rough], 2 * _TURNS)
        at_quick, at_rough = await measured([quick, rough], certificates)
    print(f"{'':28} {'certs/s':>8} {'client ms':>12} {'Pebble ms':>12} {'ratio':>8} {'given up':>9}")
    print(at_quick.ours.told("ours"))
    print(at_quick.bare.told("bare, 16 threads"))
    print(at_rough.ours.told(f"ours, {_BAD_NONCES_PERCENT} % bad nonces"))
    print(at_rough.bare.told(f"bare, {_BAD_NONCES_PERCENT} % bad nonces"))
    print()
    beside, cost = at_quick.ours.rate / at_quick.bare.rate, at_rough.ours.rate / at_quick.ours.rate
    print(f"{'measure':40} {'seen':>8} {'limit':>8}")
    print(f"{'rate beside the bare client':40} {beside:8.2f} {_LEAST_RATIO:8.2f}")
    print(f"{'CPU ms a certificate':40} {at_quick.ours.cpu_ms:8.1f} {_MOST_CPU_MS:8.1f}")
    print(f"{'rate at bad nonces beside without':40} {cost:8.2f} {_LEAST_AT_BAD_NONCES:8.2f}")


if __name__ == "__main__":
    asyncio.run(main(int((sys.argv[1:] or ["300"])[0])))
