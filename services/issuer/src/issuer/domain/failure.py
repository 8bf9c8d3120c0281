"""Why a job failed, under which code that is reported, and who must act."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from certcore.events import FailureCode, MustAct

__all__ = ["REPORTED_AS", "FailureReason", "JobFailedError", "Reported"]


class FailureReason(StrEnum):
    """Metric label, column of the journal, and first word of what people see."""

    CA_UNREACHABLE = "ca_unreachable"
    CA_TROUBLE = "ca_trouble"
    CA_REFUSED = "ca_refused"
    CAA_FORBIDS = "caa_forbids"
    RATE_LIMITED = "rate_limited"
    ORDER_INVALID = "order_invalid"
    ORDER_LOST = "order_lost"
    ORDER_UNANSWERED = "order_unanswered"
    ORDER_STALLED = "order_stalled"
    ORDER_SLOW = "order_slow"
    CERTIFICATE_UNFIT = "certificate_unfit"
    SOLVER_UNREACHABLE = "solver_unreachable"
    REGISTRY_UNREACHABLE = "registry_unreachable"
    REGISTRY_REFUSED = "registry_refused"
    UNKNOWN_CA = "unknown_ca"
    NO_CHALLENGE = "no_challenge"
    RECIPIENT_UNFIT = "recipient_unfit"
    ISSUE_ORDER_UNFIT = "issue_order_unfit"
    ISSUE_ORDER_UNSUPPORTED = "issue_order_unsupported"
    UNFORESEEN = "unforeseen"


class JobFailedError(Exception):
    """Ends the run of a job; `decide_retry` says what follows."""

    def __init__(self, reason: FailureReason, detail: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after


@dataclass(frozen=True)
class Reported:
    code: FailureCode
    must_act: MustAct


REPORTED_AS: Final = {
    FailureReason.CA_UNREACHABLE: Reported(FailureCode.CA_UNREACHABLE, MustAct.NOBODY),
    FailureReason.CA_TROUBLE: Reported(FailureCode.CA_UNREACHABLE, MustAct.NOBODY),
    FailureReason.CA_REFUSED: Reported(FailureCode.CA_REFUSED, MustAct.OPERATOR),
    FailureReason.CAA_FORBIDS: Reported(FailureCode.CHALLENGE_FAILED, MustAct.DNS_OWNER),
    FailureReason.RATE_LIMITED: Reported(FailureCode.RATE_LIMITED, MustAct.NOBODY),
    # An order becomes invalid where a name could not be proven.
    FailureReason.ORDER_INVALID: Reported(FailureCode.CHALLENGE_FAILED, MustAct.DNS_OWNER),
    FailureReason.ORDER_LOST: Reported(FailureCode.ORDER_LOST, MustAct.NOBODY),
    FailureReason.ORDER_UNANSWERED: Reported(FailureCode.CA_UNREACHABLE, MustAct.NOBODY),
    FailureReason.ORDER_STALLED: Reported(FailureCode.ORDER_LOST, MustAct.NOBODY),
    FailureReason.ORDER_SLOW: Reported(FailureCode.CA_UNREACHABLE, MustAct.NOBODY),
    FailureReason.CERTIFICATE_UNFIT: Reported(FailureCode.CERTIFICATE_UNFIT, MustAct.OPERATOR),
    FailureReason.SOLVER_UNREACHABLE: Reported(FailureCode.CHALLENGE_FAILED, MustAct.OPERATOR),
    # The contract has no code of its own for a registry that is away.
    FailureReason.REGISTRY_UNREACHABLE: Reported(FailureCode.REGISTRY_REFUSED, MustAct.NOBODY),
    FailureReason.REGISTRY_REFUSED: Reported(FailureCode.REGISTRY_REFUSED, MustAct.OPERATOR),
    FailureReason.UNKNOWN_CA: Reported(FailureCode.CONFIGURATION, MustAct.OPERATOR),
    FailureReason.NO_CHALLENGE: Reported(FailureCode.CONFIGURATION, MustAct.OPERATOR),
    FailureReason.RECIPIENT_UNFIT: Reported(FailureCode.CONFIGURATION, MustAct.OPERATOR),
    FailureReason.ISSUE_ORDER_UNFIT: Reported(FailureCode.CONFIGURATION, MustAct.OPERATOR),
    FailureReason.ISSUE_ORDER_UNSUPPORTED: Reported(FailureCode.UNSUPPORTED, MustAct.OPERATOR),
    FailureReason.UNFORESEEN: Reported(FailureCode.UNFORESEEN, MustAct.OPERATOR),
}
"""For each reason. Nobody must act where waiting is enough."""
