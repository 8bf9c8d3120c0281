"""Whether an issue order can be acted on. A sender may be newer than this issuer, or at fault: whoever acts on an
issue order checks it.
"""

import re
from collections.abc import Iterator
from typing import Final

from certcore.certificate import Exposure, KeyAlgorithm
from certcore.events import IssueOrder
from certcore.names import MAX_DNS_NAMES, is_label, subject_token
from issuer.domain.errors import UnidentifiedIssueOrderError
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import JobId
from issuer.domain.key_material import ESCROW
from issuer.domain.offered_csr import UnfitCsrError, read_offered

__all__ = ["identify", "objection_to"]

# Whether a name stands above a public suffix was decided when it was asked for: that list changes, and a name that
# was approved before is renewed all the same.
_DNS_NAME: Final = re.compile(
    r"(?=.{3,253}$)(\*\.)?((?!-)[a-z0-9-]{1,63}(?<!-)\.)+(?![0-9]+$)(?!-)[a-z0-9-]{1,63}(?<!-)"
)
_LAST_REVISION: Final = 2**31 - 1
_SHOWN: Final = 80


def identify(issue_order: IssueOrder) -> JobId:
    """The job that an issue order is for.

    Raises:
        UnidentifiedIssueOrderError: it names none that could be stored and reported.
    """
    if not subject_token(issue_order.certificate_id):
        raise UnidentifiedIssueOrderError("certificate_id is no token of a subject")
    if not is_label(issue_order.name):
        raise UnidentifiedIssueOrderError(f"{issue_order.certificate_id}: name is no name of a certificate")
    if not is_label(issue_order.variant):
        raise UnidentifiedIssueOrderError(f"{issue_order.certificate_id}: variant is no label")
    if not 0 < issue_order.revision <= _LAST_REVISION:
        raise UnidentifiedIssueOrderError(f"{issue_order.certificate_id}: revision is not from 1 to {_LAST_REVISION}")
    return JobId(issue_order.certificate_id, issue_order.revision, issue_order.variant)


def objection_to(issue_order: IssueOrder) -> JobFailedError | None:
    """Why nothing can be issued for it, whatever is tried; None where something can."""
    for detail in _unsupported(issue_order):
        return JobFailedError(FailureReason.ISSUE_ORDER_UNSUPPORTED, detail)
    for detail in _unfit(issue_order):
        return JobFailedError(FailureReason.ISSUE_ORDER_UNFIT, detail)
    return None


def _unsupported(issue_order: IssueOrder) -> Iterator[str]:
    if not isinstance(issue_order.exposure, Exposure):
        yield f"this issuer does not know the exposure {_quoted(issue_order.exposure)}"
    if not isinstance(issue_order.key_algorithm, KeyAlgorithm):
        yield f"this issuer does not know the key algorithm {_quoted(issue_order.key_algorithm)}"


def _unfit(issue_order: IssueOrder) -> Iterator[str]:
    if issue_order.unreadable:
        yield f"can't be read: {', '.join(item.item for item in issue_order.unreadable)}"[:300]
    if not 0 < len(issue_order.dns_names) <= MAX_DNS_NAMES:
        yield f"it has {len(issue_order.dns_names)} DNS names: from 1 to {MAX_DNS_NAMES} can be issued"
    for name in issue_order.dns_names:
        if not _DNS_NAME.fullmatch(name):
            yield f"{_quoted(name)} is not a DNS name"
    if issue_order.profile is not None and not subject_token(issue_order.profile):
        yield f"{_quoted(issue_order.profile)} is not a name of a profile"
    recipients = [recipient.name for recipient in issue_order.recipients]
    for name in recipients:
        # The name is part of what a sealed key is bound to; escrow's copy must stay the issuer's own.
        if not is_label(name) or name == ESCROW:
            yield f"{_quoted(name)} is not a name of a recipient"
    if len(set(recipients)) < len(recipients):
        yield "two recipients have one name"
    try:
        read_offered(issue_order)
    except UnfitCsrError as error:
        yield str(error)


def _quoted(value: str) -> str:
    return repr(value[:_SHOWN])
