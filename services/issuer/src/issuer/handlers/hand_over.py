"""Hands what was issued over to the registry, if it is what was wanted."""

from dataclasses import replace

import structlog

from certcore.bundles import IssuedBundle, IssueReport
from certcore.clock import Clock
from certcore.errors import PermanentError, TransientError
from certkit.registry_client import RegistryClient
from issuer.domain.errors import UnfitCertificateError
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.issued import ari_id, check_issued
from issuer.domain.job import Job, JobState

__all__ = ["HandOver"]

log = structlog.get_logger()


class HandOver:
    def __init__(self, *, registry: RegistryClient, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    async def done(self, job: Job) -> Job:
        """The job as it is to be stored, when the registry has its bundle, or doesn't take it again.

        Raises:
            JobFailedError: with what `decide_retry` needs.
        """
        key, chain = job.key, job.chain_pem or ""
        if key is None:
            raise JobFailedError(FailureReason.UNFORESEEN, "the journal has a chain without its key")
        if job.revocation is not None:
            raise JobFailedError(FailureReason.REVOKED, job.revocation.told)
        wanted = job.issue_order.dns_names
        try:
            leaf = check_issued(chain, spki_sha256=key.spki_sha256, dns_names=wanted, now=self._clock())
        except UnfitCertificateError as error:
            if job.stored_at is not None:
                return _not_needed(job, str(error))
            raise JobFailedError(FailureReason.CERTIFICATE_UNFIT, str(error)) from error
        report = IssueReport(
            ca=job.ca or "",
            validation_method=job.validation_method,
            ari_id=ari_id(leaf, ordered=job.ca_order is not None),
        )
        bundle = IssuedBundle(chain_pem=chain, keys=key.for_recipients(), report=report, escrow=key.for_escrow)
        try:
            done = await self._registry.store_bundle(job.id.certificate_id, job.id.revision, bundle, job.id.variant)
        except TransientError as error:
            raise JobFailedError(FailureReason.REGISTRY_UNREACHABLE, str(error)) from error
        except PermanentError as error:
            if job.stored_at is not None:
                return _not_needed(job, str(error))
            raise JobFailedError(FailureReason.REGISTRY_REFUSED, str(error)) from error
        now = self._clock()
        return replace(
            job,
            state=JobState.STORED,
            refusals=0,
            problem=None,
            # A registry of an earlier version has to be told by an event.
            report_at=None if done.reported else now,
            stored_at=now,
            not_after=leaf.not_after,
        )


def _not_needed(job: Job, why: str) -> Job:
    """A bundle that the registry had before, and doesn't take again, is no failure: nothing is ordered for it."""
    log.warning("bundle_not_taken_again", reason=why)
    return replace(job, state=JobState.STORED, problem=None, report_at=None)
