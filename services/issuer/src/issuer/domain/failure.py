"""Why a job failed or waits, under which code that is reported, and who must act."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Self

from certcore.events import FailureCode, MustAct
from issuer.domain.errors import AcmeProblemError

__all__ = [
    "ACME_TYPES",
    "REPORTED_AS",
    "WAITS",
    "FailureReason",
    "JobFailedError",
    "JobWaitsError",
    "Reported",
    "reason_of_invalid",
    "reason_of_problem",
    "reported_as",
    "told",
]

_TOLD_LENGTH: Final = 1000


class FailureReason(StrEnum):
    """Metric label, column of the journal, and first word of what people see."""

    CA_UNREACHABLE = "ca_unreachable"
    CA_TROUBLE = "ca_trouble"
    CA_UNCLEAR = "ca_unclear"
    CA_REFUSED = "ca_refused"
    ACCOUNT_REFUSED = "account_refused"
    NAME_REJECTED = "name_rejected"
    CAA_FORBIDS = "caa_forbids"
    NAME_NOT_PROVEN = "name_not_proven"
    NAME_UNREACHABLE = "name_unreachable"
    RATE_LIMITED = "rate_limited"
    ORDER_INVALID = "order_invalid"
    ORDER_DENIED = "order_denied"
    ORDER_LOST = "order_lost"
    ORDER_UNANSWERED = "order_unanswered"
    ORDER_STALLED = "order_stalled"
    ORDER_SLOW = "order_slow"
    CA_LIMITS = "ca_limits"
    CA_BUSY = "ca_busy"
    CA_AWAY = "ca_away"
    NOT_PROPAGATED = "not_propagated"
    CERTIFICATE_UNFIT = "certificate_unfit"
    REVOKED = "revoked"
    SOLVER_UNREACHABLE = "solver_unreachable"
    REGISTRY_UNREACHABLE = "registry_unreachable"
    REGISTRY_REFUSED = "registry_refused"
    UNKNOWN_CA = "unknown_ca"
    NO_CHALLENGE = "no_challenge"
    NAME_NOT_PUBLIC = "name_not_public"
    RECIPIENT_UNFIT = "recipient_unfit"
    ISSUE_ORDER_UNFIT = "issue_order_unfit"
    ISSUE_ORDER_UNSUPPORTED = "issue_order_unsupported"
    UNFORESEEN = "unforeseen"


WAITS: Final = frozenset(
    {
        FailureReason.ORDER_SLOW,
        FailureReason.CA_LIMITS,
        FailureReason.CA_BUSY,
        FailureReason.CA_AWAY,
        FailureReason.NOT_PROPAGATED,
    }
)
"""Reasons to wait that are no failures: nothing is counted, and they are over when the job gets one state further."""


class JobFailedError(Exception):
    """Ends the run of a job; `decide_retry` says what follows. `order_over` tells that its order is invalid."""

    def __init__(
        self,
        reason: FailureReason,
        detail: str,
        *,
        retry_after: timedelta | None = None,
        order_over: bool = False,
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.order_over = order_over

    def beside(self, told: str) -> Self:
        """The same, and what else people are to know."""
        if not told:
            return self
        detail = f"{self.detail}; {told}"
        return type(self)(self.reason, detail, retry_after=self.retry_after, order_over=self.order_over)


class JobWaitsError(Exception):
    """Ends the run of a job that has to wait, for `wait`, by one of WAITS; `decide_wait` says what follows."""

    def __init__(self, reason: FailureReason, detail: str, *, wait: timedelta) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.wait = wait


@dataclass(frozen=True)
class Reported:
    code: FailureCode
    must_act: MustAct


REPORTED_AS: Final = {
    FailureReason.CA_UNREACHABLE: Reported(FailureCode.CA_UNREACHABLE, MustAct.NOBODY),
    FailureReason.CA_TROUBLE: Reported(FailureCode.CA_UNREACHABLE, MustAct.NOBODY),
    FailureReason.CA_UNCLEAR: Reported(FailureCode.CA_UNREACHABLE, MustAct.NOBODY),
    FailureReason.CA_REFUSED: Reported(FailureCode.CA_REFUSED, MustAct.OPERATOR),
    FailureReason.ACCOUNT_REFUSED: Reported(FailureCode.CA_REFUSED, MustAct.OPERATOR),
    FailureReason.NAME_REJECTED: Reported(FailureCode.CA_REFUSED, MustAct.REQUESTER),
    FailureReason.CAA_FORBIDS: Reported(FailureCode.CHALLENGE_FAILED, MustAct.DNS_OWNER),
    FailureReason.NAME_NOT_PROVEN: Reported(FailureCode.CHALLENGE_FAILED, MustAct.DNS_OWNER),
    # Whoever runs the names' hosts has to let the CA reach them.
    FailureReason.NAME_UNREACHABLE: Reported(FailureCode.CHALLENGE_FAILED, MustAct.REQUESTER),
    FailureReason.RATE_LIMITED: Reported(FailureCode.RATE_LIMITED, MustAct.NOBODY),
    # An order becomes invalid where a name could not be proven.
    FailureReason.ORDER_INVALID: Reported(FailureCode.CHALLENGE_FAILED, MustAct.DNS_OWNER),
    FailureReason.ORDER_DENIED: Reported(FailureCode.ORDER_LOST, MustAct.NOBODY),
    FailureReason.ORDER_LOST: Reported(FailureCode.ORDER_LOST, MustAct.NOBODY),
    FailureReason.ORDER_UNANSWERED: Reported(FailureCode.CA_UNREACHABLE, MustAct.NOBODY),
    FailureReason.ORDER_STALLED: Reported(FailureCode.ORDER_LOST, MustAct.NOBODY),
    FailureReason.ORDER_SLOW: Reported(FailureCode.CA_UNREACHABLE, MustAct.NOBODY),
    FailureReason.CA_LIMITS: Reported(FailureCode.RATE_LIMITED, MustAct.NOBODY),
    FailureReason.CA_BUSY: Reported(FailureCode.CA_UNREACHABLE, MustAct.NOBODY),
    FailureReason.CA_AWAY: Reported(FailureCode.CA_UNREACHABLE, MustAct.NOBODY),
    FailureReason.NOT_PROPAGATED: Reported(FailureCode.CHALLENGE_FAILED, MustAct.DNS_OWNER),
    FailureReason.CERTIFICATE_UNFIT: Reported(FailureCode.CERTIFICATE_UNFIT, MustAct.OPERATOR),
    # The contract has no code of its own for it. A renewal orders another one.
    FailureReason.REVOKED: Reported(FailureCode.CERTIFICATE_UNFIT, MustAct.OPERATOR),
    FailureReason.SOLVER_UNREACHABLE: Reported(FailureCode.CHALLENGE_FAILED, MustAct.OPERATOR),
    # The contract has no code of its own for a registry that is away.
    FailureReason.REGISTRY_UNREACHABLE: Reported(FailureCode.REGISTRY_REFUSED, MustAct.NOBODY),
    FailureReason.REGISTRY_REFUSED: Reported(FailureCode.REGISTRY_REFUSED, MustAct.OPERATOR),
    FailureReason.UNKNOWN_CA: Reported(FailureCode.CONFIGURATION, MustAct.OPERATOR),
    FailureReason.NAME_NOT_PUBLIC: Reported(FailureCode.CONFIGURATION, MustAct.REQUESTER),
    FailureReason.NO_CHALLENGE: Reported(FailureCode.CONFIGURATION, MustAct.OPERATOR),
    FailureReason.RECIPIENT_UNFIT: Reported(FailureCode.CONFIGURATION, MustAct.OPERATOR),
    FailureReason.ISSUE_ORDER_UNFIT: Reported(FailureCode.CONFIGURATION, MustAct.OPERATOR),
    FailureReason.ISSUE_ORDER_UNSUPPORTED: Reported(FailureCode.UNSUPPORTED, MustAct.OPERATOR),
    FailureReason.UNFORESEEN: Reported(FailureCode.UNFORESEEN, MustAct.OPERATOR),
}
"""For each reason. Nobody must act where waiting is enough."""


def reported_as(reason: FailureReason, *, given_up: bool) -> Reported:
    """What waits no more needs somebody."""
    reported = REPORTED_AS[reason]
    if given_up and reported.must_act is MustAct.NOBODY:
        return Reported(reported.code, MustAct.OPERATOR)
    return reported


_REFUSALS: Final = {
    # RFC 8555 §6.7
    "accountDoesNotExist": FailureReason.ACCOUNT_REFUSED,
    "alreadyRevoked": FailureReason.CA_REFUSED,
    "badCSR": FailureReason.CA_REFUSED,
    "badNonce": FailureReason.CA_UNCLEAR,
    "badPublicKey": FailureReason.CA_REFUSED,
    "badRevocationReason": FailureReason.CA_REFUSED,
    "badSignatureAlgorithm": FailureReason.CA_REFUSED,
    "caa": FailureReason.CAA_FORBIDS,
    "compound": FailureReason.CA_REFUSED,
    "connection": FailureReason.NAME_UNREACHABLE,
    "dns": FailureReason.NAME_NOT_PROVEN,
    "externalAccountRequired": FailureReason.ACCOUNT_REFUSED,
    "incorrectResponse": FailureReason.NAME_NOT_PROVEN,
    "invalidContact": FailureReason.ACCOUNT_REFUSED,
    "malformed": FailureReason.CA_REFUSED,
    "orderNotReady": FailureReason.CA_UNCLEAR,
    "rateLimited": FailureReason.RATE_LIMITED,
    "rejectedIdentifier": FailureReason.NAME_REJECTED,
    "serverInternal": FailureReason.CA_TROUBLE,
    "tls": FailureReason.NAME_UNREACHABLE,
    # Of a request: the account may not do this. Of a validation: see `reason_of_invalid`.
    "unauthorized": FailureReason.CA_REFUSED,
    "unsupportedContact": FailureReason.ACCOUNT_REFUSED,
    "unsupportedIdentifier": FailureReason.NAME_REJECTED,
    "userActionRequired": FailureReason.ACCOUNT_REFUSED,
    # RFC 9773 §7.4, and draft-aaron-acme-profiles
    "alreadyReplaced": FailureReason.CA_REFUSED,
    "invalidProfile": FailureReason.CA_REFUSED,
}
ACME_TYPES: Final = frozenset(_REFUSALS)
_SAY_LITTLE: Final = frozenset({"compound", "malformed", "unauthorized"})
"""Where there are subproblems, they say what it was."""
_NOT_PROVEN: Final = frozenset({"dns", "incorrectResponse", "unauthorized"})


def reason_of_problem(problem: AcmeProblemError) -> FailureReason:
    """Why a request failed. What is no problem document says nothing about what was asked: a proxy or a page of
    maintenance may have answered.
    """
    if problem.status == 429 or problem.type == "rateLimited":
        return FailureReason.RATE_LIMITED
    if problem.status >= 500:
        return FailureReason.CA_TROUBLE
    # A URL that the CA itself gave out and now doesn't know: the next look at the order tells what that means.
    if not problem.type or problem.status in {404, 410}:
        return FailureReason.CA_UNCLEAR
    return _REFUSALS.get(_telling(problem), FailureReason.CA_REFUSED)


def _telling(problem: AcmeProblemError) -> str:
    """The type that says most."""
    if problem.type in ACME_TYPES - _SAY_LITTLE:
        return problem.type
    inner = [item.type for item in problem.subproblems if item.type in ACME_TYPES - _SAY_LITTLE]
    return inner[0] if inner else problem.type


def reason_of_invalid(types: Collection[str]) -> FailureReason:
    """Why an order became invalid, by the types of the problems that the CA tells of it and of its authorizations."""
    reasons = [_REFUSALS[type_] for type_ in types if type_ in ACME_TYPES - _NOT_PROVEN - _SAY_LITTLE]
    return reasons[0] if reasons else FailureReason.ORDER_INVALID


def told(problem: AcmeProblemError) -> str:
    """A problem for people: which name failed, and why."""
    inner = [f"{item.identifier or 'order'}: {item.type}: {item.detail}" for item in problem.subproblems]
    return "; ".join(filter(None, [f"{problem.type or f'HTTP {problem.status}'}: {problem.detail}", *inner]))[
        :_TOLD_LENGTH
    ]
