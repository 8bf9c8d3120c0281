"""What a caller may do: deny by default, least privilege."""

from dataclasses import dataclass

from certcore.api import Role
from certcore.certificate import CertificateSpec
from certcore.errors import PermanentError
from certcore.rejection import RejectedError, Rejection
from certcore.subjects import Reporter
from registry.domain.errors import ForbiddenError, NotFoundError

__all__ = ["Principal", "check_reporter", "owner_for", "owner_listed", "require", "sees"]


@dataclass(frozen=True)
class Principal:
    """Who calls. Two tokens of one subject are one person: nobody approves their own request with a second token."""

    subject: str
    owner: str
    roles: frozenset[Role]
    site: str | None = None
    service: str | None = None
    is_workload: bool = False


def require(principal: Principal, *roles: Role) -> None:
    """Check that the caller has one of the roles.

    Raises:
        ForbiddenError: it has none of them.
    """
    if principal.roles.isdisjoint(roles):
        names = " or ".join(role.value for role in roles)
        raise ForbiddenError(f"{principal.subject} needs the role {names}")


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
