"""Asks a CA without ACME to sign what a job has."""

from collections.abc import Mapping

from certcore.clock import Clock
from issuer.domain.errors import SigningRefusedError
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import Job
from issuer.domain.signing import PROFILES, SigningCa, SigningRequest, signing_instant

__all__ = ["Signing"]


class Signing:
    def __init__(self, *, cas: Mapping[str, SigningCa], clock: Clock) -> None:
        self._cas = cas
        self._clock = clock

    def __contains__(self, ca: object) -> bool:
        return ca in self._cas

    async def chain(self, job: Job) -> str:
        """What the CA signed for this job. Nothing is to be stored before: whoever asks again gets the same.

        Raises:
            JobFailedError: with what `decide_retry` needs.
        """
        ca, wanted, key = self._cas[job.ca or ""], job.issue_order, job.key
        if key is None:
            raise JobFailedError(FailureReason.UNFORESEEN, "the journal has no key of a job that is to be signed")
        usages = PROFILES.get(wanted.profile)
        if usages is None:
            known = ", ".join(name for name in PROFILES if name is not None)
            detail = f"{ca.name} has the profiles {known}, and not {wanted.profile}"
            raise JobFailedError(FailureReason.ISSUE_ORDER_UNFIT, detail)
        at = signing_instant(job.accepted_at, now=self._clock())
        try:
            return await ca.sign(SigningRequest(job.id, key.csr_der, wanted.dns_names, at, usages))
        except SigningRefusedError as error:
            raise JobFailedError(FailureReason.CA_REFUSED, str(error)) from error
