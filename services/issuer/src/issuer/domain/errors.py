"""What the issuer raises, by family.

CertbusError
├── AcmeProblemError       the CA answered with a problem (RFC 8555 §6.7)
├── CaUnreachableError     (TransientError) it didn't answer
├── SolverError            (TransientError) a challenge record couldn't be shown or removed
│   └── SolverNotHereError     its place is taken on this host, perhaps by another issuer
├── JobTakenError          (TransientError) another worker wrote to the job
├── UnidentifiedIssueOrderError (PermanentError) an issue order names no job that could be stored and reported
├── CaUnfitError           (PermanentError) a CA can't issue as it is configured: the issuer doesn't start
├── SigningRefusedError    (PermanentError) a CA without ACME may not sign what was asked for
├── RevocationRefusedError (PermanentError) it isn't revoked; the message says why, and what to do
├── CrlUnwritableError     (TransientError) the file of a CRL can't be read or written
├── NoFittingCaError       (PermanentError) none of the CAs that may be asked can issue it
└── UnsupportedIssueOrderError, UnknownCaError, NoChallengeError, UnfitCertificateError   (PermanentError)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from certcore.errors import CertbusError, PermanentError, TransientError
from issuer.domain.ca_traits import CaObjection, ObjectionReason

__all__ = [
    "AcmeProblemError",
    "CaUnfitError",
    "CaUnreachableError",
    "CrlUnwritableError",
    "JobTakenError",
    "NoChallengeError",
    "NoFittingCaError",
    "RevocationRefusedError",
    "SigningRefusedError",
    "SolverError",
    "SolverNotHereError",
    "Subproblem",
    "UnfitCertificateError",
    "UnidentifiedIssueOrderError",
    "UnknownCaError",
    "UnsupportedIssueOrderError",
]


@dataclass(frozen=True)
class Subproblem:
    identifier: str | None
    type: str
    detail: str


class AcmeProblemError(CertbusError):
    """`type` is the short name of the ACME error, such as `rateLimited`; empty where the answer was no problem
    document. `location` is the account that a conflict points at.
    """

    def __init__(
        self,
        *,
        type: str,  # noqa: A002 # the field's name in RFC 9457
        status: int,
        detail: str,
        retry_after: timedelta | None = None,
        subproblems: tuple[Subproblem, ...] = (),
        location: str | None = None,
    ) -> None:
        parts = [detail, *(f"{item.identifier or 'order'}: {item.detail}" for item in subproblems)]
        super().__init__(f"{type or f'HTTP {status}'}: {'; '.join(filter(None, parts))}"[:500])
        self.type = type
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.subproblems = subproblems
        self.location = location


class CaUnreachableError(TransientError):
    """`timed_out` tells that the CA took the question and gave no answer: whether it acted on it is unknown; `unsent`
    that it never got the question.
    """

    def __init__(self, message: str, *, timed_out: bool = False, unsent: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.unsent = unsent


class SolverError(TransientError):
    pass


class SolverNotHereError(SolverError):
    pass


class JobTakenError(TransientError):
    def __init__(self, job: str) -> None:
        super().__init__(f"job {job} was written by another worker")


class UnidentifiedIssueOrderError(PermanentError):
    """An issue order that is set aside: no job can be made of it."""


class UnsupportedIssueOrderError(PermanentError):
    """An issue order asks for what this issuer does not know."""


class UnknownCaError(PermanentError):
    def __init__(self, *cas: str) -> None:
        super().__init__(f"no CA named {' or '.join(cas)} is configured"[:300])


class CaUnfitError(PermanentError):
    """`field` is the setting that is in the way."""

    def __init__(self, ca: str, field: str, why: str) -> None:
        super().__init__(f"the CA {ca} can't be used: {field}: {why}")
        self.field = field
        self.why = why


class SigningRefusedError(PermanentError):
    def __init__(self, ca: str, why: str) -> None:
        super().__init__(f"{ca} doesn't sign it: {why}")


class RevocationRefusedError(PermanentError):
    """`reason` is a word for metrics: a RevocationVerdict, or what is in the way at the CA."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class CrlUnwritableError(TransientError):
    def __init__(self, ca: str, why: str) -> None:
        super().__init__(f"the CRL of {ca}: {why}")


class NoFittingCaError(PermanentError):
    """`objections` has one or more for each CA that was considered."""

    def __init__(self, objections: Sequence[CaObjection]) -> None:
        told = "; ".join(map(str, objections))
        super().__init__(f"{told[:700]}. {_way_out(objections)}")
        self.objections = tuple(objections)


def _way_out(objections: Sequence[CaObjection]) -> str:
    if any(objection.reason is ObjectionReason.PRIVATE_NAME for objection in objections):
        return "Allow a private CA, or ask for names under a registered domain"
    return "Allow another CA, or change the request"


class NoChallengeError(PermanentError):
    def __init__(self, identifier: str, *, wildcard: bool) -> None:
        name = f"*.{identifier}" if wildcard else identifier
        super().__init__(
            f"the CA offers no challenge for {name} that is configured for it and that one of `solvers` shows"
        )


class UnfitCertificateError(PermanentError):
    """The CA signed another X.509 certificate than was asked for."""
