"""Which approvals a certificate needs before it is issued."""

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from certcore.certificate import Exposure
from certcore.rejection import RejectedError, Rejection
from registry.domain.certificate import Request

__all__ = ["ApprovalNeed", "Policy", "Refusal", "check_reason", "may_decide", "need"]

MAX_REASON: Final = 2000


class Policy(StrEnum):
    """The rule by which an approval was given, or is missing."""

    INTERNAL_BY_POLICY = "internal-names-are-approved-by-policy"
    PUBLIC_BY_SECOND_PERSON = "public-names-need-a-second-person"


@dataclass(frozen=True)
class ApprovalNeed:
    policy: Policy
    approvers: int
    reason: str


def need(exposure: Exposure) -> ApprovalNeed:
    """What policy asks for. `approvers` people other than the requester; 0 means that policy itself approves."""
    if exposure is Exposure.INTERNAL:
        return ApprovalNeed(Policy.INTERNAL_BY_POLICY, 0, "internal names are approved by policy")
    return ApprovalNeed(
        Policy.PUBLIC_BY_SECOND_PERSON, 1, "a public name needs the approval of somebody other than the requester"
    )


class Refusal(StrEnum):
    OWN_REQUEST = "the requester can't decide on their own request: ask somebody else with the role approver"
    ALREADY_DECIDED = "the request was decided before"


def may_decide(request: Request, *, person: str) -> Refusal | None:
    """None where the person may approve or deny the request."""
    if request.state != "waiting":
        return Refusal.ALREADY_DECIDED
    if person == request.requester:
        return Refusal.OWN_REQUEST
    return None


def check_reason(reason: str) -> None:
    """Check that a decision's reason can be kept, published and shown.

    Raises:
        RejectedError: it is too long for an event, or holds control characters or a private key.
    """
    if len(reason) > MAX_REASON:
        raise RejectedError([Rejection(field="reason", message=f"is longer than {MAX_REASON} characters")])
    if any(unicodedata.category(sign) in {"Cc", "Cs"} and sign not in "\n\t" for sign in reason):
        raise RejectedError([Rejection(field="reason", message="holds control characters")])
    if "PRIVATE KEY" in reason:
        # Pasted by mistake, it would be stored in the database, published on the bus and shown on the page.
        raise RejectedError([Rejection(field="reason", message="holds a private key: consider it as lost")])
