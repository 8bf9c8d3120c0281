"""Which approvals a request needs, and who may give them."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from certcore.policy.document import OWN_TEAM, Policy
from certcore.policy.quorum import Approver
from certcore.rejection import RejectedError, Rejection
from registry.domain.access import Principal, belongs_to
from registry.domain.certificate import Request
from registry.domain.terms import BEFORE_POLICIES

__all__ = ["Decider", "Refusal", "check_reason", "groups_of", "may_decide"]

MAX_REASON: Final = 2000


class Refusal(StrEnum):
    OWN_REQUEST = "the requester can't decide on their own request: ask somebody else with the role approver"
    OWN_WORKLOAD = "a workload of your own team asked: somebody of another team must decide"
    ALREADY_DECIDED = "the request was decided before"
    ALREADY_APPROVED = "you approved the request before, or somebody did who may be you"
    NOT_ASKED = "you are in none of the groups that policy asks"


@dataclass(frozen=True)
class Decider:
    """Who decides. `of_owner` is one of the owning team's people; `asked` may be who asked, `voted` who approved
    before.
    """

    approver: Approver
    of_owner: bool
    asked: bool
    voted: bool = False

    @property
    def name(self) -> str:
        return self.approver.person


def may_decide(request: Request, decider: Decider, *, given: Sequence[Approver]) -> Refusal | None:
    """None where the person may approve or deny the request; `given` are the approvals that it has already."""
    approver = decider.approver
    if request.state != "waiting":
        return Refusal.ALREADY_DECIDED
    if decider.asked or approver.person == request.requester:
        return Refusal.OWN_REQUEST
    if request.by_workload and decider.of_owner:
        return Refusal.OWN_WORKLOAD
    if decider.voted or any(item.person == approver.person for item in given):
        return Refusal.ALREADY_APPROVED
    terms = request.terms or BEFORE_POLICIES
    if not any(item.group is None or item.group in approver.groups for item in terms.needed):
        return Refusal.NOT_ASKED
    return None


def groups_of(policy: Policy | None, person: Principal, *, owner: str) -> frozenset[str]:
    """The groups that the person is in, as policy sees it for a certificate of this team."""
    if policy is None:
        return frozenset()
    groups = {name for name, members in policy.groups.items() if name in person.groups or person.subject in members}
    owning = policy.teams.get(owner)
    if owning is not None and (belongs_to(person, owner) or not groups.isdisjoint(owning.groups)):
        groups.add(OWN_TEAM)
    return frozenset(groups)


def check_reason(reason: str) -> None:
    """Check that a decision's reason can be kept, published and shown.

    Raises:
        RejectedError: it is too long for an event, or holds control characters or a private key.
    """
    if len(reason) > MAX_REASON:
        raise RejectedError([Rejection(field="reason", message=f"is longer than {MAX_REASON} characters")])
    if any(unicodedata.category(sign) in {"Cc", "Cs"} and sign not in "\n\t" for sign in reason):
        raise RejectedError([Rejection(field="reason", message="holds control characters")])
    if "PRIVATE KEY" in reason:
        # Pasted by mistake, it would be stored in the database, published on the bus and shown on the page.
        raise RejectedError([Rejection(field="reason", message="holds a private key: consider it as lost")])
