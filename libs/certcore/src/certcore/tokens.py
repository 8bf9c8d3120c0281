"""Tokens of the registry's API: what makes one, and what is answered."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from certcore.api import Role
from certcore.names import Label
from certcore.reading import Open, ReadModel

__all__ = [
    "MOST_DAYS",
    "SERVICE_ROLES",
    "DeviceOffer",
    "DeviceOrder",
    "DevicePoll",
    "DeviceWait",
    "RightsAct",
    "RightsChangeView",
    "RightsState",
    "RoleView",
    "SessionOrder",
    "SignInCode",
    "TokenKind",
    "TokenOrder",
    "TokenSummary",
    "TokenView",
    "WhoView",
]

MOST_DAYS: Final = 366
"""No token lives longer, but a service's that was made without an end."""

SERVICE_ROLES: Final = frozenset({Role.ISSUER, Role.DELIVERER, Role.MONITOR, Role.ESCROW})
"""Those of our own services; nobody else has one."""


class TokenKind(StrEnum):
    """Who stands behind a token: somebody, a program of a team, one of our own services, or somebody's open page."""

    PERSON = "person"
    WORKLOAD = "workload"
    SERVICE = "service"
    SESSION = "session"


class TokenOrder(BaseModel):
    """Body that makes a token; `site` and `service` bind a deliverer's. Without `kind` it follows from the roles,
    without `name` it is called as its subject, without `days` it lives as long as its kind usually does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: Label
    owner: Label
    roles: tuple[Role, ...]
    site: Label | None = None
    service: Literal["syncer", "pusher"] | None = None
    name: Label | None = None
    kind: Literal["person", "workload", "service"] | None = None
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] | None = None
    endless: bool = False


class SignInCode(ReadModel):
    """Opens the page once, within half an hour."""

    code: str


class SessionOrder(BaseModel):
    """Body for which the command gets its session: the code that a browser brought, and what only it knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{20,128}$", repr=False)]
    verifier: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{43,128}$", repr=False)]


_Verifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{43,128}$", repr=False)]


class DeviceOrder(BaseModel):
    """Body that begins a sign-in of a machine without a browser: what the command alone knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verifier: _Verifier


class DevicePoll(DeviceOrder):
    """Body that asks what became of it."""

    handle: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{20,128}$", repr=False)]


class DeviceOffer(ReadModel):
    """What a person types at which address, on any machine; asked about again after `interval_s`."""

    handle: str = Field(repr=False)
    user_code: str
    url: str
    url_with_code: str | None = None
    interval_s: float
    expires_s: float


class DeviceWait(ReadModel):
    """Nobody said yes yet: how long to wait before asking again."""

    wait_s: float


class RoleView(ReadModel):
    """A role, and the teams for which it holds; None: for all."""

    role: Open[Role]
    teams: tuple[str, ...] | None = None


class WhoView(ReadModel):
    """Who calls, and what they may do now. `groups` are those that the provider told."""

    issuer: str
    subject: str
    name: str
    kind: Open[TokenKind]
    token_id: str
    teams: tuple[str, ...] = ()
    roles: tuple[RoleView, ...] = ()
    groups: tuple[str, ...] = ()
    expires_at: AwareDatetime | None = None


class TokenView(ReadModel):
    """The token itself is told this once and never again. `expires_at`: None for one without an end."""

    subject: str
    token: str
    id: str = ""
    name: str = ""
    expires_at: AwareDatetime | None = None


class TokenSummary(ReadModel):
    """What is known of a token. `made_by` are the subjects that made it, and those that made theirs. `last_used_at`
    is up to an hour behind.
    """

    id: str
    name: str
    issuer: str
    subject: str
    owner: str
    kind: Open[TokenKind]
    roles: tuple[Open[Role], ...]
    site: str | None = None
    service: str | None = None
    made_by: tuple[str, ...] = ()
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    last_used_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None
    revoked_by: str | None = None


class RightsAct(StrEnum):
    MAKE = "make"
    ROTATE = "rotate"
    REVOKE = "revoke"


class RightsState(StrEnum):
    """A revocation is done as soon as it is confirmed; a token when who asked for it has taken it."""

    WAITING = "waiting"
    CONFIRMED = "confirmed"
    DONE = "done"
    REFUSED = "refused"
    EXPIRED = "expired"


class RightsChangeView(ReadModel):
    """A change of rights that policy asks a second admin about. `subject` is whom it is for, `roles` are those of the
    token; `token_id` is that which is rotated or revoked, `made_id` that which came of it.
    """

    id: str
    act: Open[RightsAct]
    state: Open[RightsState]
    subject: str
    roles: tuple[Open[Role], ...] = ()
    owner: str = ""
    days: int | None = None
    token_id: str | None = None
    made_id: str | None = None
    asked_by: str
    created_at: AwareDatetime
    expires_at: AwareDatetime
    decided_by: str | None = None
    decided_at: AwareDatetime | None = None
    reason: str = ""
