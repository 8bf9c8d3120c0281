"""A rehearsal of one name: every step that an order would take, and none that the CA itself would count.

The CA is asked for its directory only. What needs an order is done at its sibling for tests.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from certcore.events import IssueOrder
from issuer.cas.acme.ca import AcmeCa
from issuer.cas.acme.directory import DirectoryMeta
from issuer.cas.acme.settings import CaSettings
from issuer.domain.ca_order import AuthorizationStatus, AuthorizationView, ChallengeKind, ChallengeOffer
from issuer.domain.ca_traits import CaTraits, objections
from issuer.domain.caa import CaaAsker, CaaLookup, CaaReason
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.choice import CaPolicy, CaReason, choose_ca
from issuer.domain.errors import (
    AcmeProblemError,
    CaUnreachableError,
    NoChallengeError,
    NoFittingCaError,
    SolverError,
    SolverNotHereError,
    UnknownCaError,
)
from issuer.domain.rehearsal import Outcome, Step
from issuer.domain.solver import AuthoritativeDns, RunningSolver
from issuer.domain.solver_choice import SolverChoice, SolverReason, SolverRule, choose_solver
from issuer.handlers.entered_solvers import EnteredSolvers
from issuer.handlers.sibling_order import REHEARSAL, SiblingOrder, until_seen

__all__ = ["Rehearsal", "RehearsedCa"]

_BY_DNS: Final = frozenset({ChallengeKind.DNS_01, ChallengeKind.DNS_PERSIST_01})
_OF_ONE_NAME: Final = frozenset({"acme-dns", "dns-persist"})
"""Kinds of solvers whose records belong to the name itself: another one can't stand in for it."""
_WHY_CA: Final = {
    CaReason.NAMED_BY_REQUEST: "it was named",
    CaReason.POLICY_INTERNAL: "policy.internal",
    CaReason.POLICY_PUBLIC: "policy.public",
    CaReason.POLICY_PRIVATE: "policy.private",
}
_WHY_SOLVER: Final = {
    SolverReason.NAME_MATCHES: "it matches the name itself",
    SolverReason.PATTERN_MATCHES: "it has the most specific pattern",
    SolverReason.DEFAULT: "it is for names that no other solver matches",
    SolverReason.DEFAULT_OF_LESS_PREFERRED: "no solver shows the challenges that the CA's settings put before",
}


@dataclass(frozen=True)
class RehearsedCa:
    """`ca` is asked for its directory alone; `account_url` is that of the journal, `sibling` is None without one."""

    settings: CaSettings
    ca: AcmeCa
    account_url: str | None
    sibling: AcmeCa | None


class Rehearsal:
    """`kinds` are the kinds of the solvers, by name."""

    def __init__(
        self,
        *,
        traits: Mapping[str, CaTraits],
        policy: CaPolicy,
        acme: Callable[[str], RehearsedCa | None],
        solvers: EnteredSolvers,
        rules: Sequence[SolverRule],
        kinds: Mapping[str, str],
        dns: AuthoritativeDns,
        caa: CaaLookup,
        patience_s: float,
    ) -> None:
        self._traits = traits
        self._policy = policy
        self._acme = acme
        self._solvers = solvers
        self._rules = rules
        self._kinds = kinds
        self._dns = dns
        self._caa = caa
        self._patience_s = patience_s

    async def steps(self, wanted: IssueOrder) -> AsyncIterator[Step]:
        """Each as soon as it is known. A step in vain ends only those that need it."""
        (name,) = wanted.dns_names
        try:
            choice = choose_ca(wanted, policy=self._policy, known=self._traits)
        except (NoFittingCaError, UnknownCaError) as error:
            yield Step("CA", Outcome.FAILED, str(error))
            return
        yield Step("CA", Outcome.PROVEN, f"{choice.ca}: {self._why(choice.reason, wanted)}")
        chosen = self._acme(choice.ca)
        if chosen is None:
            yield Step("solver", Outcome.NOT_TRIED, f"{choice.ca} signs by files, and nothing is to be proven")
            return
        try:
            meta = await chosen.ca.meta()
        except (AcmeProblemError, CaUnreachableError) as error:
            yield Step("directory", Outcome.FAILED, f"{chosen.settings.directory_url}: {error}")
        else:
            yield _directory(chosen.settings, meta)
            yield await self._allowed(name, chosen, meta)
        try:
            solver = choose_solver(_offered(name, chosen.ca), preference=chosen.ca.preference, rules=self._rules)
        except NoChallengeError as error:
            yield Step("solver", Outcome.FAILED, str(error))
            return
        told = f"{solver.solver} ({self._kinds[solver.solver]}) by {solver.offer.kind}: {_WHY_SOLVER[solver.reason]}"
        yield Step("solver", Outcome.PROVEN, told)
        yield await self._shown(name, solver)
        yield await self._issued(name, chosen)

    def _why(self, reason: CaReason, wanted: IssueOrder) -> str:
        told = _WHY_CA.get(reason, reason.value)
        if reason is not CaReason.POLICY_PRIVATE:
            return told
        first = self._policy.public if wanted.exposure == "public" else self._policy.internal
        return f"{told}, as {'; '.join(map(str, objections(first, self._traits[first], wanted)))}"

    async def _allowed(self, name: str, chosen: RehearsedCa, meta: DirectoryMeta) -> Step:
        if not meta.caa_identities:
            return Step("CAA", Outcome.NOT_TRIED, "the CA's directory doesn't say by which names CAA records mean it")
        methods = frozenset(chosen.ca.preference) & (_BY_DNS if name.startswith("*.") else frozenset(ChallengeKind))
        asker = CaaAsker(meta.caa_identities, chosen.account_url, frozenset(map(str, methods)))
        verdict = await self._caa.allows([name], asker)
        if verdict.reason is CaaReason.OTHER_ACCOUNT and chosen.account_url is None:
            return Step("CAA", Outcome.NOT_TRIED, f"{verdict.detail}: it has none yet in the journal here")
        if not verdict.allowed or verdict.reason is CaaReason.NOT_ANSWERED:
            return Step("CAA", Outcome.FAILED, verdict.detail)
        return Step("CAA", Outcome.PROVEN, f"{' or '.join(meta.caa_identities)} may issue: {_plain(verdict.reason)}")

    async def _shown(self, name: str, choice: SolverChoice) -> Step:
        kind = self._kinds[choice.solver]
        if kind in _OF_ONE_NAME:
            return Step("record", Outcome.NOT_TRIED, f"a record of {kind} belongs to the name itself")
        host = name.removeprefix("*.")
        try:
            solver = await self._solvers.solver(choice.solver)
            record = await self._test_record(host, choice)
            told = await self._tried(solver, record)
        except SolverNotHereError as error:
            return Step("record", Outcome.NOT_TRIED, str(error))
        except SolverError as error:
            return Step("record", Outcome.FAILED, str(error))
        return Step("record", Outcome.PROVEN, told)

    async def _test_record(self, host: str, choice: SolverChoice) -> ChallengeRecord:
        """Of a name that no order uses: for DNS below the place where the name's own record would be written."""
        kind, record_name = choice.offer.kind, secrets.token_urlsafe(32)
        if kind is ChallengeKind.DNS_01:
            place = f"_acme-challenge.{host}"
            if self._kinds[choice.solver] != "challtestsrv":
                place = await self._dns.followed(place)
            record_name = f"_certbus-test-{secrets.token_hex(4)}.{place}"
        elif kind is ChallengeKind.TLS_ALPN_01:
            record_name = f"certbus-test-{secrets.token_hex(4)}.{host}"
        value = secrets.token_urlsafe(32)
        return ChallengeRecord(REHEARSAL, kind, "rehearsal", host, record_name, value, solver=choice.solver)

    async def _tried(self, solver: RunningSolver, record: ChallengeRecord) -> str:
        try:
            await solver.present([record])
            await until_seen(solver, record, patience_s=self._patience_s)
        finally:
            await solver.clean_up([record])
        if record.kind is not ChallengeKind.DNS_01:
            return "shown here and removed; only a CA sees it from outside"
        if self._kinds[record.solver] == "challtestsrv":
            return f"{record.record_name} was written and removed"
        for _ in range(int(self._patience_s)):
            if not (await self._dns.propagated([record])).seen:
                return f"{record.record_name} was written, seen at every authoritative server, and removed"
            await asyncio.sleep(1.0)
        raise SolverError(f"{record.record_name} was removed, and is still there after {self._patience_s:g} s")

    async def _issued(self, name: str, chosen: RehearsedCa) -> Step:
        if chosen.sibling is None:
            told = "the CA has no sibling for tests that is known here: name it by sibling_url"
            return Step("order", Outcome.NOT_TRIED, told)
        order = SiblingOrder(ca=chosen.sibling, solvers=self._solvers, rules=self._rules, patience_s=self._patience_s)
        settings = chosen.settings
        try:
            told = await order.run(name, profile=settings.profile, common_name=settings.common_name)
        except TimeoutError:
            return Step("order", Outcome.FAILED, f"not issued after {self._patience_s:g} s")
        except SolverNotHereError as error:
            return Step("order", Outcome.NOT_TRIED, str(error))
        except (AcmeProblemError, CaUnreachableError, SolverError, NoChallengeError) as error:
            return Step("order", Outcome.FAILED, str(error))
        return Step("order", Outcome.PROVEN, f"at the CA for tests: {told}")


def _directory(settings: CaSettings, meta: DirectoryMeta) -> Step:
    url = settings.directory_url
    if meta.external_account_required and settings.eab is None:
        return Step("directory", Outcome.FAILED, f"{url} wants an external account binding: set eab")
    if settings.profile is not None and settings.profile not in meta.profiles:
        offered = ", ".join(sorted(meta.profiles)) or "none"
        return Step("directory", Outcome.FAILED, f"{url} offers no profile {settings.profile}, but {offered}")
    told = [
        f"{url} answers",
        f"profile {settings.profile} is offered" if settings.profile is not None else "",
        "with external account binding" if settings.eab is not None else "",
        f"terms: {meta.terms_of_service}" if meta.terms_of_service else "",
    ]
    return Step("directory", Outcome.PROVEN, "; ".join(filter(None, told)))


def _offered(name: str, ca: AcmeCa) -> AuthorizationView:
    """As if the CA offered all that it is configured for."""
    offers = tuple(ChallengeOffer(kind, "", "", "") for kind in ca.preference)
    host = name.removeprefix("*.")
    return AuthorizationView(host, name != host, AuthorizationStatus.PENDING, offers, None, None)


def _plain(reason: CaaReason) -> str:
    return {
        CaaReason.NO_RECORDS: "there are no CAA records",
        CaaReason.NOT_RESTRICTED: "no CAA record is about issuing",
        CaaReason.CA_NAMED: "a CAA record names it",
    }.get(reason, reason.value)
