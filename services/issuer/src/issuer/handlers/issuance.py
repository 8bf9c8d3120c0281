"""The steps of a job. Each stores its intent before it calls out, and leaves the job as the journal has it."""

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certcore.certificate import KeyAlgorithm
from certcore.clock import Clock
from certcore.errors import SealingError, TransientError
from issuer.adapters.journal import Journal
from issuer.adapters.status_stream import StatusStream
from issuer.domain.ca_order import (
    AuthorizationStatus,
    OrderMove,
    OrderStatus,
    OrderView,
    judge_order,
    validation_method,
)
from issuer.domain.ca_traits import CaTraits, ObjectionReason
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.choice import CaPolicy, choose_ca, fitting
from issuer.domain.errors import (
    AcmeProblemError,
    CaUnreachableError,
    NoFittingCaError,
    SolverError,
    UnknownCaError,
    UnsupportedIssueOrderError,
)
from issuer.domain.failure import FailureReason, JobFailedError, JobWaitsError, reason_of_problem, told
from issuer.domain.job import CaOrder, Job, JobState, Step, next_step
from issuer.domain.key_material import make_key_material
from issuer.domain.order_loss import answered
from issuer.domain.replacing import Why, replaced_by
from issuer.domain.retry import Verdict, decide_retry
from issuer.domain.waiting import decide_wait, without_wait
from issuer.handlers.budgets import Budgets
from issuer.handlers.bulkheads import Bulkheads
from issuer.handlers.caa_check import CaaCheck
from issuer.handlers.challenge_times import ChallengeTimes
from issuer.handlers.challenges import Challenges
from issuer.handlers.fallbacks import Fallbacks
from issuer.handlers.hand_over import HandOver
from issuer.handlers.order_watch import OrderWatch
from issuer.handlers.progress import Progress
from issuer.handlers.signing import Signing

__all__ = ["Issuance"]

log = structlog.get_logger()

_REPORT_AGAIN: Final = timedelta(seconds=5)
_FINALIZE_TRIES: Final = 3
_MADE_AT_ONCE: Final = frozenset({KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384})
"""In less time than a thread takes to begin."""
_GO_ON_AT_CA: Final = frozenset({Step.COLLECT_CHALLENGES, Step.PROVE_CONTROL, Step.FINALIZE})
_ASK_THE_CA: Final = _GO_ON_AT_CA | {Step.OPEN_ORDER}


class Issuance:
    def __init__(
        self,
        *,
        journal: Journal,
        watch: OrderWatch,
        bulkheads: Bulkheads,
        signing: Signing,
        cas: Mapping[str, CaTraits],
        policy: CaPolicy,
        challenges: Challenges,
        times: ChallengeTimes,
        caa: CaaCheck,
        fallbacks: Fallbacks,
        budgets: Budgets,
        hand_over: HandOver,
        reports: StatusStream,
        escrow_public_key: str | None,
        blocked_keys: Container[str],
        rsa_key: Callable[[int], RSAPrivateKey],
        executor: Executor,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._watch = watch
        self._bulkheads = bulkheads
        self._signing = signing
        self._cas = cas
        self._policy = policy
        self._challenges = challenges
        self._times = times
        self._caa = caa
        self._fallbacks = fallbacks
        self._budgets = budgets
        self._hand_over = hand_over
        self._reports = reports
        self._escrow_public_key = escrow_public_key
        self._blocked_keys = blocked_keys
        self._rsa_key = rsa_key
        self._executor = executor
        self._clock = clock
        self._steps: dict[Step, Callable[[Progress], Awaitable[Progress]]] = {
            Step.MAKE_KEY: self._make_key,
            Step.OPEN_ORDER: self._open_order,
            Step.SIGN: self._sign,
            Step.COLLECT_CHALLENGES: self._collect_challenges,
            Step.PROVE_CONTROL: self._prove_control,
            Step.FINALIZE: self._finalize,
            Step.STORE_BUNDLE: self._store_bundle,
            Step.REPORT: self._report,
        }

    def next_step(self, job: Job) -> Step:
        return next_step(job, now=self._clock(), signing=self._signing)

    async def take(self, step: Step, at: Progress) -> Progress:
        """Take one step of work; waiting and resting are none.

        Raises:
            JobFailedError: with what `decide_retry` needs.
            JobWaitsError: with what `decide_wait` needs.
            JobTakenError: another worker has the job.
        """
        if step in _GO_ON_AT_CA:
            self._bulkheads.admit(at.job)
        began = self._clock()
        try:
            after = await self._steps[step](at)
        except AcmeProblemError as problem:
            if step is not Step.OPEN_ORDER:
                await self._budgets.limited(at.job, problem, sent_at=began)
            reason = reason_of_problem(problem)
            raise JobFailedError(reason, told(problem), retry_after=problem.retry_after) from problem
        except CaUnreachableError as error:
            raise JobFailedError(FailureReason.CA_UNREACHABLE, str(error)) from error
        except SolverError as error:
            raise JobFailedError(FailureReason.SOLVER_UNREACHABLE, str(error)) from error
        if step in _ASK_THE_CA and after.job.ca == at.job.ca:
            self._bulkheads.answered(at.job.ca)
        return after

    async def wait(self, job: Job, waits: JobWaitsError) -> Job:
        """Store for what, and until when, it waits."""
        return await self._store(job, decide_wait(job, waits, now=self._clock()))

    async def fail(self, at: Progress, failure: JobFailedError) -> Verdict:
        """Store what follows from a failure."""
        job, failure = at.job, failure.beside(at.beside)
        await self._budgets.failed(job, failure)
        outage = self._bulkheads.failed(job.ca, failure.reason, retry_after=failure.retry_after)
        verdict = decide_retry(job, failure, now=self._clock(), outage=outage)
        removed = await self._challenges.removed(await self._journal.records(job.id)) if verdict.abandons else ()
        return replace(verdict, job=await self._store(job, verdict.job, removed=removed))

    async def _make_key(self, at: Progress) -> Progress:
        try:
            return Progress(await self._forward(at.behind or at.job, await self._keyed(at.job)))
        except JobFailedError:
            if at.behind is not None:
                at.job = await self._store(at.behind, at.job)
            raise

    async def _keyed(self, job: Job) -> Job:
        try:
            ca = job.ca or self._choose_ca(job)
            make = partial(
                make_key_material,
                job.issue_order,
                escrow_public_key=self._escrow_public_key,
                blocked=self._blocked_keys,
                rsa_key=self._rsa_key,
                common_name=self._cas.get(ca, CaTraits()).common_name,
            )
            if job.issue_order.key_algorithm in _MADE_AT_ONCE:
                key = make()
            else:
                # An RSA key that is not ready takes a tenth of a second: not on the event loop.
                key = await asyncio.get_running_loop().run_in_executor(self._executor, make)
        except UnsupportedIssueOrderError as error:
            raise JobFailedError(FailureReason.ISSUE_ORDER_UNSUPPORTED, str(error)) from error
        except UnknownCaError as error:
            raise JobFailedError(FailureReason.UNKNOWN_CA, str(error)) from error
        except NoFittingCaError as error:
            private = any(one.reason is ObjectionReason.PRIVATE_NAME for one in error.objections)
            reason = FailureReason.NAME_NOT_PUBLIC if private else FailureReason.ISSUE_ORDER_UNFIT
            raise JobFailedError(reason, str(error)) from error
        except SealingError as error:
            raise JobFailedError(FailureReason.RECIPIENT_UNFIT, str(error)) from error
        return replace(job, state=JobState.KEYED, ca=ca, key=key)

    def _choose_ca(self, job: Job) -> str:
        choice = choose_ca(job.issue_order, policy=self._policy, known=self._cas)
        log.info("ca_chosen", ca=choice.ca, reason=choice.reason)
        return choice.ca

    async def _sign(self, at: Progress) -> Progress:
        """A CA without ACME: nothing is proven, and asking again gets the same."""
        chain = await self._signing.chain(at.job)
        signed = replace(at.job, state=JobState.ISSUED, chain_pem=chain, validation_method="signed")
        return Progress(await self._forward(at.job, signed))

    async def _open_order(self, at: Progress) -> Progress:
        job = at.job
        fallback = await self._fallbacks.decide(job, known=fitting(job.issue_order, self._cas))
        if fallback.ca is not None:
            following = replace(
                job, ca=fallback.ca, refusals=0, reason=None, problem=None, problem_at=None, report_at=self._clock()
            )
            return Progress(await self._forward(job, following))
        at.beside = fallback.detail
        self._bulkheads.admit(job, beside=at.beside)
        ca, wanted = self._watch.ca_of(job), job.issue_order
        await self._caa.check(ca, wanted.dns_names)
        replacing = replaced_by(job)
        if replacing.reason is Why.FAILS:
            log.warning("replacement_not_named", ca=job.ca, replaces=wanted.replaces, reason=replacing.reason)
        # What a refusal teaches is stored before another order may be asked for.
        async with self._bulkheads.new_order(job), self._budgets.new_order(job):
            view = await ca.open_order(wanted.dns_names, replaces=replacing.ari_id, profile=wanted.profile)
        order = CaOrder(view.url, view.finalize_url)
        ordered = await self._forward(job, replace(job, state=JobState.ORDERED, ca_order=order))
        log.info("order_opened", order=view.url, status=view.status)
        return Progress(ordered, view)

    async def _collect_challenges(self, at: Progress) -> Progress:
        view = await self._looked(at)
        match judge_order(view):
            case OrderMove.ABANDON:
                raise await self._watch.invalid(at.job, view)
            case OrderMove.PROVE:
                pass
            case _:
                # The CA knows this account and these names: nothing is to be proven.
                known = replace(at.job, validation_method="reused")
                return Progress(await self._to_finalize(at.job, known), view)
        ca = self._watch.ca_of(at.job)
        authorizations = await asyncio.gather(*map(ca.authorization, view.authorizations))
        records, methods = [], set()
        for authorization in authorizations:
            if authorization.status is AuthorizationStatus.VALID:
                methods.add(authorization.proven_by or "reused")
                continue
            record = self._challenges.chosen(at.job, authorization, preference=ca.preference)
            records.append(record)
            methods.add(str(record.kind))
        validating = replace(at.job, state=JobState.VALIDATING, validation_method=validation_method(methods))
        return Progress(await self._forward(at.job, validating, records=records), view, records)

    async def _prove_control(self, at: Progress) -> Progress:
        records = await self._journal.records(at.job.id) if at.records is None else at.records
        with self._times.proving(at.job, records):
            view = await self._proven(at, records)
        return Progress(await self._to_finalize(at.job, at.job), view, records)

    async def _proven(self, at: Progress, records: Sequence[ChallengeRecord]) -> OrderView:
        # It waits for the CA only after every challenge was answered.
        was_answered = at.job.reason is FailureReason.ORDER_SLOW
        if not was_answered:
            # All are seen before the first is answered: a CA may look at once.
            await self._challenges.show(at, records)
        view = await self._looked(at)
        if judge_order(view) is OrderMove.PROVE:
            if not was_answered:
                await asyncio.gather(*(self._watch.ca_of(at.job).answer(record.url) for record in records))
            view = await self._watch.until_moved(at, still=OrderMove.PROVE, view=view)
        if judge_order(view) is OrderMove.ABANDON:
            raise await self._watch.invalid(at.job, view)
        return view

    async def _to_finalize(self, before: Job, after: Job) -> Job:
        """From this write on a finalize may have been sent."""
        order = replace(after.ca_order, finalize_sent_at=self._clock()) if after.ca_order else None
        return await self._forward(before, replace(after, state=JobState.FINALIZING, ca_order=order))

    async def _finalize(self, at: Progress) -> Progress:
        view = await self._looked(at)
        for _ in range(_FINALIZE_TRIES):
            match judge_order(view):
                case OrderMove.FINALIZE:
                    view = await self._ask_to_sign(at.job, view)
                    view = await self._watch.until_moved(at, still=OrderMove.WAIT, view=view)
                case OrderMove.WAIT:
                    view = await self._watch.until_moved(at, still=OrderMove.WAIT, view=view)
                case OrderMove.FETCH:
                    chain = await self._watch.ca_of(at.job).certificate(view.certificate_url or "")
                    issued = await self._forward(at.job, replace(at.job, state=JobState.ISSUED, chain_pem=chain))
                    log.info("chain_fetched", order=view.url)
                    return Progress(issued, records=at.records)
                case OrderMove.PROVE:
                    return Progress(await self._forward(at.job, replace(at.job, state=JobState.ORDERED)), view)
                case OrderMove.ABANDON:
                    raise await self._watch.invalid(at.job, view)
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
        stored = await self._hand_over.done(at.job)
        records = await self._journal.records(at.job.id) if at.records is None else at.records
        removed = await self._challenges.removed(records)
        return Progress(await self._forward(at.job, stored, removed=removed))

    async def _report(self, at: Progress) -> Progress:
        """Tell how the job stands. A bus that is away doesn't hold the job up: it is told later."""
        job = at.job
        try:
            await self._reports.stands(job)
        except TransientError as error:
            log.warning("report_postponed", error=str(error))
            later = replace(job, report_at=self._clock() + _REPORT_AGAIN)
            return Progress(await self._store(job, later))
        told = replace(job, report_at=None)
        if self.next_step(told) is Step.MAKE_KEY:
            # Nobody outside is asked before the key is stored: one write tells of both.
            return Progress(told, behind=job)
        return Progress(await self._store(job, told))

    async def _looked(self, at: Progress) -> OrderView:
        """The order as this run knows it, else as the CA says."""
        return at.view if at.view is not None else await self._watch.look(at)

    async def _forward(
        self,
        before: Job,
        after: Job,
        *,
        records: Sequence[ChallengeRecord] = (),
        removed: Sequence[ChallengeRecord] = (),
    ) -> Job:
        """Store a job that got one state further: what went wrong in a row before is over."""
        order = answered(after.ca_order) if after.ca_order else None
        further = replace(without_wait(after), ca_order=order, setbacks=0, wait_until=None)
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
        release = self.next_step(after) in {Step.WAIT, Step.REST}
        settling = self._budgets.settling(before, after)
        return await self._journal.advance(
            before, after, records=records, removed=removed, release=release, within=settling
        )
