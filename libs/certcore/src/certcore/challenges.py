"""Answers to http-01 challenges (RFC 8555 §8.3) that a site shows for the issuer: grammar, and the API's models.

A CA chooses the token, and a site makes a file name, a key of a Secret or a word of a command of it. So it is checked
at the registry's door and again where it is used.
"""

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from certcore.names import DnsName
from certcore.reading import ReadModel

__all__ = [
    "CHALLENGES_SINCE",
    "ChallengeAction",
    "ChallengeHost",
    "ChallengeOrder",
    "ChallengeState",
    "ChallengeToken",
    "challenge_path",
    "unfit_challenge",
]

CHALLENGES_SINCE: Final = 4
"""The contract level of syncers that show challenges; an older one would park each as a dead letter."""

_TOKEN: Final = r"^[A-Za-z0-9_-]{16,200}$"  # noqa: S105 # a pattern
_KEY_AUTHORIZATION: Final = r"^[A-Za-z0-9_-]{16,200}\.[A-Za-z0-9_-]{43}$"
_TOKENS: Final = re.compile(_TOKEN)


class ChallengeAction(StrEnum):
    SHOW = "show"
    REMOVE = "remove"


def _one_host(name: str) -> str:
    if name.startswith("*"):
        raise ValueError("is a wildcard, which http-01 doesn't prove")
    return name


ChallengeToken = Annotated[str, StringConstraints(pattern=_TOKEN)]
"""Base64url, and short enough for a file name with something beside it."""

ChallengeHost = Annotated[DnsName, AfterValidator(_one_host)]

_HOST: Final = TypeAdapter(ChallengeHost)


class ChallengeOrder(BaseModel):
    """Body by which the issuer has a site answer a challenge. It is no secret: everybody may read it there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: ChallengeHost
    key_authorization: Annotated[str, StringConstraints(pattern=_KEY_AUTHORIZATION)]
    expires_at: AwareDatetime


class ChallengeState(ReadModel):
    """What the site said of it last, at `looked_at`; `detail` says why it isn't shown."""

    shown: bool
    detail: str = ""
    looked_at: AwareDatetime | None = None
    expires_at: AwareDatetime


def challenge_path(token: str) -> str:
    """Where a CA asks for the answer."""
    return f"/.well-known/acme-challenge/{token}"


def unfit_challenge(*, host: str, token: str, key_authorization: str) -> str | None:
    """Why nothing can be made of what was heard; None where it is fit to be shown."""
    try:
        _HOST.validate_python(host)
    except ValidationError:
        return "the host is no DNS name"
    if not _TOKENS.fullmatch(token):
        return "the token is none of RFC 8555, or is too long"
    if not re.fullmatch(re.escape(token) + r"\.[A-Za-z0-9_-]{43}", key_authorization):
        return "the key authorization doesn't belong to the token"
    return None
