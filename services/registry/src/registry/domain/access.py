"""What a caller may do: deny by default, least privilege."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from certcore.api import Role
from certcore.certificate import CertificateSpec
from certcore.errors import PermanentError
from certcore.policy.roles import HeldRole
from certcore.rejection import RejectedError, Rejection
from certcore.subjects import Reporter
from certcore.tokens import SERVICE_ROLES, TokenKind
from registry.domain.errors import ForbiddenError, NotFoundError

__all__ = [
    "LOCAL",
    "LOOKING",
    "PAGE",
    "Party",
    "Principal",
    "Refusal",
    "acts_for",
    "approves_for",
    "belongs_to",
    "check_reporter",
    "is_own_token",
    "is_reserved",
    "may_make",
    "may_revoke",
    "operates_for",
    "owner_for",
    "owner_listed",
    "require",
    "require_everywhere",
    "require_person",
    "same_person",
    "sees",
    "teams_where",
]

LOCAL: Final = "registry"
"""The issuer of those whom the registry's own tokens name."""
PAGE: Final = "page"
_ON_THE_BUS: Final = "bus-"
_OF_PEOPLE_ALONE: Final = frozenset({Role.APPROVER, Role.ADMIN})
_BROAD: Final = frozenset({Role.APPROVER, Role.OPERATOR, Role.AUDITOR, Role.ADMIN})
"""By a token these hold for every team."""
LOOKING: Final = frozenset({Role.VIEWER, Role.REQUESTER, Role.APPROVER, Role.OPERATOR, Role.AUDITOR})


@dataclass(frozen=True)
class Principal:
    """Who calls. Two tokens of one subject are one person: nobody approves their own request with a second token.

    `made_by` are the subjects that made the token, and those that made theirs. Whom a provider signed in has `held`
    roles, each for a team or for all, belongs to `teams`, is in `groups`, and may be known by the names `also`.
    """

    subject: str
    owner: str
    roles: frozenset[Role]
    site: str | None = None
    service: str | None = None
    issuer: str = LOCAL
    kind: TokenKind = TokenKind.PERSON
    made_by: tuple[str, ...] = ()
    token_id: str = ""
    groups: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    held: frozenset[HeldRole] | None = None
    teams: frozenset[str] = frozenset()

    @property
    def is_workload(self) -> bool:
        """A program, of a team or one of ours: it never approves."""
        return self.kind is not TokenKind.PERSON


@dataclass(frozen=True)
class Party:
    """Somebody who asked or decides: with the other names of theirs that a provider told, and with all that ever made
    a token for them, see `Tokens.party`.
    """

    subject: str
    made_by: Collection[str] = ()
    also: Collection[str] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.subject, *self.also})


def same_person(one: Party, other: Party) -> bool:
    """Whether both may be one person, so that neither decides on what the other asked for: they share a name, whoever
    says so, or one of them made a token of the other's and so could act in their name.
    """
    pairs = ((one.names, other.names), (one.names, other.made_by), (other.names, one.made_by))
    return any(not names.isdisjoint(others) for names, others in pairs)


class Refusal(StrEnum):
    """Why a token isn't made or ended."""

    NO_ADMIN = "tokens are made by who has the role admin"
    SESSION = "an open page only looks"
    OWN_ROLES = "nobody gives more roles to themselves than they have: ask another admin"
    RESERVED = "is a name that the registry gives itself"
    MIXED = "mix a service's role with others: make a token for each"
    NOT_A_SERVICE = "are those of a service: make it with the kind service"
    NO_SERVICE_ROLE = "must be a service's own: issuer, deliverer, monitor or escrow"
    WORKLOAD = "can't be had by a workload: only people approve, and make tokens"
    UNBOUND = "is missing: a deliverer's token is bound to its site and service"
    ENDLESS = "is for services alone"
    LAST_ADMIN = "it is the last token with the role admin: make another one first"


def may_make(maker: Principal, wanted: Principal, *, endless: bool) -> tuple[str, Refusal] | None:
    """The field at fault and why; None where the maker may make the token. The field is empty where the fault is the
    maker's.
    """
    if maker.kind is TokenKind.SESSION:
        return "", Refusal.SESSION
    if Role.ADMIN not in maker.roles:
        return "", Refusal.NO_ADMIN
    themselves = same_person(Party(maker.subject, maker.made_by, maker.also), Party(wanted.subject))
    if themselves and not wanted.roles <= maker.roles:
        return "", Refusal.OWN_ROLES
    return _fault_of_form(wanted, endless=endless)


def _fault_of_form(wanted: Principal, *, endless: bool) -> tuple[str, Refusal] | None:
    of_services, of_service = wanted.roles & SERVICE_ROLES, wanted.kind is TokenKind.SERVICE
    deliverer = Role.DELIVERER in wanted.roles
    faults = (
        (is_reserved(wanted.subject), "subject", Refusal.RESERVED),
        (bool(of_services) and of_services != wanted.roles, "roles", Refusal.MIXED),
        (bool(of_services) and not of_service, "roles", Refusal.NOT_A_SERVICE),
        (of_service and not of_services, "roles", Refusal.NO_SERVICE_ROLE),
        (wanted.kind is TokenKind.WORKLOAD and bool(wanted.roles & _OF_PEOPLE_ALONE), "roles", Refusal.WORKLOAD),
        (deliverer and wanted.site is None, "site", Refusal.UNBOUND),
        (deliverer and wanted.service is None, "service", Refusal.UNBOUND),
        (endless and not of_service, "endless", Refusal.ENDLESS),
    )
    return next(((field, refusal) for is_fault, field, refusal in faults if is_fault), None)


def is_reserved(subject: str) -> bool:
    """Whether the registry itself calls somebody so."""
    return subject == PAGE or subject.startswith(_ON_THE_BUS)


def is_own_token(caller: Principal, token: Principal) -> bool:
    """Whether the caller may see and end the token without being an admin. An open page has only itself."""
    if caller.kind is TokenKind.SESSION or token.kind is TokenKind.SESSION:
        return caller.token_id == token.token_id
    return (caller.issuer, caller.subject) == (token.issuer, token.subject)


def may_revoke(*, admins_left: int, is_admin: bool) -> Refusal | None:
    """None where the token may end; `admins_left` are the other tokens with that role that last."""
    return Refusal.LAST_ADMIN if is_admin and admins_left == 0 else None


def require(principal: Principal, *roles: Role) -> None:
    """Check that the caller has one of the roles, for some team at least.

    Raises:
        ForbiddenError: it has none of them.
    """
    if principal.roles.isdisjoint(roles):
        names = " or ".join(role.value for role in roles)
        raise ForbiddenError(f"{principal.subject} needs the role {names}{_seen(principal)}")


def require_everywhere(principal: Principal, *roles: Role) -> None:
    """As `require`, for what is no team's own.

    Raises:
        ForbiddenError: it has none of them, or not for all teams.
    """
    require(principal, *roles)
    if principal.held is not None and teams_where(principal, *roles) is not None:
        names = " or ".join(role.value for role in roles)
        raise ForbiddenError(f"{principal.subject} needs the role {names} for all teams{_seen(principal)}")


def _seen(principal: Principal) -> str:
    """What a person reads who was signed in, and whose groups give too little."""
    if principal.held is None:
        return ""
    shown = ", ".join(sorted(principal.groups)[:20]) or "none"
    return f": the provider told these groups, which policy gives too little: {shown}"


def require_person(principal: Principal) -> None:
    """Check that somebody decides, and no program for them.

    Raises:
        ForbiddenError: it is a workload, whatever its roles.
    """
    if principal.is_workload:
        raise ForbiddenError(f"{principal.subject} is a {principal.kind}: only people approve")


def teams_where(principal: Principal, *roles: Role) -> frozenset[str] | None:
    """The teams for which the caller has one of the roles; None: all. By a token some roles hold for all teams, the
    others for its own.
    """
    if principal.held is None:
        if not _BROAD.isdisjoint(principal.roles.intersection(roles)):
            return None
        return frozenset() if principal.roles.isdisjoint(roles) else frozenset({principal.owner})
    found = {held.team for held in principal.held if held.role in roles}
    return None if None in found else frozenset(team for team in found if team is not None)


def _holds_for(principal: Principal, owner: str, *roles: Role) -> bool:
    teams = teams_where(principal, *roles)
    return teams is None or owner in teams


def belongs_to(principal: Principal, team: str) -> bool:
    """Whether the caller is one of the team's own people or programs."""
    return principal.owner == team if principal.held is None else team in principal.teams


def acts_for(principal: Principal, owner: str) -> bool:
    """Whether the caller may ask for what the team has: requesters for their own, operators for any."""
    return _holds_for(principal, owner, Role.REQUESTER, Role.OPERATOR)


def operates_for(principal: Principal, owner: str) -> bool:
    """Whether the caller may do what operators alone may with what the team has."""
    return _holds_for(principal, owner, Role.OPERATOR)


def approves_for(principal: Principal, owner: str) -> bool:
    """Whether the caller may decide on what is asked for the team."""
    return _holds_for(principal, owner, Role.APPROVER)


def sees(principal: Principal, owner: str) -> bool:
    """Operators, approvers and auditors may read everything, others what their own team owns; those whom a provider
    signed in, what is of the teams for which they have a role.
    """
    visible = _visible(principal)
    return visible is None or owner in visible


def _visible(principal: Principal) -> frozenset[str] | None:
    if principal.held is not None:
        return teams_where(principal, *LOOKING)
    broad = teams_where(principal, Role.OPERATOR, Role.APPROVER, Role.AUDITOR)
    return frozenset({principal.owner}) if broad is not None else None


def owner_listed(principal: Principal, asked: str | None) -> frozenset[str] | None:
    """Whose rows a list shows; None for everybody's.

    Raises:
        NotFoundError: others' rows are requested, which the caller may not read.
    """
    if asked is None:
        return _visible(principal)
    if not sees(principal, asked):
        raise NotFoundError(f"there is no owner {asked}")
    return frozenset({asked})


def owner_for(spec: CertificateSpec, principal: Principal) -> str:
    """For whom the request is made.

    Raises:
        RejectedError: for another team, without the right to ask for others; or for none, where there are several.
    """
    own = _asks_for(principal)
    if spec.owner is None and len(own) == 1:
        return next(iter(own))
    if spec.owner is not None and (spec.owner in own or acts_for(principal, spec.owner)):
        return spec.owner
    teams = ", ".join(sorted(own))
    if not own and teams_where(principal, Role.REQUESTER, Role.OPERATOR) is None:
        message = "must be given: you ask for every team"
    elif len(own) > 1:
        message = f"must be one of {teams}: a request is made for a team that you ask for"
    elif own:
        message = f"must be left out or be {teams}: a request is made for the team that asks"
    else:
        message = "can't be asked for: you are a requester for no team"
    raise RejectedError([Rejection(field="owner", message=message)])


def _asks_for(principal: Principal) -> frozenset[str]:
    if principal.held is None:
        return frozenset({principal.owner})
    return frozenset(held.team for held in principal.held if held.role == "requester" and held.team is not None)


def check_reporter(who: Reporter, expected: Reporter) -> None:
    """Check that a report comes from the service and place that it is about.

    Raises:
        PermanentError: it comes from another.
    """
    if who != expected:
        raise PermanentError(f"{who.service} at {who.place} can't report for {expected.service} at {expected.place}")
