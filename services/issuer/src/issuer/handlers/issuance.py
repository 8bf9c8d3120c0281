"""The steps of a job. Each stores its intent before it calls out, and leaves the job as the journal has it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Container, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certcore.bundles import IssuedBundle, IssueReport
from certcore.clock import Clock
from certcore.errors import PermanentError, SealingError, TransientError
from certkit.registry_client import RegistryClient
from issuer.adapters.journal import Journal
from issuer.adapters.status_stream import StatusStream
from issuer.cas.acme.ca import AcmeCa
from issuer.domain.ca_order import (
    AuthorizationStatus,
    AuthorizationView,
    ChallengeKind,
    OrderMove,
    OrderStatus,
    OrderView,
    judge_order,
    validation_method,
)
from issuer.domain.challenge import ChallengeRecord, ChallengeSolver
from issuer.domain.choice import CaPolicy, choose_ca, choose_challenge
from issuer.domain.errors import (
    AcmeProblemError,
    CaUnreachableError,
    NoChallengeError,
    SolverError,
    UnfitCertificateError,
    UnknownCaError,
    UnsupportedIssueOrderError,
)
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.issued import ari_id, check_issued
from issuer.domain.job import CaOrder, Job, JobState, Step, next_step
from issuer.domain.key_material import make_key_material
from issuer.domain.retry import Verdict, decide_retry, reason_of_problem
from issuer.handlers.order_watch import OrderWatch

__all__ = ["Issuance", "Progress"]

log = structlog.get_logger()

_REPORT_AGAIN: Final = timedelta(seconds=5)
_FINALIZE_TRIES: Final = 3


@dataclass(frozen=True)
class Progress:
    """What this run knows already, so that the next step needn't ask again: the CA's last answer about the order,
    and the job's challenge records.
    """

    job: Job
    view: OrderView | None = None
    records: Sequence[ChallengeRecord] | None = None


class Issuance:
    def __init__(
        self,
        *,
        journal: Journal,
        watch: OrderWatch,
        cas: Collection[str],
        policy: CaPolicy,
        solvers: Mapping[ChallengeKind, ChallengeSolver],
        registry: RegistryClient,
        reports: StatusStream,
        escrow_public_key: str | None,
        blocked_keys: Container[str],
        rsa_key: Callable[[int], RSAPrivateKey],
        executor: Executor,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._watch = watch
        self._cas = cas
        self._policy = policy
        self._solvers = solvers
        self._registry = registry
        self._reports = reports
        self._escrow_public_key = escrow_public_key
        self._blocked_keys = blocked_keys
        self._rsa_key = rsa_key
        self._executor = executor
        self._clock = clock
        self._steps: dict[Step, Callable[[Progress], Awaitable[Progress]]] = {
            Step.MAKE_KEY: self._make_key,
            Step.OPEN_ORDER: self._open_order,
            Step.COLLECT_CHALLENGES: self._collect_challenges,
            Step.PROVE_CONTROL: self._prove_control,
            Step.FINALIZE: self._finalize,
            Step.STORE_BUNDLE: self._store_bundle,
            Step.REPORT: self._report,
        }

    async def take(self, step: Step, at: Progress) -> Progress:
        """Take one step of work; waiting and resting are none.

        Raises:
            JobFailedError: with what `decide_retry` needs.
            JobTakenError: another worker has the job.
        """
        try:
            return await self._steps[step](at)
        except AcmeProblemError as problem:
            raise JobFailedError(
                reason_of_problem(problem), str(problem), retry_after=problem.retry_after
            ) from problem
        except CaUnreachableError as error:
            raise JobFailedError(FailureReason.CA_UNREACHABLE, str(error)) from error
        except SolverError as error:
            raise JobFailedError(FailureReason.SOLVER_UNREACHABLE, str(error)) from error

    async def fail(self, job: Job, failure: JobFailedError) -> Verdict:
        """Store what follows from a failure."""
        verdict = decide_retry(job, failure, now=self._clock())
        removed = await self._removed(await self._journal.records(job.id)) if verdict.abandons else ()
        return replace(verdict, job=await self._store(job, verdict.job, removed=removed))

    async def tidy(self, records: Sequence[ChallengeRecord]) -> None:
        """Remove records that a crash, or a place that was away, left behind."""
        await self._journal.forget_records(await self._removed(records))

    async def _removed(self, records: Sequence[ChallengeRecord]) -> Sequence[ChallengeRecord]:
        """Those of the records that are shown no more; a place that is away keeps its records for the next round."""
        removed: list[ChallengeRecord] = []
        for kind, of_kind in _by_kind(records).items():
            try:
                await self._solvers[kind].clean_up(of_kind)
            except SolverError as error:
                log.warning("challenges_left", kind=kind, names=len(of_kind), error=str(error))
            else:
                removed += of_kind
        return removed

    async def _make_key(self, at: Progress) -> Progress:
        job = at.job
        try:
            ca = job.ca or self._choose_ca(job)
            make = partial(
                make_key_material,
                job.issue_order,
                escrow_public_key=self._escrow_public_key,
                blocked=self._blocked_keys,
                rsa_key=self._rsa_key,
            )
            # An RSA key that is not ready takes a tenth of a second: not on the event loop.
            key = await asyncio.get_running_loop().run_in_executor(self._executor, make)
        except UnsupportedIssueOrderError as error:
            raise JobFailedError(FailureReason.ISSUE_ORDER_UNSUPPORTED, str(error)) from error
        except UnknownCaError as error:
            raise JobFailedError(FailureReason.UNKNOWN_CA, str(error)) from error
        except SealingError as error:
            raise JobFailedError(FailureReason.RECIPIENT_UNFIT, str(error)) from error
        return Progress(await self._forward(job, replace(job, state=JobState.KEYED, ca=ca, key=key)))

    def _choose_ca(self, job: Job) -> str:
        wanted = job.issue_order
        choice = choose_ca(
            allowed=wanted.cas,
            named=wanted.issuer,
            exposure=wanted.exposure,
            policy=self._policy,
            known=self._cas,
        )
        log.info("ca_chosen", ca=choice.ca, reason=choice.reason)
        return choice.ca

    async def _open_order(self, at: Progress) -> Progress:
        job = at.job
        wanted = job.issue_order
        replaces = wanted.replaces if job.abandoned == 0 else None
        view = await self._watch.ca_of(job).open_order(wanted.dns_names, replaces=replaces, profile=wanted.profile)
        order = CaOrder(view.url, view.finalize_url)
        ordered = await self._forward(job, replace(job, state=JobState.ORDERED, ca_order=order))
        log.info("order_opened", order=view.url, status=view.status)
        return Progress(ordered, view)

    async def _collect_challenges(self, at: Progress) -> Progress:
        job, view = await self._looked(at)
        match judge_order(view):
            case OrderMove.ABANDON:
                raise JobFailedError(FailureReason.ORDER_INVALID, await self._watch.why_invalid(job, view))
            case OrderMove.PROVE:
                pass
            case _:
                # The CA knows this account and these names: nothing is to be proven.
                known = replace(job, state=JobState.FINALIZING, validation_method="reused")
                return Progress(await self._forward(job, known), view)
        ca = self._watch.ca_of(job)
        authorizations = await asyncio.gather(*map(ca.authorization, view.authorizations))
        records, methods = [], set()
        for authorization in authorizations:
            if authorization.status is AuthorizationStatus.VALID:
                methods.add(authorization.proven_by or "reused")
                continue
            record = self._record(job, authorization, ca)
            records.append(record)
            methods.add(str(record.kind))
        validating = replace(job, state=JobState.VALIDATING, validation_method=validation_method(methods))
        return Progress(await self._forward(job, validating, records=records), view, records)

    def _record(self, job: Job, authorization: AuthorizationView, ca: AcmeCa) -> ChallengeRecord:
        if authorization.status is not AuthorizationStatus.PENDING:
            detail = f"{authorization.identifier} is {authorization.status}: {authorization.problem or 'no reason'}"
            raise JobFailedError(FailureReason.ORDER_INVALID, detail)
        try:
            choice = choose_challenge(authorization, preference=ca.preference)
        except NoChallengeError as error:
            raise JobFailedError(FailureReason.NO_CHALLENGE, str(error)) from error
        offer = choice.offer
        log.info("challenge_chosen", identifier=authorization.identifier, kind=offer.kind, reason=choice.reason)
        return ChallengeRecord(
            job=job.id,
            kind=offer.kind,
            url=offer.url,
            identifier=authorization.identifier,
            record_name=offer.record_name,
            record_value=offer.record_value,
        )

    async def _prove_control(self, at: Progress) -> Progress:
        job, view = await self._looked(at)
        records = await self._journal.records(job.id) if at.records is None else at.records
        if judge_order(view) is OrderMove.PROVE:
            # All are shown before the first is answered: a CA may look at once.
            for kind, of_kind in _by_kind(records).items():
                await self._solvers[kind].present(of_kind)
            await asyncio.gather(*(self._watch.ca_of(job).answer(record.url) for record in records))
            job, view = await self._watch.until_moved(job, still=OrderMove.PROVE, view=view)
        if judge_order(view) is OrderMove.ABANDON:
            raise JobFailedError(FailureReason.ORDER_INVALID, await self._watch.why_invalid(job, view))
        return Progress(await self._forward(job, replace(job, state=JobState.FINALIZING)), view, records)

    async def _finalize(self, at: Progress) -> Progress:
        job, view = await self._looked(at)
        for _ in range(_FINALIZE_TRIES):
            match judge_order(view):
                case OrderMove.FINALIZE:
                    view = await self._ask_to_sign(job, view)
                    job, view = await self._watch.until_moved(job, still=OrderMove.WAIT, view=view)
                case OrderMove.WAIT:
                    job, view = await self._watch.until_moved(job, still=OrderMove.WAIT, view=view)
                case OrderMove.FETCH:
                    chain = await self._watch.ca_of(job).certificate(view.certificate_url or "")
                    issued = await self._forward(job, replace(job, state=JobState.ISSUED, chain_pem=chain))
                    log.info("chain_fetched", order=view.url)
                    return Progress(issued, records=at.records)
                case OrderMove.PROVE:
                    return Progress(await self._forward(job, replace(job, state=JobState.ORDERED)), view)
                case OrderMove.ABANDON:
                    raise JobFailedError(FailureReason.ORDER_INVALID, await self._watch.why_invalid(job, view))
        raise JobFailedError(FailureReason.CA_TROUBLE, f"{view.url} stays {view.status} after finalize")

    async def _ask_to_sign(self, job: Job, view: OrderView) -> OrderView:
        """The order after a finalize. Where its answer got lost, the next run looks before it asks again."""
        csr = job.key.csr_der if job.key else b""
        try:
            asked = await self._watch.ca_of(job).finalize(view.finalize_url, csr)
        except AcmeProblemError as problem:
            if problem.type != "orderNotReady":
                raise
            return await self._watch.ca_of(job).order(view.url)
        # An answer that still says ready is older than the request: only a new look counts.
        status = OrderStatus.PROCESSING if asked.status is OrderStatus.READY else asked.status
        return replace(asked, url=view.url, status=status)

    async def _store_bundle(self, at: Progress) -> Progress:
        job = at.job
        key, chain = job.key, job.chain_pem or ""
        if key is None:
            raise JobFailedError(FailureReason.UNFORESEEN, "the journal has a chain without its key")
        wanted = job.issue_order.dns_names
        try:
            leaf = check_issued(chain, spki_sha256=key.spki_sha256, dns_names=wanted, now=self._clock())
        except UnfitCertificateError as error:
            if job.stored_at is not None:
                return await self._not_needed(job, str(error))
            raise JobFailedError(FailureReason.CERTIFICATE_UNFIT, str(error)) from error
        report = IssueReport(ca=job.ca or "", validation_method=job.validation_method, ari_id=ari_id(leaf))
        bundle = IssuedBundle(chain_pem=chain, keys=key.for_recipients(), report=report, escrow=key.for_escrow)
        try:
            done = await self._registry.store_bundle(job.id.certificate_id, job.id.revision, bundle, job.id.variant)
        except TransientError as error:
            raise JobFailedError(FailureReason.REGISTRY_UNREACHABLE, str(error)) from error
        except PermanentError as error:
            if job.stored_at is not None:
                return await self._not_needed(job, str(error))
            raise JobFailedError(FailureReason.REGISTRY_REFUSED, str(error)) from error
        records = await self._journal.records(job.id) if at.records is None else at.records
        removed = await self._removed(records)
        now = self._clock()
        stored = replace(
            job,
            state=JobState.STORED,
            refusals=0,
            problem=None,
            # A registry of an earlier version has to be told by an event.
            report_at=None if done.reported else now,
            stored_at=now,
            not_after=leaf.not_after,
        )
        return Progress(await self._forward(job, stored, removed=removed))

    async def _not_needed(self, job: Job, why: str) -> Progress:
        """A bundle that the registry had before, and doesn't take again, is no failure: nothing is ordered for it."""
        log.warning("bundle_not_taken_again", reason=why)
        return Progress(await self._forward(job, replace(job, state=JobState.STORED, problem=None, report_at=None)))

    async def _report(self, at: Progress) -> Progress:
        """Tell how the job stands. A bus that is away doesn't hold the job up: it is told later."""
        job = at.job
        try:
            await self._reports.stands(job)
        except TransientError as error:
            log.warning("report_postponed", error=str(error))
            later = replace(job, report_at=self._clock() + _REPORT_AGAIN)
            return Progress(await self._store(job, later))
        return Progress(await self._store(job, replace(job, report_at=None)))

    async def _looked(self, at: Progress) -> tuple[Job, OrderView]:
        """The order as this run knows it, else as the CA says."""
        return (at.job, at.view) if at.view is not None else await self._watch.look(at.job)

    async def _forward(
        self,
        before: Job,
        after: Job,
        *,
        records: Sequence[ChallengeRecord] = (),
        removed: Sequence[ChallengeRecord] = (),
    ) -> Job:
        """Store a job that got one state further: what went wrong in a row before is over."""
        order = replace(after.ca_order, unanswered_since=None) if after.ca_order else None
        further = replace(after, ca_order=order, setbacks=0, wait_until=None)
        return await self._store(before, further, records=records, removed=removed)

    async def _store(
        self,
        before: Job,
        after: Job,
        *,
        records: Sequence[ChallengeRecord] = (),
        removed: Sequence[ChallengeRecord] = (),
    ) -> Job:
        """The lease goes back with the last write of a run."""
        release = next_step(after, now=self._clock()) in {Step.WAIT, Step.REST}
        return await self._journal.advance(before, after, records=records, removed=removed, release=release)


def _by_kind(records: Sequence[ChallengeRecord]) -> dict[ChallengeKind, list[ChallengeRecord]]:
    return {
        kind: [record for record in records if record.kind is kind]
        for kind in sorted({record.kind for record in records})
    }
