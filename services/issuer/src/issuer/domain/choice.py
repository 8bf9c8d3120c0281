"""Which CA gets an order, and which challenge proves a name: each choice comes with its reason."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from certcore.certificate import Exposure
from issuer.domain.ca_order import AuthorizationView, ChallengeKind, ChallengeOffer
from issuer.domain.errors import NoChallengeError, UnknownCaError

__all__ = ["CaChoice", "CaPolicy", "CaReason", "ChallengeChoice", "ChallengeReason", "choose_ca", "choose_challenge"]


class CaReason(StrEnum):
    NAMED_BY_ORDER = "named_by_order"
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


def choose_ca(*, named: str | None, exposure: Exposure, policy: CaPolicy, known: Collection[str]) -> CaChoice:
    """The CA that the order names, else the policy's for its exposure.

    Raises:
        UnknownCaError: no CA of that name is configured.
    """
    if named is not None:
        choice = CaChoice(named, CaReason.NAMED_BY_ORDER)
    elif exposure is Exposure.PUBLIC:
        choice = CaChoice(policy.public, CaReason.POLICY_PUBLIC)
    else:
        choice = CaChoice(policy.internal, CaReason.POLICY_INTERNAL)
    if choice.ca not in known:
        raise UnknownCaError(choice.ca)
    return choice


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
