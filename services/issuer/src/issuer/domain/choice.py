"""Which CA gets the order of a job: the choice comes with its reason."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from certcore.certificate import Exposure
from certcore.events import IssueOrder
from issuer.domain.ca_traits import CaObjection, CaTraits, objections
from issuer.domain.errors import NoFittingCaError, UnknownCaError, UnsupportedIssueOrderError

__all__ = ["CaChoice", "CaPolicy", "CaReason", "choose_ca", "fitting"]


class CaReason(StrEnum):
    FIRST_ALLOWED = "first_allowed"
    FIRST_ALLOWED_AND_KNOWN = "first_allowed_and_known"
    FIRST_ALLOWED_AND_FITTING = "first_allowed_and_fitting"
    NAMED_BY_REQUEST = "named_by_request"
    POLICY_INTERNAL = "policy_internal"
    POLICY_PUBLIC = "policy_public"
    POLICY_PRIVATE = "policy_private"


@dataclass(frozen=True)
class CaPolicy:
    """Names of the CAs by exposure; `private` gets what that one can't issue, such as names that aren't public."""

    internal: str
    public: str
    private: str | None = None


@dataclass(frozen=True)
class CaChoice:
    ca: str
    reason: CaReason


def choose_ca(wanted: IssueOrder, *, policy: CaPolicy, known: Mapping[str, CaTraits]) -> CaChoice:
    """The first of the CAs that the registry's policy allows, which are in order of preference, that is known and can
    issue what is wanted. Where it names none: the CA that the request names, else that of this issuer's own policy.

    Raises:
        UnknownCaError: no CA of that name, or of any of those names, is configured.
        NoFittingCaError: none of them can issue it.
        UnsupportedIssueOrderError: the own policy has to choose, and does not know the exposure.
    """
    candidates = list(_candidates(wanted, policy))
    found = [choice for choice in candidates if choice.ca in known]
    if not found:
        raise UnknownCaError(*(choice.ca for choice in candidates))
    refused: list[CaObjection] = []
    for choice in found:
        in_the_way = list(objections(choice.ca, known[choice.ca], wanted))
        if not in_the_way:
            return _with_reason(choice, first=candidates[0], refused=refused)
        refused += in_the_way
    raise NoFittingCaError(refused)


def fitting(wanted: IssueOrder, known: Mapping[str, CaTraits]) -> frozenset[str]:
    """Those of the known CAs that can issue what is wanted."""
    return frozenset(ca for ca, traits in known.items() if not any(objections(ca, traits, wanted)))


def _candidates(wanted: IssueOrder, policy: CaPolicy) -> Iterator[CaChoice]:
    if wanted.cas:
        yield from (CaChoice(ca, CaReason.FIRST_ALLOWED) for ca in wanted.cas)
        return
    if wanted.issuer is not None:
        yield CaChoice(wanted.issuer, CaReason.NAMED_BY_REQUEST)
        return
    if wanted.exposure == Exposure.PUBLIC:
        yield CaChoice(policy.public, CaReason.POLICY_PUBLIC)
    elif wanted.exposure == Exposure.INTERNAL:
        yield CaChoice(policy.internal, CaReason.POLICY_INTERNAL)
    else:
        raise UnsupportedIssueOrderError(f"the policy names no CA for the exposure {wanted.exposure[:80]!r}")
    if policy.private is not None:
        yield CaChoice(policy.private, CaReason.POLICY_PRIVATE)


def _with_reason(choice: CaChoice, *, first: CaChoice, refused: Sequence[CaObjection]) -> CaChoice:
    if choice.reason is not CaReason.FIRST_ALLOWED or choice is first:
        return choice
    reason = CaReason.FIRST_ALLOWED_AND_FITTING if refused else CaReason.FIRST_ALLOWED_AND_KNOWN
    return CaChoice(choice.ca, reason)
