"""Jobs and challenge records as rows of the journal, and back."""

from typing import Any

import structlog
from sqlalchemy import Row

from certcore.bundles import SealedKey
from certcore.events import IssueOrder
from issuer.domain.bulkhead import line_of
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.failure import FailureReason
from issuer.domain.job import CaOrder, Job, JobId, JobState, due_at
from issuer.domain.key_material import KeyMaterial
from issuer.domain.revoked import Revocation, RevocationReason

__all__ = [
    "changed",
    "identity",
    "job_id_of",
    "job_of",
    "named",
    "order_row",
    "readable",
    "record_of",
    "record_row",
    "revocation_of",
    "revocation_row",
    "row_of",
]

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
    return {**_key_row(of.key), **_plain_row(of)}


def changed(before: Job, after: Job) -> dict[str, object]:
    """Those of these columns that differ: a step rewrites neither the keys nor the chain."""
    now, then = _plain_row(after), _plain_row(before)
    key = _key_row(after.key) if after.key != before.key else {}
    return {**key, **{column: value for column, value in now.items() if value != then[column]}}


def _key_row(key: KeyMaterial | None) -> dict[str, object]:
    return {
        "csr": key.csr_der if key else None,
        "spki_sha256": key.spki_sha256 if key else None,
        "sealed_keys": [one.model_dump() for one in key.sealed] if key else None,
    }


def _plain_row(of: Job) -> dict[str, object]:
    order, line = of.ca_order, line_of(of)
    return {
        "state": of.state,
        "ca": of.ca,
        "line_ca": line.ca,
        "waited": line.waited,
        "order_url": order.url if order else None,
        "finalize_url": order.finalize_url if order else None,
        "unanswered_since": order.unanswered_since if order else None,
        "denied_since": order.denied_since if order else None,
        "denials": order.denials if order else 0,
        "finalize_sent_at": order.finalize_sent_at if order else None,
        "chain_pem": of.chain_pem,
        "validation_method": of.validation_method,
        "abandoned": of.abandoned,
        "lost": of.lost,
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
        **revocation_row(of.revocation),
    }


def named(job_id: JobId) -> dict[str, object]:
    """The parameters of a statement about the rows of one job."""
    return {
        "of_certificate": job_id.certificate_id,
        "of_revision": job_id.revision,
        "of_variant": job_id.variant,
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
        ca_order=_order(row),
        chain_pem=row.chain_pem,
        validation_method=row.validation_method,
        abandoned=row.abandoned,
        lost=row.lost,
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
        revocation=revocation_of(row),
    )


def revocation_row(revocation: Revocation | None) -> dict[str, object]:
    return {
        "revoked_at": revocation.at if revocation else None,
        "revocation_reason": revocation.reason if revocation else None,
    }


def revocation_of(row: Row[Any]) -> Revocation | None:
    """A reason that a newer issuer stored counts as unspecified."""
    if row.revoked_at is None:
        return None
    known = row.revocation_reason in set(RevocationReason)
    return Revocation(
        row.revoked_at, RevocationReason(row.revocation_reason) if known else RevocationReason.UNSPECIFIED
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


def _order(row: Row[Any]) -> CaOrder | None:
    if not row.order_url:
        return None
    return CaOrder(
        row.order_url,
        row.finalize_url,
        unanswered_since=row.unanswered_since,
        denied_since=row.denied_since,
        denials=row.denials,
        finalize_sent_at=row.finalize_sent_at,
    )


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
        solver=row.solver,
        shown=row.shown,
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
        "solver": record.solver,
        "shown": record.shown,
    }
