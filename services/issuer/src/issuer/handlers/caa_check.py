"""Before an order: whether CAA records of the names let the CA issue, so that none of its tries is spent in vain."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import structlog

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.caa import CaaAsker, CaaLookup, CaaReason
from issuer.domain.failure import FailureReason, JobFailedError

__all__ = ["CaaCheck", "IdentifiedCa"]

log = structlog.get_logger()

_BY_ACCOUNT: Final = frozenset({CaaReason.OTHER_ACCOUNT, CaaReason.OTHER_METHOD})
"""With our account there it may be another verdict: a record may name it."""
_BY_DNS: Final = frozenset({ChallengeKind.DNS_01, ChallengeKind.DNS_PERSIST_01})


class IdentifiedCa(Protocol):
    """What of a CA matters to CAA records."""

    @property
    def preference(self) -> Sequence[ChallengeKind]: ...

    async def caa_identities(self) -> tuple[str, ...]: ...

    async def account_url(self) -> str: ...


class CaaCheck:
    def __init__(self, lookup: CaaLookup) -> None:
        self._lookup = lookup

    async def check(self, ca: IdentifiedCa, names: Sequence[str]) -> None:
        """Return where the CA may issue for all the names, as far as anybody here can tell.

        Raises:
            JobFailedError: it may not.
            AcmeProblemError, CaUnreachableError: as the CA's methods do.
        """
        identities = await ca.caa_identities()
        if not identities:
            return
        methods = frozenset(ca.preference)
        wild = [name for name in names if name.startswith("*.")]
        plain = [name for name in names if not name.startswith("*.")]
        for some, proving in ((plain, methods), (wild, methods & _BY_DNS)):
            if not some:
                continue
            asker = CaaAsker(identities, None, frozenset(map(str, proving)))
            verdict = await self._lookup.allows(some, asker)
            if verdict.reason in _BY_ACCOUNT:
                # No account is made at a CA that isn't asked in the end.
                verdict = await self._lookup.allows(some, replace(asker, account_url=await ca.account_url()))
            if not verdict.allowed:
                raise JobFailedError(FailureReason.CAA_FORBIDS, verdict.detail)
            if verdict.reason is CaaReason.NOT_ANSWERED:
                log.warning("caa_not_looked_up", names=len(some), error=verdict.detail)
