"""What a CA answers about an order (RFC 8555 §7.1), and what follows from it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

__all__ = [
    "AuthorizationStatus",
    "AuthorizationView",
    "ChallengeKind",
    "ChallengeOffer",
    "OrderMove",
    "OrderStatus",
    "OrderView",
    "judge_order",
    "validation_method",
]


class OrderStatus(StrEnum):
    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"


class AuthorizationStatus(StrEnum):
    PENDING = "pending"
    VALID = "valid"
    INVALID = "invalid"
    DEACTIVATED = "deactivated"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ChallengeKind(StrEnum):
    """The ways to prove control that certbus knows; a CA may offer others."""

    DNS_01 = "dns-01"
    HTTP_01 = "http-01"
    TLS_ALPN_01 = "tls-alpn-01"
    DNS_PERSIST_01 = "dns-persist-01"


@dataclass(frozen=True)
class OrderView:
    """`problem` is why it is invalid, for people; `problem_types` the types of it and of its subproblems."""

    url: str
    status: OrderStatus
    authorizations: tuple[str, ...]
    finalize_url: str
    certificate_url: str | None
    problem: str | None
    retry_after: timedelta | None
    problem_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChallengeOffer:
    """One way to prove control, and what has to be shown for it: `record_value` in the TXT record
    `record_name` (dns-01, dns-persist-01), at the token `record_name` (http-01), or for the server name `record_name`
    (tls-alpn-01).
    """

    kind: ChallengeKind
    url: str
    record_name: str
    record_value: str


@dataclass(frozen=True)
class AuthorizationView:
    """`proven_by` is the type of the challenge that made it valid, also where certbus doesn't know that type."""

    identifier: str
    wildcard: bool
    status: AuthorizationStatus
    offers: tuple[ChallengeOffer, ...]
    proven_by: str | None
    problem: str | None
    problem_types: tuple[str, ...] = ()


class OrderMove(StrEnum):
    """What to do with an order: field of log lines."""

    PROVE = "control_not_proven"
    FINALIZE = "ready_to_finalize"
    WAIT = "ca_is_signing"
    FETCH = "certificate_signed"
    ABANDON = "invalid_at_ca"


_MOVES: Final = {
    OrderStatus.PENDING: OrderMove.PROVE,
    OrderStatus.READY: OrderMove.FINALIZE,
    OrderStatus.PROCESSING: OrderMove.WAIT,
    OrderStatus.VALID: OrderMove.FETCH,
    OrderStatus.INVALID: OrderMove.ABANDON,
}


def judge_order(view: OrderView) -> OrderMove:
    """A valid order without a certificate URL is one whose answer raced with the signing: look again."""
    if view.status is OrderStatus.VALID and view.certificate_url is None:
        return OrderMove.WAIT
    return _MOVES[view.status]


def validation_method(kinds: set[str]) -> str:
    """How control was proven, for the record of a revision; several where names differ."""
    return ",".join(sorted(kinds))
