"""A whole order at a CA for tests, with keys that nobody keeps: what it proves holds for the CA beside it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certcore.inspection import read_chain
from issuer.cas.acme.ca import AcmeCa
from issuer.domain.ca_order import (
    AuthorizationStatus,
    AuthorizationView,
    ChallengeKind,
    OrderMove,
    OrderView,
    judge_order,
)
from issuer.domain.challenge import ChallengeRecord, ChallengeSolver
from issuer.domain.errors import AcmeProblemError, CaUnreachableError, SolverError
from issuer.domain.job import JobId
from issuer.domain.solver_choice import SolverRule, choose_solver
from issuer.domain.x509_subject import subject_of
from issuer.handlers.entered_solvers import EnteredSolvers

__all__ = ["REHEARSAL", "SiblingOrder", "until_seen"]

REHEARSAL: Final = JobId("rehearsal", 1)
_LOOK_S: Final = 1.0

ViewT = TypeVar("ViewT")


class SiblingOrder:
    def __init__(
        self, *, ca: AcmeCa, solvers: EnteredSolvers, rules: Sequence[SolverRule], patience_s: float
    ) -> None:
        self._ca = ca
        self._solvers = solvers
        # A standing record lets one account issue, and this is another one.
        self._rules = [rule for rule in rules if rule.kind is not ChallengeKind.DNS_PERSIST_01]
        self._patience_s = patience_s

    async def run(self, name: str, *, profile: str | None, common_name: bool) -> str:
        """How it went, for people: each name proven, and a certificate fetched.

        Raises:
            AcmeProblemError, CaUnreachableError, SolverError, NoChallengeError, TimeoutError: it failed.
        """
        offered = await self._ca.profiles()
        order = await self._ca.open_order((name,), replaces=None, profile=profile if profile in offered else None)
        try:
            async with asyncio.timeout(self._patience_s):
                proven = [await self._prove(url) for url in order.authorizations]
                await self._until(order.url, OrderMove.FINALIZE)
                await self._ca.finalize(order.finalize_url, _csr(name, common_name=common_name))
                done = await self._until(order.url, OrderMove.FETCH)
                leaf = read_chain((await self._ca.certificate(done.certificate_url or "")).encode())[0]
        except BaseException:
            # The CA keeps pending ones, and counts them.
            for url in order.authorizations:
                with suppress(AcmeProblemError, CaUnreachableError):
                    await self._ca.deactivate(url)
            raise
        return f"{', '.join(proven)}; issued {leaf.serial} for {', '.join(leaf.dns_names)}"

    async def _prove(self, url: str) -> str:
        authorization = await self._ca.authorization(url)
        if authorization.status is AuthorizationStatus.VALID:
            return f"{authorization.identifier} was proven before"
        choice = choose_solver(authorization, preference=self._ca.preference, rules=self._rules)
        offer = choice.offer
        record = ChallengeRecord(
            REHEARSAL,
            offer.kind,
            offer.url,
            authorization.identifier,
            offer.record_name,
            offer.record_value,
            solver=choice.solver,
        )
        solver = await self._solvers.solver(choice.solver)
        try:
            await solver.present([record])
            await until_seen(solver, record, patience_s=self._patience_s)
            await self._ca.answer(offer.url)
            await self._until_valid(url)
        finally:
            await solver.clean_up([record])
        return f"{authorization.identifier} proven by {offer.kind}"

    async def _until_valid(self, url: str) -> None:
        def decided(view: AuthorizationView) -> bool:
            return view.status is not AuthorizationStatus.PENDING

        view = await _asked(lambda: self._ca.authorization(url), decided)
        if view.status is not AuthorizationStatus.VALID:
            raise SolverError(f"{view.identifier} is {view.status}: {view.problem or 'no reason'}")

    async def _until(self, url: str, move: OrderMove) -> OrderView:
        def decided(view: OrderView) -> bool:
            return judge_order(view) in {move, OrderMove.ABANDON}

        view = await _asked(lambda: self._ca.order(url), decided)
        if judge_order(view) is not move:
            raise SolverError(f"the order is invalid: {view.problem or 'no reason'}")
        return view


async def until_seen(solver: ChallengeSolver, record: ChallengeRecord, *, patience_s: float) -> None:
    """Return when everybody sees the record whom a CA may ask.

    Raises:
        SolverError: somebody doesn't in time.
    """
    deadline = asyncio.get_running_loop().time() + patience_s
    while not (look := await solver.propagated([record])).seen:
        if asyncio.get_running_loop().time() > deadline:
            raise SolverError(f"not seen everywhere after {patience_s:g} s: {look.detail}")
        await asyncio.sleep(look.look_again.total_seconds() or _LOOK_S)


async def _asked(question: Callable[[], Awaitable[ViewT]], decided: Callable[[ViewT], bool]) -> ViewT:
    while not decided(answer := await question()):  # noqa: ASYNC110 # a CA tells nobody
        await asyncio.sleep(_LOOK_S)
    return answer


def _csr(name: str, *, common_name: bool) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    csr = x509.CertificateSigningRequestBuilder(subject_of((name,), common_name=common_name))
    return csr.add_extension(names, critical=False).sign(key, SHA256()).public_bytes(Encoding.DER)
