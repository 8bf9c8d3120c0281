"""Which solver proves a name, and by which of the challenges that the CA offers: a pure choice with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from certcore.name_patterns import ANY_NAME, matches_pattern, specificity
from issuer.domain.ca_order import AuthorizationView, ChallengeKind, ChallengeOffer
from issuer.domain.errors import NoChallengeError

__all__ = [
    "SolverChoice",
    "SolverReason",
    "SolverRule",
    "choose_solver",
    "overlapping",
    "solver_of",
]

_PROVE_WILDCARDS: Final = frozenset({ChallengeKind.DNS_01, ChallengeKind.DNS_PERSIST_01})


class SolverReason(StrEnum):
    NAME_MATCHES = "name_matches"
    PATTERN_MATCHES = "pattern_matches"
    DEFAULT = "default"
    DEFAULT_OF_LESS_PREFERRED = "default_of_less_preferred"
    """The CA offers none of the challenges before it in the order of preference, or no solver shows them."""


@dataclass(frozen=True)
class SolverRule:
    """A configured solver: which challenge it shows, and for which names. Without a pattern, for all others."""

    solver: str
    kind: ChallengeKind
    match: tuple[str, ...] = ()

    @property
    def patterns(self) -> tuple[str, ...]:
        return self.match or (ANY_NAME,)


@dataclass(frozen=True)
class SolverChoice:
    """`pattern` is the one that matched; empty for a default."""

    offer: ChallengeOffer
    solver: str
    reason: SolverReason
    pattern: str


def choose_solver(
    authorization: AuthorizationView, *, preference: Sequence[ChallengeKind], rules: Sequence[SolverRule]
) -> SolverChoice:
    """The solver with the most specific pattern for the name; among equals the challenge that comes first in
    `preference`. A wildcard can only be proven by DNS (RFC 8555 §8.3), and is below its domain: `*.example.org`
    matches it, `example.org` doesn't.

    Raises:
        NoChallengeError: no solver shows a challenge that the CA offers and that is preferred.
    """
    name = f"*.{authorization.identifier}" if authorization.wildcard else authorization.identifier
    best: tuple[tuple[int, int, int], SolverChoice] | None = None
    for offer in authorization.offers:
        if offer.kind not in preference or (authorization.wildcard and offer.kind not in _PROVE_WILDCARDS):
            continue
        place = preference.index(offer.kind)
        for rule in rules:
            if rule.kind is not offer.kind:
                continue
            for pattern in rule.patterns:
                if not matches_pattern(name, pattern):
                    continue
                rank = (*specificity(name, pattern), -place)
                if best is None or rank > best[0]:
                    best = rank, SolverChoice(offer, rule.solver, _reason(name, pattern, place), pattern)
    if best is None:
        raise NoChallengeError(authorization.identifier, wildcard=authorization.wildcard)
    return best[1]


def solver_of(identifier: str, kind: ChallengeKind, rules: Sequence[SolverRule]) -> str | None:
    """Which solver shows a stored record of an earlier version, which names none."""
    fitting = [
        (specificity(identifier, pattern), rule.solver)
        for rule in rules
        for pattern in rule.patterns
        if rule.kind is kind and matches_pattern(identifier, pattern)
    ]
    return max(fitting, key=lambda found: found[0])[1] if fitting else None


def overlapping(rules: Sequence[SolverRule]) -> str | None:
    """What is wrong with rules of which two would have to prove the same names; None where nothing is."""
    taken: dict[tuple[ChallengeKind, str], str] = {}
    for rule in rules:
        for pattern in rule.patterns:
            other = taken.setdefault((rule.kind, pattern), rule.solver)
            if other != rule.solver:
                what = f"match {pattern}" if pattern else "match everything (they have no `match`)"
                return f"{other} and {rule.solver} both {what} by {rule.kind}"
    return None


def _reason(name: str, pattern: str, place: int) -> SolverReason:
    if pattern == name:
        return SolverReason.NAME_MATCHES
    if pattern:
        return SolverReason.PATTERN_MATCHES
    return SolverReason.DEFAULT_OF_LESS_PREFERRED if place else SolverReason.DEFAULT
