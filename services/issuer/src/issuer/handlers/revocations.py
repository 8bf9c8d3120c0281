"""Revokes a leaf: first what would be done, and whether it may be; then the act, its proof, and the journal.

Nothing is stored before the CA is asked: who repeats it after a crash hears that it is revoked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Final, Protocol

import structlog

from certcore.clock import Clock
from certcore.inspection import X509Certificate
from issuer.adapters.journal import Journal
from issuer.adapters.leaf_book import LeafBook, leaf_of
from issuer.adapters.window_book import rest
from issuer.cas.acme.jws import PrivateKey
from issuer.domain.crl import CrlCa, ListedLeaf
from issuer.domain.errors import CrlUnwritableError, JobTakenError, RevocationRefusedError
from issuer.domain.job import JobId
from issuer.domain.revocation import Asked, CaSort, RevocationVerdict, Way, decide_revocation
from issuer.domain.revoked import Revocation
from issuer.domain.signing import SigningCa
from issuer.handlers.crls import Crls

__all__ = ["AskedCa", "Plan", "Proof", "Revocations", "Revoked", "RevokingCa"]

log = structlog.get_logger()

_WRITE_TRIES: Final = 8


class RevokingCa(Protocol):
    """A CA with ACME. Its calls raise AcmeProblemError and CaUnreachableError."""

    async def revokes(self) -> bool: ...

    async def revoke(self, certificate_der: bytes, reason: int, *, key: PrivateKey | None = None) -> bool:
        """True where it was revoked before."""
        ...


@dataclass(frozen=True)
class AskedCa:
    """`has_account` tells that the journal has an account there: none is made in order to revoke."""

    ca: RevokingCa
    directory_url: str
    has_account: bool


@dataclass(frozen=True)
class Plan:
    """`told` says why it may be done. `key` signs for it, where the certificate's own does."""

    leaf: X509Certificate
    asked: Asked
    jobs: tuple[JobId, ...]
    ca: str
    way: Way
    verdict: RevocationVerdict
    told: str
    key: PrivateKey | None = field(default=None, repr=False)


class Proof(StrEnum):
    SAID_SO = "said_so"
    """The CA, asked again, said that it is revoked."""
    LISTED = "listed"
    """The serial is in the CRL, as read again."""
    TAKEN_TWICE = "taken_twice"
    """The CA took it once more, without a word of what it is."""


@dataclass(frozen=True)
class Revoked:
    """`before` tells that it was revoked already when it was asked for; `detail` is for people."""

    before: bool
    proof: Proof
    detail: str = ""


class Revocations:
    """`acme` and `signing` are the configured CAs, by name."""

    def __init__(
        self,
        *,
        journal: Journal,
        leaves: LeafBook,
        acme: Mapping[str, AskedCa],
        signing: Mapping[str, SigningCa],
        crls: Crls,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._leaves = leaves
        self._acme = acme
        self._signing = signing
        self._crls = crls
        self._clock = clock

    async def plan(self, leaf: X509Certificate, asked: Asked, *, key: PrivateKey | None = None) -> Plan:
        """What is to be done; nothing is changed, and of the CA only its directory is read.

        Raises:
            RevocationRefusedError: it may not be done, or can't; the message has the way out.
            AcmeProblemError, CaUnreachableError: the CA's directory can't be read.
            DatabaseBusyError: the journal can't be read now.
        """
        known = await self._leaves.known(leaf.der, spki_sha256=leaf.spki_sha256)
        sorts = {**dict.fromkeys(self._signing, CaSort.SIGNING), **dict.fromkeys(self._acme, CaSort.ACME)}
        decision = decide_revocation(leaf, known, asked, cas=sorts, now=self._clock())
        if decision.ca is None or decision.way is None:
            raise RevocationRefusedError(decision.verdict, decision.told)
        plan = Plan(
            leaf=leaf,
            asked=asked,
            jobs=tuple(one.job for one in known),
            ca=decision.ca,
            way=decision.way,
            verdict=decision.verdict,
            told=decision.told,
            key=key,
        )
        if plan.way is Way.BY_LIST:
            self._listing(plan)
        else:
            await self._may_ask(plan)
        return plan

    async def carry_out(self, plan: Plan) -> Revoked:
        """Do it. Safe to repeat, whatever became of it before.

        Raises:
            RevocationRefusedError, AcmeProblemError, CaUnreachableError, CrlUnwritableError: it isn't revoked, or
                isn't proven to be; the message says which.
            DatabaseBusyError, JobTakenError: it may be revoked, and the journal doesn't know: to be repeated.
        """
        revocation = Revocation(self._clock(), plan.asked.reason)
        if plan.way is Way.BY_LIST:
            leaf = ListedLeaf(int(plan.leaf.serial, 16), revocation, plan.leaf.not_after)
            noted = await self._crls.add(self._listing(plan), leaf)
            before, revocation = noted is not None, noted or revocation
        else:
            before = await self._ask(plan)
        log.info("certificate_revoked", ca=plan.ca, serial=plan.leaf.serial, reason=revocation.reason, before=before)
        for job_id in plan.jobs:
            await self._keep(job_id, plan.leaf, revocation)
        return await self._proven(plan, before=before)

    async def _may_ask(self, plan: Plan) -> None:
        asked = self._acme[plan.ca]
        if plan.way is Way.BY_ACCOUNT and not asked.has_account:
            raise RevocationRefusedError(
                "no_account",
                f"the journal has no account at {plan.ca}, whose certificates that would revoke: give the"
                " certificate's own key by --key-file",
            )
        if not await asked.ca.revokes():
            raise RevocationRefusedError(
                "no_revocation",
                f"{plan.ca} revokes nothing by ACME: {asked.directory_url} has no revokeCert. Ask it by other means",
            )

    async def _ask(self, plan: Plan) -> bool:
        return await self._acme[plan.ca].ca.revoke(plan.leaf.der, plan.asked.reason.code, key=plan.key)

    async def _proven(self, plan: Plan, *, before: bool) -> Revoked:
        """That it was done is no proof: whoever looks again finds how it stands."""
        if plan.way is not Way.BY_LIST:
            said_so = before or await self._ask(plan)
            return Revoked(before, Proof.SAID_SO if said_so else Proof.TAKEN_TWICE)
        published = await self._listing(plan).published_crl()
        if published is None or int(plan.leaf.serial, 16) not in published.serials:
            raise CrlUnwritableError(plan.ca, "the serial isn't in it: another process wrote an older one")
        detail = f"CRL {published.number}, until {published.next_update:%Y-%m-%dT%H:%MZ}"
        return Revoked(before, Proof.LISTED, detail)

    def _listing(self, plan: Plan) -> CrlCa:
        ca = self._signing[plan.ca]
        if not isinstance(ca, CrlCa):
            raise RevocationRefusedError("no_revocation", f"{plan.ca} is of a kind that can't revoke")
        if ca.crl_hindrance is not None:
            raise RevocationRefusedError("no_crl", f"{plan.ca} can't revoke: {ca.crl_hindrance}")
        if not ca.signed(plan.leaf):
            raise RevocationRefusedError(
                RevocationVerdict.OTHER_CA, f"{plan.ca} didn't sign it, but {plan.leaf.issuer[:200]}"
            )
        return ca

    async def _keep(self, job_id: JobId, leaf: X509Certificate, revocation: Revocation) -> None:
        """In the journal; what is there already stays. A worker that has the job loses it, and sees it next."""
        for _ in range(_WRITE_TRIES):
            before = await self._journal.find(job_id)
            if before is None or before.revocation is not None or leaf_of(before) != leaf.der:
                # The last: it is issued anew since.
                return
            after = replace(before, revocation=revocation, not_after=leaf.not_after)
            try:
                await self._journal.advance(before, after, within=partial(rest, job_id))
            except JobTakenError:
                continue
            return
        raise JobTakenError(str(job_id))
