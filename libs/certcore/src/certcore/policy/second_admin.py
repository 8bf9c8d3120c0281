"""Which changes of rights one admin makes alone, and which wait for another one."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from certcore.policy.spans import Span

__all__ = ["SecondAdmin"]

_GivenRole = Literal[
    "viewer", "requester", "approver", "operator", "auditor", "admin", "issuer", "deliverer", "monitor", "escrow"
]


class SecondAdmin(BaseModel):
    """A token with one of the `roles` is made, or given a new life, when another admin confirms it; with `revoking`
    it ends so as well. What isn't confirmed within `pending` expires.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: Annotated[tuple[_GivenRole, ...], Field(min_length=1)]
    revoking: bool = False
    pending: Span = Field(default=timedelta(days=3))
