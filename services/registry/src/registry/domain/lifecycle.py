"""The one state machine of a certificate. Every step has a trigger; what is not in the table can't happen."""

from enum import StrEnum
from typing import Final

from certcore.api import CertificateState as S
from registry.domain.errors import ConflictError

__all__ = ["IllegalStepError", "Trigger", "follow"]


class Trigger(StrEnum):
    APPROVAL_NEEDED = "approval_needed"
    APPROVED = "approved"
    DENIED = "denied"
    ISSUING_STARTED = "issuing_started"
    ISSUED = "issued"
    ISSUING_FAILED = "issuing_failed"
    DELIVERY_ORDERED = "delivery_ordered"
    PROVEN = "proven"
    RENEWAL_ORDERED = "renewal_ordered"
    ASKED_AGAIN = "asked_again"


class IllegalStepError(ConflictError):
    def __init__(self, state: S, trigger: Trigger) -> None:
        super().__init__(f"a certificate that is {state} can't take the step {trigger}")
        self.state = state
        self.trigger = trigger


_TABLE: Final = {
    (S.REQUESTED, Trigger.APPROVAL_NEEDED): S.WAITING_FOR_APPROVAL,
    (S.REQUESTED, Trigger.APPROVED): S.APPROVED,
    (S.WAITING_FOR_APPROVAL, Trigger.APPROVED): S.APPROVED,
    (S.WAITING_FOR_APPROVAL, Trigger.DENIED): S.DENIED,
    (S.DENIED, Trigger.ASKED_AGAIN): S.REQUESTED,
    (S.APPROVED, Trigger.ISSUING_STARTED): S.ISSUING,
    (S.APPROVED, Trigger.ISSUED): S.ISSUED,
    (S.APPROVED, Trigger.ISSUING_FAILED): S.FAILING,
    (S.ISSUING, Trigger.ISSUING_STARTED): S.ISSUING,
    (S.ISSUING, Trigger.ISSUED): S.ISSUED,
    (S.ISSUING, Trigger.ISSUING_FAILED): S.FAILING,
    (S.ISSUED, Trigger.DELIVERY_ORDERED): S.DELIVERING,
    (S.DELIVERING, Trigger.PROVEN): S.LIVE,
    (S.DELIVERING, Trigger.RENEWAL_ORDERED): S.RENEWING,
    # One variant is delivered, perhaps proven, and the platform's fails.
    (S.DELIVERING, Trigger.ISSUING_FAILED): S.FAILING,
    (S.LIVE, Trigger.ISSUING_FAILED): S.FAILING,
    (S.LIVE, Trigger.RENEWAL_ORDERED): S.RENEWING,
    (S.RENEWING, Trigger.ISSUING_STARTED): S.RENEWING,
    (S.RENEWING, Trigger.ISSUED): S.ISSUED,
    (S.RENEWING, Trigger.ISSUING_FAILED): S.FAILING,
    (S.FAILING, Trigger.ISSUING_STARTED): S.FAILING,
    (S.FAILING, Trigger.ISSUED): S.ISSUED,
    (S.FAILING, Trigger.ISSUING_FAILED): S.FAILING,
    (S.FAILING, Trigger.RENEWAL_ORDERED): S.RENEWING,
}


def follow(state: S, trigger: Trigger) -> S:
    """The state after the step.

    Raises:
        IllegalStepError: the lifecycle has no such step.
    """
    try:
        return _TABLE[state, trigger]
    except KeyError:
        raise IllegalStepError(state, trigger) from None
