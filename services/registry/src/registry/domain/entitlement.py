"""What somebody may do whom a provider signed in: by the policy that holds at each call, and their groups."""

from dataclasses import replace

from certcore.api import Role
from certcore.policy.document import Policy
from certcore.policy.roles import HeldRole, roles_held
from certcore.tokens import TokenKind
from registry.domain.access import LOOKING, Principal

__all__ = ["entitled"]


def entitled(person: Principal, policy: Policy | None) -> Principal:
    """The same with their roles and teams; without a policy, or in none of its groups, with nothing.

    To a team belong those in one of its groups, and those whom a role of a requester names it for.
    """
    groups, teams = person.groups, frozenset[str]()
    held: frozenset[HeldRole] = frozenset()
    if policy is not None:
        named = {name for name, members in policy.groups.items() if person.subject in members}
        held = roles_held(policy.roles, groups | named)
        teams = frozenset(
            name for name, team in policy.teams.items() if not (groups | named).isdisjoint(team.groups)
        ) | {item.team for item in held if item.role == "requester" and item.team is not None}
    if person.kind is TokenKind.SESSION:
        held = _only_looking(held)
    return replace(
        person,
        owner=next(iter(teams)) if len(teams) == 1 else "",
        roles=frozenset(Role(item.role) for item in held),
        held=held,
        teams=teams,
    )


def _only_looking(held: frozenset[HeldRole]) -> frozenset[HeldRole]:
    """An open page looks, and shows what its person's roles let them see."""
    seen = {HeldRole("viewer", item.team) for item in held if item.role in LOOKING}
    return frozenset(seen | {item for item in held if item.role == "auditor"})
