"""Problem documents (RFC 9457, with the subproblems of RFC 8555 §6.7.1), and what else is answered in their place."""

import json
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from issuer.cas.acme.answer import Answer
from issuer.domain.errors import AcmeProblemError, Subproblem

__all__ = ["ProblemDocument", "problem_of"]

_TYPE_PREFIX: Final = "urn:ietf:params:acme:error:"
_MOST_SUBPROBLEMS: Final = 100


class _Identifier(BaseModel):
    value: str = ""


class ProblemDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str = ""
    detail: str = ""
    identifier: _Identifier | None = None
    subproblems: tuple["ProblemDocument", ...] = ()

    @property
    def short_type(self) -> str:
        """The name of an ACME error; empty where the problem is none, as that of a gateway before the CA."""
        return self.type.removeprefix(_TYPE_PREFIX) if self.type.startswith(_TYPE_PREFIX) else ""

    @property
    def told(self) -> str:
        """The detail, for people; with the type where that is no ACME error."""
        foreign = "" if self.short_type or self.type in {"", "about:blank"} else f"{self.type}: "
        return _printable(f"{foreign}{self.detail}")

    def __str__(self) -> str:
        about = f"{_printable(self.identifier.value)}: " if self.identifier else ""
        kind = f"{self.short_type}: " if self.short_type else ""
        inner = [str(problem) for problem in self.subproblems]
        return "; ".join(filter(None, [f"{about}{kind}{self.told}", *inner]))[:500]


def problem_of(answer: Answer) -> AcmeProblemError:
    """What a status of 400 and above says; the type is empty where the body is no problem document."""
    document = _document(answer.body)
    return AcmeProblemError(
        type=document.short_type,
        status=answer.status,
        detail=document.told or f"{answer.url} answered {answer.status}",
        retry_after=answer.retry_after,
        subproblems=tuple(
            Subproblem(
                _printable(problem.identifier.value) if problem.identifier else None,
                problem.short_type,
                problem.told,
            )
            for problem in document.subproblems[:_MOST_SUBPROBLEMS]
        ),
        location=answer.location,
    )


def _document(body: bytes) -> ProblemDocument:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ProblemDocument()
    if not isinstance(told, dict):
        return ProblemDocument()
    try:
        return ProblemDocument.model_validate(told)
    except ValidationError:
        # A subproblem of a form of the CA's own doesn't hide what the problem is.
        return ProblemDocument(**{key: told[key] for key in ("type", "detail") if isinstance(told.get(key), str)})


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:300]
