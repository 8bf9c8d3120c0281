"""What the people of a group may do, and for which teams: for those who sign in by their company's provider."""

import unicodedata
from collections.abc import Collection, Iterable
from typing import Annotated, Final, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from certcore.names import Label

__all__ = ["ALL_TEAMS", "GroupName", "HeldRole", "PersonRole", "RoleGrant", "roles_held"]

ALL_TEAMS: Final = "all"

PersonRole = Literal["viewer", "requester", "approver", "operator", "auditor", "admin"]
"""Those of people. A service's own are had by its token alone."""


def _check_group(name: str) -> str:
    if name.strip() != name or any(unicodedata.category(sign).startswith("C") for sign in name):
        raise ValueError("holds control characters, or spaces at its ends")
    return name


GroupName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_check_group)]


class RoleGrant(BaseModel):
    """`group` is called as the provider calls it. `teams` are those for which the roles hold, or `all`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: GroupName
    roles: Annotated[tuple[PersonRole, ...], Field(min_length=1)]
    teams: Annotated[tuple[Label, ...], Field(min_length=1)] | Literal["all"]

    @model_validator(mode="after")
    def _admin_everywhere(self) -> Self:
        if "admin" in self.roles and self.teams != ALL_TEAMS:
            raise ValueError("admin belongs to no team: tokens are made for any; give it with teams: all")
        return self


class HeldRole(NamedTuple):
    """A role, and the team for which it holds; None: for all."""

    role: PersonRole
    team: str | None


def roles_held(grants: Iterable[RoleGrant], groups: Collection[str]) -> frozenset[HeldRole]:
    """What somebody in these groups may do. Group names are compared as they are."""
    return frozenset(
        HeldRole(role, team)
        for grant in grants
        if grant.group in groups
        for role in grant.roles
        for team in ((None,) if isinstance(grant.teams, str) else grant.teams)
    )
