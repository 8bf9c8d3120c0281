"""The policy file: who may have which name where, and who is asked. What it doesn't allow is refused.

Its form and worked examples stand in docs/policy.md.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from certcore.certificate import Exposure, KeyAlgorithm
from certcore.names import Label
from certcore.policy.roles import RoleGrant
from certcore.policy.second_admin import SecondAdmin
from certcore.policy.spans import Span
from certcore.policy.windows import Bounds, Freeze, Scope, Window
from certcore.policy.zones import ExactName, Zone

__all__ = ["OWN_TEAM", "ApprovalsNeeded", "Cas", "Match", "Place", "Policy", "Rule", "Team", "Zones"]

OWN_TEAM: Final = "own-team"
"""In the place of a group: the people of the team that owns the certificate."""

_PATTERN: Final = re.compile(r"[A-Za-z0-9_.-]{1,253}|[A-Za-z0-9_.-]{0,252}\*")


def _check_pattern(value: str) -> str:
    if not _PATTERN.fullmatch(value):
        raise ValueError("must be a name, `*`, or the start of a name and `*`")
    return value


Pattern = Annotated[str, AfterValidator(_check_pattern)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Zones(_Part):
    """Where a name lies decides its exposure; of two zones the longer one."""

    internal: tuple[Zone, ...] = ()
    public: tuple[Zone, ...] = ()

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        if both := sorted(set(self.internal) & set(self.public)):
            raise ValueError(f"{both[0]} is an internal and a public zone")
        return self


class Cas(_Part):
    """The CAs of each exposure, the preferred one first. `private` names those of them that are no public CA: they
    alone may sign what no public CA may, such as names below `.local`.
    """

    internal: tuple[Label, ...] = ()
    public: tuple[Label, ...] = ()
    private: tuple[Label, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Self:
        for exposure, names in (("internal", self.internal), ("public", self.public)):
            _no_twin(exposure, names)
        for name in self.private:
            if name not in {*self.internal, *self.public}:
                raise ValueError(f"private: {name} is neither among internal nor among public")
        return self

    def of(self, exposure: str) -> tuple[str, ...]:
        """None for an exposure that only a later version knows."""
        return {str(Exposure.INTERNAL): self.internal, str(Exposure.PUBLIC): self.public}.get(exposure, ())


class Place(_Part):
    """Where a team may have its certificates delivered: a kind of target, and a pattern for each of its fields.

    Every field that says where must be there, `*` for any: which ones, the kind decides.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: Label
    __pydantic_extra__: dict[str, Pattern]

    @property
    def patterns(self) -> dict[str, str]:
        return dict(self.__pydantic_extra__ or {})


class Team(_Part):
    """`domains` are single names (a wildcard is one), `subtrees` a name and all below it but wildcards, which
    `wildcards` allows below a name. `groups` hold the team's people beside those whose token belongs to it.
    """

    domains: tuple[ExactName, ...] = ()
    subtrees: tuple[Zone, ...] = ()
    wildcards: tuple[Zone, ...] = ()
    places: tuple[Place, ...] = ()
    groups: tuple[Label, ...] = ()


class ApprovalsNeeded(_Part):
    """So many people of a group; without one, of all who have the role approver."""

    group: Label | None = None
    count: Annotated[int, Field(ge=1, le=20)] = 1


class Match(_Part):
    """What a rule is for: each field that is given must fit; without any, it is for everything."""

    teams: tuple[Label, ...] | None = None
    domains: tuple[Zone, ...] | None = None
    exposure: Exposure | None = None
    wildcard: bool | None = None
    key_algorithms: tuple[KeyAlgorithm, ...] | None = None
    cas: tuple[Label, ...] | None = None
    target_kinds: tuple[Label, ...] | None = None

    @model_validator(mode="after")
    def _fits_something(self) -> Self:
        for name in ("teams", "domains", "key_algorithms", "cas", "target_kinds"):
            if getattr(self, name) == ():
                raise ValueError(f"{name}: is empty, so that the rule fits nothing: leave it out, or name something")
        return self


class Rule(_Part):
    """Without approvals, policy itself approves. `pending` is how long a request waits before it expires.
    `approval_lasts`, `renewals_apart` and `most` bound a standing approval, manual renewals, and how many
    certificates of one team the rule lets be at once.
    """

    name: Label
    match: Match = Field(default_factory=Match)
    approvals: Annotated[tuple[ApprovalsNeeded, ...], Field(max_length=20)]
    pending: Span = Field(default="14d", validate_default=True)
    approval_lasts: Span | None = None
    renewals_apart: Span | None = None
    most: Annotated[int, Field(ge=1)] | None = None


class Policy(_Part):
    """`groups` name people by their subjects; `roles` say what those may do who sign in by a provider. Without
    `second_admin` each admin changes rights alone. `shared_names` may be held by several teams at once.
    """

    version: Literal[1]
    zones: Zones = Field(default_factory=Zones)
    cas: Cas = Field(default_factory=Cas)
    groups: dict[Label, tuple[Label, ...]] = Field(default_factory=dict)
    teams: dict[Label, Team] = Field(default_factory=dict)
    roles: Annotated[tuple[RoleGrant, ...], Field(max_length=1000)] = ()
    second_admin: SecondAdmin | None = None
    rules: Annotated[tuple[Rule, ...], Field(max_length=1000)] = ()
    shared_names: tuple[ExactName, ...] = ()
    windows: Annotated[tuple[Window, ...], Field(max_length=200)] = ()
    freeze: Annotated[tuple[Freeze, ...], Field(max_length=200)] = ()
    renewals: Bounds = Field(default_factory=Bounds)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        # Each message starts with the field at fault.
        _no_twin("rules", [rule.name for rule in self.rules])
        if OWN_TEAM in self.groups:
            raise ValueError(f"groups.{OWN_TEAM}: the name is reserved: it stands for the people of the owning team")
        cas, groups = {*self.cas.internal, *self.cas.public}, {*self.groups, OWN_TEAM}
        for number, rule in enumerate(self.rules):
            here = f"rules.{number}"
            _known(f"{here}.approvals", (item.group for item in rule.approvals), groups, "group")
            _known(f"{here}.match.teams", rule.match.teams or (), self.teams, "team")
            _known(f"{here}.match.cas", rule.match.cas or (), cas, "CA")
            _no_twin(f"{here}.approvals", [item.group or "" for item in rule.approvals])
        for name, team in self.teams.items():
            _known(f"teams.{name}.groups", team.groups, self.groups, "group")
        _no_twin("windows", [window.name for window in self.windows])
        scopes: tuple[tuple[str, Scope], ...] = (
            *((f"windows.{number}", window.match) for number, window in enumerate(self.windows)),
            *((f"freeze.{number}", freeze.match) for number, freeze in enumerate(self.freeze)),
        )
        for where, scope in scopes:
            _known(f"{where}.match.teams", scope.teams or (), self.teams, "team")
        for number, grant in enumerate(self.roles):
            _known(f"roles.{number}.teams", () if isinstance(grant.teams, str) else grant.teams, self.teams, "team")
        return self


def _known(field: str, given: Iterable[str | None], known: Iterable[str], what: str) -> None:
    for name in given:
        if name is not None and name not in known:
            raise ValueError(f"{field}: {name} is no {what} of this policy")


def _no_twin(field: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{field}: {value or 'the same'} is given twice")
        seen.add(value)
