"""What enrols a site."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["RecipientEnrolment", "SiteEnrolment"]


class RecipientEnrolment(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    service: Literal["syncer", "pusher"]
    public_key: str


class SiteEnrolment(BaseModel):
    """Body that enrols a site: only public halves of keys travel.

    With `replace` a service may have another key than before: what it should hold is sealed to it again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipients: tuple[RecipientEnrolment, ...]
    replace: bool = False
