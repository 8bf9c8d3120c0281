"""What policy says of a request: refused, with each field at fault, or what is asked of whom, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from certcore.certificate import CertificateSpec, Exposure
from certcore.names import matches
from certcore.policy.document import ApprovalsNeeded, Match, Place, Policy, Rule
from certcore.policy.ownership import name_refusal
from certcore.policy.zones import is_wildcard, lies_in, nearest, signable_in_public
from certcore.rejection import Rejection
from certcore.targets import TargetRequest

__all__ = ["Judgement", "allowed_cas", "exposure_of", "judge"]


@dataclass(frozen=True)
class Judgement:
    """`rules` are those that apply, the strictest of each bound holds. `cas` may sign it, the preferred one first.
    `because` says in a line for each rule what it was found for. `shared` are names that several teams may have.
    """

    refusals: tuple[Rejection, ...] = ()
    cas: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    approvals: tuple[ApprovalsNeeded, ...] = ()
    pending: timedelta | None = None
    approval_lasts: timedelta | None = None
    renewals_apart: timedelta | None = None
    most: int | None = None
    because: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


class _Case(NamedTuple):
    """What a rule is compared with: each DNS name at each kind of target, by each CA that may sign it."""

    name: str
    exposure: Exposure
    kind: str
    ca: str


def judge(policy: Policy, spec: CertificateSpec, *, owner: str) -> Judgement:
    """Judge a request that is made for a team; what the team has already is for the caller to count."""
    if owner not in policy.teams:
        told = f"{owner} is no team of the policy: nothing is allowed to it"
        return Judgement(refusals=(Rejection(field="owner", message=told),))
    look = _Look(policy, spec, owner)
    exposures = look.names()
    cas = look.cas(exposures)
    look.places()
    ruled = {} if look.refusals else look.ruled(exposures, cas)
    if look.refusals:
        return Judgement(refusals=tuple(look.refusals))
    return _strictest(policy, ruled, cas)


def exposure_of(policy: Policy, name: str) -> Exposure | None:
    """By the longest zone that the name lies in; None where it lies in none."""
    zone = nearest(name, (*policy.zones.internal, *policy.zones.public))
    if zone is None:
        return None
    return Exposure.INTERNAL if zone in policy.zones.internal else Exposure.PUBLIC


def _hides_public(policy: Policy, name: str, exposure: Exposure) -> str | None:
    """Why an internal wildcard is refused that would serve a public name, which other people are asked for."""
    if exposure is not Exposure.INTERNAL:
        return None
    found = next((zone for zone in policy.zones.public if is_wildcard(name) and matches(zone, name)), None)
    return f"would also stand for {found}, which lies in a zone that is public" if found is not None else None


def allowed_cas(
    policy: Policy, exposure: str, dns_names: Iterable[str], *, asked: str | None = None
) -> tuple[str, ...]:
    """The CAs that may sign all of the names, the preferred one first; at most the one that was asked for."""
    known = policy.cas.of(exposure)
    if any(not signable_in_public(name) for name in dns_names):
        known = tuple(name for name in known if name in policy.cas.private)
    return known if asked is None else tuple(name for name in known if name == asked)


@dataclass
class _Look:
    """One request before one policy."""

    policy: Policy
    spec: CertificateSpec
    owner: str
    refusals: list[Rejection] = field(default_factory=list)

    def names(self) -> dict[str, Exposure]:
        """The exposure of each name that the team may have."""
        exposures = {}
        for number, name in enumerate(self.spec.dns_names):
            exposure = exposure_of(self.policy, name)
            if exposure is None:
                self._refuse(f"dns_names.{number}", "lies in no zone of the policy")
            elif refusal := name_refusal(self.policy, name, self.owner) or _hides_public(self.policy, name, exposure):
                self._refuse(f"dns_names.{number}", refusal)
            else:
                exposures[name] = exposure
        other = next((name for name, found in exposures.items() if found is not self.spec.exposure), None)
        if other is not None:
            found = exposures[other]
            self._refuse("exposure", f"must be {found}: {other} lies in a zone that is {found}")
        return exposures

    def cas(self, exposures: Iterable[str]) -> tuple[str, ...]:
        """The CAs that may sign all of the names, the preferred one first."""
        spec = self.spec
        allowed = allowed_cas(self.policy, spec.exposure, exposures)
        hidden = next((name for name in exposures if not signable_in_public(name)), None)
        only = f", since no public CA may sign {hidden}" if hidden is not None else ""
        if not allowed:
            self._refuse("dns_names", f"no CA of the policy is for {spec.exposure} names like these{only}")
        elif spec.issuer is not None and spec.issuer not in allowed:
            self._refuse("issuer", f"must be one of {', '.join(allowed)} for {spec.exposure} names{only}")
        return allowed if spec.issuer is None else (spec.issuer,)

    def places(self) -> None:
        held = self.policy.teams[self.owner].places
        for number, target in enumerate(self.spec.targets):
            of_kind = [place for place in held if place.kind == target.kind]
            if not of_kind:
                self._refuse(f"targets.{number}.kind", f"team {self.owner} has no place of the kind {target.kind}")
            elif not any(_holds(place, target) for place in of_kind):
                told = ", ".join(f"{name} {' '.join(values)}" for name, values in target.place().items())
                self._refuse(f"targets.{number}", f"is no place of team {self.owner}: {told}"[:300])

    def ruled(self, exposures: dict[str, Exposure], cas: tuple[str, ...]) -> dict[str, list[_Case]]:
        """The cases of each rule that applies, by its name: of those that fit a case, the first."""
        ruled: dict[str, list[_Case]] = {}
        kinds = sorted({target.kind for target in self.spec.targets})
        for case in (_Case(*item, kind, ca) for item in exposures.items() for kind in kinds for ca in cas):
            rule = next((rule for rule in self.policy.rules if self._fits(rule.match, case)), None)
            if rule is None:
                where = f"dns_names.{self.spec.dns_names.index(case.name)}"
                told = f"as {case.exposure} name at {case.kind} by {case.ca} with a key {self.spec.key_algorithm}"
                self._refuse(where, f"no rule of the policy is for it {told}")
                break
            ruled.setdefault(rule.name, []).append(case)
        return ruled

    def _fits(self, match: Match, case: _Case) -> bool:
        return (
            (match.teams is None or self.owner in match.teams)
            and (match.domains is None or any(lies_in(case.name, domain) for domain in match.domains))
            and (match.exposure is None or case.exposure is match.exposure)
            and (match.wildcard is None or is_wildcard(case.name) is match.wildcard)
            and (match.key_algorithms is None or self.spec.key_algorithm in match.key_algorithms)
            and (match.cas is None or case.ca in match.cas)
            and (match.target_kinds is None or case.kind in match.target_kinds)
        )

    def _refuse(self, where: str, message: str) -> None:
        self.refusals.append(Rejection(field=where, message=message))


def _holds(place: Place, target: TargetRequest) -> bool:
    """One entry holds all of a target: what two entries allow each alone is not allowed together."""
    values, patterns = target.place(), place.patterns
    return patterns.keys() == values.keys() and all(
        _matches(name, patterns[name], value) for name, given in values.items() for value in given
    )


def _matches(name: str, pattern: str, value: str) -> bool:
    """`*` stands for the rest. The namespaces of Kubernetes itself are for whoever has them by name."""
    if pattern == value:
        return True
    if name == "namespace" and value.startswith("kube-"):
        return False
    return pattern.endswith("*") and value.startswith(pattern[:-1])


def _strictest(policy: Policy, ruled: dict[str, list[_Case]], cas: tuple[str, ...]) -> Judgement:
    rules = [rule for rule in policy.rules if rule.name in ruled]
    most: dict[str | None, int] = {}
    for rule in rules:
        for needed in rule.approvals:
            most[needed.group] = max(needed.count, most.get(needed.group, 0))
    return Judgement(
        cas=cas,
        rules=tuple(rule.name for rule in rules),
        approvals=tuple(ApprovalsNeeded(group=group, count=count) for group, count in most.items()),
        pending=min(rule.pending for rule in rules),
        approval_lasts=min((rule.approval_lasts for rule in rules if rule.approval_lasts), default=None),
        renewals_apart=max((rule.renewals_apart for rule in rules if rule.renewals_apart), default=None),
        most=min((rule.most for rule in rules if rule.most), default=None),
        because=tuple(_because(rule, ruled[rule.name]) for rule in rules),
        shared=policy.shared_names,
    )


def _because(rule: Rule, cases: Sequence[_Case]) -> str:
    names = list(dict.fromkeys(case.name for case in cases))
    kinds = list(dict.fromkeys(case.kind for case in cases))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"rule {rule.name}: for {', '.join(names[:3])}{more} at {', '.join(kinds)}"
