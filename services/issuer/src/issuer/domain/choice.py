"""Which CA gets the order of a job: the choice comes with its reason."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from certcore.certificate import Exposure
from issuer.domain.errors import UnknownCaError, UnsupportedIssueOrderError

__all__ = ["CaChoice", "CaPolicy", "CaReason", "choose_ca"]


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
