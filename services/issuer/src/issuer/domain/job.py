"""One variant of a revision on its way from issue order to stored bundle: a pure state machine.

Each state says what is already stored, so that a crash at any point goes on from the last intent:

| state | stored |
|---|---|
| accepted | the issue order |
| keyed | sealed key and CSR |
| ordered | URL of the CA's order |
| validating | the challenge records, before they are presented |
| finalizing | that a finalize may have been sent |
| issued | the chain |
| stored | the registry has the bundle |

A CA without ACME has no orders: from keyed it signs, and the job is issued.

A registry that lost the bundle asks for it again: then the job goes back to `issued`, with all that it has.
"""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from certcore.events import IssueOrder, Priority
from certcore.placements import PLATFORM
from issuer.domain.failure import FailureReason
from issuer.domain.key_material import KeyMaterial
from issuer.domain.revoked import Revocation

__all__ = ["CaOrder", "Job", "JobId", "JobState", "Step", "due_at", "next_step"]


class JobState(StrEnum):
    ACCEPTED = "accepted"
    KEYED = "keyed"
    ORDERED = "ordered"
    VALIDATING = "validating"
    FINALIZING = "finalizing"
    ISSUED = "issued"
    STORED = "stored"


class Step(StrEnum):
    """What is to be done next with a job: name of its span, field of its log lines."""

    MAKE_KEY = "make_key"
    OPEN_ORDER = "open_order"
    SIGN = "sign"
    COLLECT_CHALLENGES = "collect_challenges"
    PROVE_CONTROL = "prove_control"
    FINALIZE = "finalize"
    STORE_BUNDLE = "store_bundle"
    REPORT = "report"
    WAIT = "wait"
    REST = "rest"


@dataclass(frozen=True, order=True)
class JobId:
    certificate_id: str
    revision: int
    variant: str = PLATFORM

    def __str__(self) -> str:
        return f"{self.certificate_id}/{self.revision}/{self.variant}"


@dataclass(frozen=True)
class CaOrder:
    """The one order at the CA that this job may have open.

    `unanswered_since` is when the CA, though it answered otherwise, began to leave questions about this order
    unanswered; `denied_since` when it began to deny that it has this order, `denials` how often it did so since.
    From `finalize_sent_at` on a finalize may have been sent.
    """

    url: str
    finalize_url: str
    unanswered_since: datetime | None = None
    denied_since: datetime | None = None
    denials: int = 0
    finalize_sent_at: datetime | None = None


@dataclass(frozen=True)
class Job:
    """A job as stored. `version` is its fencing token: a write counts only if nobody wrote since.

    `refusals` counts what the CA turned down, `setbacks` the failures in a row that were nobody's verdict,
    `abandoned` the orders that were given up, `lost` those of them that the CA lost or left unanswered. `reason` and
    `problem` tell of the last failure. `report_at` is when people are to be told how the job stands.

    `stored_at` is when the registry took the bundle last, `not_after` the end of its leaf; both stay when the job
    goes back to `issued`. Past that end the bundle is forgotten: `key` and `chain_pem` of a stored job are None then.
    With a `revocation` of its leaf it is never handed over again.
    """

    id: JobId
    issue_order: IssueOrder
    accepted_at: datetime
    traceparent: str | None = None
    state: JobState = JobState.ACCEPTED
    version: int = 0
    ca: str | None = None
    key: KeyMaterial | None = None
    ca_order: CaOrder | None = None
    chain_pem: str | None = None
    validation_method: str = ""
    abandoned: int = 0
    lost: int = 0
    refusals: int = 0
    setbacks: int = 0
    wait_until: datetime | None = None
    given_up: bool = False
    reason: FailureReason | None = None
    problem: str | None = None
    problem_at: datetime | None = None
    report_at: datetime | None = None
    stored_at: datetime | None = None
    not_after: datetime | None = None
    revocation: Revocation | None = None

    @property
    def owner(self) -> str:
        return self.issue_order.owner

    @property
    def urgent(self) -> bool:
        return self.issue_order.priority == Priority.URGENT

    def has_valid_bundle(self, *, now: datetime) -> bool:
        """Whether it has a bundle that hasn't expired."""
        kept = self.chain_pem is not None and self.key is not None
        return kept and self.not_after is not None and self.not_after > now


_WORK: Final = {
    JobState.ACCEPTED: Step.MAKE_KEY,
    JobState.KEYED: Step.OPEN_ORDER,
    JobState.ORDERED: Step.COLLECT_CHALLENGES,
    JobState.VALIDATING: Step.PROVE_CONTROL,
    JobState.FINALIZING: Step.FINALIZE,
    JobState.ISSUED: Step.STORE_BUNDLE,
}


def next_step(job: Job, *, now: datetime, signing: Container[str | None] = ()) -> Step:
    """Reports come first: a bus that was away must not hide how the job stands.

    `signing` are the names of the CAs without ACME: their jobs take fewer steps.
    """
    if job.report_at is not None and job.report_at <= now:
        return Step.REPORT
    if job.given_up or job.state is JobState.STORED:
        return Step.REST
    if job.wait_until is not None and job.wait_until > now:
        return Step.WAIT
    if job.state is JobState.KEYED and job.ca in signing:
        return Step.SIGN
    return _WORK[job.state]


def due_at(job: Job) -> datetime | None:
    """When a worker should look at the job; None where nothing is left to do."""
    at_rest = job.given_up or job.state is JobState.STORED
    work = None if at_rest else job.wait_until or job.accepted_at
    return min((instant for instant in (job.report_at, work) if instant is not None), default=None)
