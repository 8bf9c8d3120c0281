"""Tokens of the registry's API: what makes one, and what is answered."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from certcore.api import Role
from certcore.names import Label
from certcore.reading import ReadModel

__all__ = ["SignInCode", "TokenOrder", "TokenView"]


class TokenOrder(BaseModel):
    """Body that makes a token; `site` and `service` bind a deliverer's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: Label
    owner: Label
    roles: tuple[Role, ...]
    site: Label | None = None
    service: Literal["syncer", "pusher"] | None = None


class SignInCode(ReadModel):
    """Opens the page once, within half an hour."""

    code: str


class TokenView(ReadModel):
    """The token itself is told this once and never again."""

    subject: str
    token: str
