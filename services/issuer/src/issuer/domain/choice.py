"""Which CA gets the order of a job, and which challenge proves a name: each choice comes with its reason."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from certcore.certificate import Exposure
from issuer.domain.ca_order import AuthorizationView, ChallengeKind, ChallengeOffer
from issuer.domain.errors import NoChallengeError, UnknownCaError, UnsupportedIssueOrderError

__all__ = ["CaChoice", "CaPolicy", "CaReason", "ChallengeChoice", "ChallengeReason", "choose_ca", "choose_challenge"]


class CaReason(StrEnum):
    FIRST_ALLOWED = "first_allowed"
    FIRST_ALLOWED_AND_KNOWN = "first_allowed_and_known"
    NAMED_BY_REQUEST = "named_by_request"
    POLICY_INTERNAL = "policy_internal"
    POLICY_PUBLIC = "policy_public"


@dataclass(frozen=True)
class CaPolicy:
    """Names of the CAs by exposure."""

    internal: str
    public: str


@dataclass(frozen=True)
class CaChoice:
    ca: str
    reason: CaReason


def choose_ca(
    *, allowed: Sequence[str], named: str | None, exposure: str, policy: CaPolicy, known: Collection[str]
) -> CaChoice:
    """The first known of the CAs that the registry's policy allows, which are in order of preference. Where it names
    none: the CA that the request names, else the one of this issuer's own policy.

    Raises:
        UnknownCaError: no CA of that name, or of any of those names, is configured.
        UnsupportedIssueOrderError: the own policy has to choose, and does not know the exposure.
    """
    if allowed:
        return _first_known(allowed, known)
    if named is not None:
        choice = CaChoice(named, CaReason.NAMED_BY_REQUEST)
    elif exposure == Exposure.PUBLIC:
        choice = CaChoice(policy.public, CaReason.POLICY_PUBLIC)
    elif exposure == Exposure.INTERNAL:
        choice = CaChoice(policy.internal, CaReason.POLICY_INTERNAL)
    else:
        raise UnsupportedIssueOrderError(f"the policy names no CA for the exposure {exposure[:80]!r}")
    if choice.ca not in known:
        raise UnknownCaError(choice.ca)
    return choice


def _first_known(allowed: Sequence[str], known: Collection[str]) -> CaChoice:
    for number, ca in enumerate(allowed):
        if ca in known:
            return CaChoice(ca, CaReason.FIRST_ALLOWED_AND_KNOWN if number else CaReason.FIRST_ALLOWED)
    raise UnknownCaError(*allowed)


class ChallengeReason(StrEnum):
    WILDCARD_NEEDS_DNS = "wildcard_needs_dns"
    PREFERRED = "preferred"
    PREFERRED_NOT_OFFERED = "preferred_not_offered"


@dataclass(frozen=True)
class ChallengeChoice:
    offer: ChallengeOffer
    reason: ChallengeReason


def choose_challenge(authorization: AuthorizationView, *, preference: Sequence[ChallengeKind]) -> ChallengeChoice:
    """The first kind of `preference` that the CA offers; a wildcard can only be proven by DNS (RFC 8555 §8.3).

    Raises:
        NoChallengeError: the CA offers none that is preferred.
    """
    kinds = [kind for kind in preference if kind is ChallengeKind.DNS_01 or not authorization.wildcard]
    for number, kind in enumerate(kinds):
        for offer in authorization.offers:
            if offer.kind is kind:
                return ChallengeChoice(offer, _reason(authorization, number))
    raise NoChallengeError(authorization.identifier, wildcard=authorization.wildcard)


def _reason(authorization: AuthorizationView, number: int) -> ChallengeReason:
    if authorization.wildcard:
        return ChallengeReason.WILDCARD_NEEDS_DNS
    return ChallengeReason.PREFERRED_NOT_OFFERED if number else ChallengeReason.PREFERRED
