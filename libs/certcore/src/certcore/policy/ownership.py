"""Whose a DNS name is: the team's whose entry fits it most closely, and nobody's without one."""

from collections.abc import Iterable, Iterator
from typing import Final

from certcore.names import matches
from certcore.policy.document import Policy, Team
from certcore.policy.zones import host_of, is_wildcard, lies_in

__all__ = ["name_refusal"]

_EXACT: Final = 1000
"""Closer than any subtree: a DNS name has at most 127 labels."""


def name_refusal(policy: Policy, name: str, owner: str) -> str | None:
    """Why the team may not have a certificate for the name; None where it may.

    A name below the subtrees of two teams is that of the team with the longer one. A wildcard needs a right of its
    own, and stands for no name that another team has more closely unless it is given to the team as it is.
    """
    team = policy.teams[owner]
    own = _closeness(team, name)
    others = sorted(
        other
        for other, held in policy.teams.items()
        if other != owner and _closeness(held, name) > own and not _is_shared(policy, name)
    )
    if others:
        return f"belongs to team {others[0]}"
    if own == 0:
        if is_wildcard(name) and _closeness(team, host_of(name)) > 0:
            return f"is a wildcard, for which team {owner} has no right: subtrees don't allow them, wildcards do"
        return f"belongs to no domain or subtree of team {owner}"
    if is_wildcard(name) and own < _EXACT:
        for other, held in sorted(policy.teams.items()):
            if other != owner and (found := _taken_from(held, team, name)):
                return f"would also stand for {found}, which belongs to team {other}"
    return None


def _is_shared(policy: Policy, name: str) -> bool:
    return name in policy.shared_names


def _closeness(team: Team, name: str) -> int:
    """0 where no entry of the team is for the name."""
    if name in team.domains:
        return _EXACT
    zones = team.wildcards if is_wildcard(name) else team.subtrees
    return max((_depth(zone) for zone in zones if lies_in(name, zone)), default=0)


def _depth(zone: str) -> int:
    return zone.count(".") + 1


def _taken_from(other: Team, own: Team, wildcard: str) -> str | None:
    """What the wildcard would match that the other team has more closely than the own one."""
    host = host_of(wildcard)
    if _below(other, host) > _below(own, host):
        return f"names below {host}"
    return next(
        (name for name in _heads(other) if matches(name, wildcard) and _claim(other, name) > _claim(own, name)), None
    )


def _below(team: Team, host: str) -> int:
    """As closely as the team has what lies below a name, with or without a wildcard."""
    return max((_depth(zone) for zone in (*team.subtrees, *team.wildcards) if lies_in(host, zone)), default=0)


def _claim(team: Team, name: str) -> int:
    return _EXACT if name in team.domains else _below(team, name)


def _heads(team: Team) -> Iterator[str]:
    names: Iterable[str] = (*team.domains, *team.subtrees, *team.wildcards)
    return (name for name in names if not is_wildcard(name))
