"""Where a job goes whose CA is away or refused it: to the next one that CAA records allow."""

from collections.abc import Collection, Mapping
from typing import Final

import structlog

from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.domain.failure import JobFailedError, told
from issuer.domain.fallback import Fallback
from issuer.domain.job import Job
from issuer.handlers.bulkheads import Bulkheads
from issuer.handlers.caa_check import CaaCheck, IdentifiedCa

__all__ = ["Fallbacks"]

log = structlog.get_logger()

_TOLD: Final = 300


class Fallbacks:
    """`cas` are those that prove control; the others heed no CAA records."""

    def __init__(self, *, bulkheads: Bulkheads, caa: CaaCheck, cas: Mapping[str, IdentifiedCa]) -> None:
        self._bulkheads = bulkheads
        self._caa = caa
        self._cas = cas

    async def decide(self, job: Job, *, known: Collection[str]) -> Fallback:
        """Before it leaves: a CA that it may not use would be one more that refuses it, and the first isn't tried
        again.
        """
        hindered: dict[str, str] = {}
        while True:
            found = self._bulkheads.following(job, known=known, hindered=hindered)
            hindrance = await self._hindrance(job, found.ca)
            if found.ca is None or hindrance is None:
                break
            hindered[found.ca] = hindrance
        if found.ca is not None:
            log.warning("ca_left", ca=job.ca, following=found.ca, reason=found.reason, problem=job.problem)
        elif found.detail:
            log.warning("ca_kept", ca=job.ca, reason=found.reason, detail=found.detail)
        return found

    async def _hindrance(self, job: Job, ca: str | None) -> str | None:
        asked = self._cas.get(ca or "")
        if asked is None:
            return None
        try:
            await self._caa.check(asked, job.issue_order.dns_names)
        except JobFailedError as failure:
            return failure.detail
        except AcmeProblemError as problem:
            return f"it can't be asked: {told(problem)}"[:_TOLD]
        except CaUnreachableError as error:
            return f"it can't be asked: {error}"[:_TOLD]
        return None
