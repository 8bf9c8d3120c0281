"""What a caller may do: deny by default, least privilege."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from certcore.api import Role
from certcore.certificate import CertificateSpec
from certcore.errors import PermanentError
from certcore.rejection import RejectedError, Rejection
from certcore.subjects import Reporter
from certcore.tokens import SERVICE_ROLES, TokenKind
from registry.domain.errors import ForbiddenError, NotFoundError

__all__ = [
    "LOCAL",
    "PAGE",
    "Party",
    "Principal",
    "Refusal",
    "check_reporter",
    "is_own_token",
    "may_make",
    "may_revoke",
    "owner_for",
    "owner_listed",
    "require",
    "require_person",
    "same_person",
    "sees",
]

LOCAL: Final = "registry"
"""The issuer of those whom the registry's own tokens name."""
PAGE: Final = "page"
_ON_THE_BUS: Final = "bus-"
_OF_PEOPLE_ALONE: Final = frozenset({Role.APPROVER, Role.ADMIN})


@dataclass(frozen=True)
class Principal:
    """Who calls. Two tokens of one subject are one person: nobody approves their own request with a second token.

    `made_by` are the subjects that made the token, and those that made theirs.
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

    @property
    def is_workload(self) -> bool:
        """A program, of a team or one of ours: it never approves."""
        return self.kind is not TokenKind.PERSON


@dataclass(frozen=True)
class Party:
    """Somebody who asked or decides, with all that ever made a token for them, see `Tokens.chain`."""

    subject: str
    made_by: Collection[str] = ()


def same_person(one: Party, other: Party) -> bool:
    """Whether both may be one person, so that neither decides on what the other asked for: they are called the same,
    whoever says so, or one of them made a token of the other's and so could act in their name.
    """
    return one.subject == other.subject or one.subject in other.made_by or other.subject in one.made_by


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
    themselves = same_person(Party(maker.subject, maker.made_by), Party(wanted.subject))
    if themselves and not wanted.roles <= maker.roles:
        return "", Refusal.OWN_ROLES
    return _fault_of_form(wanted, endless=endless)


def _fault_of_form(wanted: Principal, *, endless: bool) -> tuple[str, Refusal] | None:
    of_services, of_service = wanted.roles & SERVICE_ROLES, wanted.kind is TokenKind.SERVICE
    deliverer = Role.DELIVERER in wanted.roles
    faults = (
        (wanted.subject == PAGE or wanted.subject.startswith(_ON_THE_BUS), "subject", Refusal.RESERVED),
        (bool(of_services) and of_services != wanted.roles, "roles", Refusal.MIXED),
        (bool(of_services) and not of_service, "roles", Refusal.NOT_A_SERVICE),
        (of_service and not of_services, "roles", Refusal.NO_SERVICE_ROLE),
        (wanted.kind is TokenKind.WORKLOAD and bool(wanted.roles & _OF_PEOPLE_ALONE), "roles", Refusal.WORKLOAD),
        (deliverer and wanted.site is None, "site", Refusal.UNBOUND),
        (deliverer and wanted.service is None, "service", Refusal.UNBOUND),
        (endless and not of_service, "endless", Refusal.ENDLESS),
    )
    return next(((field, refusal) for is_fault, field, refusal in faults if is_fault), None)


def is_own_token(caller: Principal, token: Principal) -> bool:
    """Whether the caller may see and end the token without being an admin. An open page has only itself."""
    if caller.kind is TokenKind.SESSION or token.kind is TokenKind.SESSION:
        return caller.token_id == token.token_id
    return (caller.issuer, caller.subject) == (token.issuer, token.subject)


def may_revoke(*, admins_left: int, is_admin: bool) -> Refusal | None:
    """None where the token may end; `admins_left` are the other tokens with that role that last."""
    return Refusal.LAST_ADMIN if is_admin and admins_left == 0 else None


def require(principal: Principal, *roles: Role) -> None:
    """Check that the caller has one of the roles.

    Raises:
        ForbiddenError: it has none of them.
    """
    if principal.roles.isdisjoint(roles):
        names = " or ".join(role.value for role in roles)
        raise ForbiddenError(f"{principal.subject} needs the role {names}")


def require_person(principal: Principal) -> None:
    """Check that somebody decides, and no program for them.

    Raises:
        ForbiddenError: it is a workload, whatever its roles.
    """
    if principal.is_workload:
        raise ForbiddenError(f"{principal.subject} is a {principal.kind}: only people approve")


def sees(principal: Principal, owner: str) -> bool:
    """Operators, approvers and auditors may read everything, others what their own team owns."""
    broad = {Role.OPERATOR, Role.APPROVER, Role.AUDITOR}
    return not principal.roles.isdisjoint(broad) or principal.owner == owner


def owner_listed(principal: Principal, asked: str | None) -> str | None:
    """Whose rows a list shows; None for everybody's.

    Raises:
        NotFoundError: others' rows are requested, which the caller may not read.
    """
    if asked is None:
        return None if sees(principal, "") else principal.owner
    if not sees(principal, asked):
        raise NotFoundError(f"there is no owner {asked}")
    return asked


def owner_for(spec: CertificateSpec, principal: Principal) -> str:
    """For whom the request is made.

    Raises:
        RejectedError: for another team, without the right to ask for others.
    """
    if spec.owner is None or spec.owner == principal.owner:
        return principal.owner
    if Role.OPERATOR in principal.roles:
        return spec.owner
    message = f"must be left out or be {principal.owner}: a request is made for the team that asks"
    raise RejectedError([Rejection(field="owner", message=message)])


def check_reporter(who: Reporter, expected: Reporter) -> None:
    """Check that a report comes from the service and place that it is about.

    Raises:
        PermanentError: it comes from another.
    """
    if who != expected:
        raise PermanentError(f"{who.service} at {who.place} can't report for {expected.service} at {expected.place}")
