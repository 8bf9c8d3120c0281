"""Jobs and challenge records as rows of the journal, and back."""

from typing import Any

import structlog
from sqlalchemy import Row

from certcore.bundles import SealedKey
from certcore.events import IssueOrder
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.failure import FailureReason
from issuer.domain.job import CaOrder, Job, JobId, JobState, due_at
from issuer.domain.key_material import KeyMaterial

__all__ = ["identity", "job_id_of", "job_of", "order_row", "readable", "record_of", "record_row", "row_of"]

log = structlog.get_logger()


def identity(new: Job) -> dict[str, object]:
    return {
        "certificate_id": new.id.certificate_id,
        "revision": new.id.revision,
        "variant": new.id.variant,
        "name": new.issue_order.name,
        **order_row(new),
        "accepted_at": new.accepted_at,
        "traceparent": new.traceparent,
        "version": new.version,
    }


def order_row(of: Job) -> dict[str, object]:
    return {"issue_order": of.issue_order.model_dump(mode="json"), "owner": of.owner, "urgent": of.urgent}


def row_of(of: Job) -> dict[str, object]:
    """The columns that change while a job goes on."""
    return {
        "state": of.state,
        "ca": of.ca,
        "csr": of.key.csr_der if of.key else None,
        "spki_sha256": of.key.spki_sha256 if of.key else None,
        "sealed_keys": [key.model_dump() for key in of.key.sealed] if of.key else None,
        "order_url": of.ca_order.url if of.ca_order else None,
        "finalize_url": of.ca_order.finalize_url if of.ca_order else None,
        "unanswered_since": of.ca_order.unanswered_since if of.ca_order else None,
        "chain_pem": of.chain_pem,
        "validation_method": of.validation_method,
        "abandoned": of.abandoned,
        "refusals": of.refusals,
        "setbacks": of.setbacks,
        "wait_until": of.wait_until,
        "given_up": of.given_up,
        "reason": of.reason,
        "problem": of.problem,
        "problem_at": of.problem_at,
        "report_at": of.report_at,
        "due_at": due_at(of),
        "stored_at": of.stored_at,
        "not_after": of.not_after,
    }


def job_id_of(row: Row[Any]) -> JobId:
    return JobId(row.certificate_id, row.revision, row.variant)


def job_of(row: Row[Any]) -> Job:
    return Job(
        id=job_id_of(row),
        issue_order=IssueOrder.model_validate(row.issue_order),
        accepted_at=row.accepted_at,
        traceparent=row.traceparent,
        state=JobState(row.state),
        version=row.version,
        ca=row.ca,
        key=_key(row),
        ca_order=CaOrder(row.order_url, row.finalize_url, row.unanswered_since) if row.order_url else None,
        chain_pem=row.chain_pem,
        validation_method=row.validation_method,
        abandoned=row.abandoned,
        refusals=row.refusals,
        setbacks=row.setbacks,
        wait_until=row.wait_until,
        given_up=row.given_up,
        reason=_reason(row.reason),
        problem=row.problem,
        problem_at=row.problem_at,
        report_at=row.report_at,
        stored_at=row.stored_at,
        not_after=row.not_after,
    )


def readable(row: Row[Any]) -> Job | None:
    """The job; None, and a line in the log, where a newer issuer wrote the row, or it is damaged."""
    try:
        return job_of(row)
    except (ValueError, TypeError) as error:
        log.error("job_unreadable", job=str(job_id_of(row)), error=type(error).__name__)  # noqa: TRY400 # a traceback quotes the row
        return None


def _reason(stored: str | None) -> FailureReason | None:
    """A reason that a newer issuer stored counts as unforeseen: the text beside it still names it."""
    if stored is None:
        return None
    return FailureReason(stored) if stored in set(FailureReason) else FailureReason.UNFORESEEN


def _key(row: Row[Any]) -> KeyMaterial | None:
    if row.csr is None:
        return None
    sealed = tuple(SealedKey.model_validate(key) for key in row.sealed_keys)
    return KeyMaterial(csr_der=row.csr, spki_sha256=row.spki_sha256, sealed=sealed)


def record_of(row: Row[Any]) -> ChallengeRecord:
    return ChallengeRecord(
        job=job_id_of(row),
        kind=ChallengeKind(row.kind),
        url=row.url,
        identifier=row.identifier,
        record_name=row.record_name,
        record_value=row.record_value,
    )


def record_row(record: ChallengeRecord) -> dict[str, object]:
    return {
        "url": record.url,
        "certificate_id": record.job.certificate_id,
        "revision": record.job.revision,
        "variant": record.job.variant,
        "kind": record.kind,
        "identifier": record.identifier,
        "record_name": record.record_name,
        "record_value": record.record_value,
    }
