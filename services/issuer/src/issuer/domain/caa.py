"""Whether CAA records let a CA issue for a name (RFC 8659; accounturi and validationmethods: RFC 8657): pure.

It is asked before an order: a CA that finds itself forbidden counts that as a failed validation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

__all__ = ["CaaAsker", "CaaLookup", "CaaReason", "CaaRecord", "CaaVerdict", "climbed", "judge_caa"]

_CRITICAL: Final = 128
_ISSUE: Final = "issue"
_ISSUE_WILD: Final = "issuewild"
_KNOWN: Final = frozenset({_ISSUE, _ISSUE_WILD, "iodef", "issuemail"})
_DOMAIN: Final = re.compile(r"[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*\.?")
_PARAMETER: Final = re.compile(r"(?P<tag>[a-zA-Z0-9]+)[ \t]*=[ \t]*(?P<value>[\x21-\x3a\x3c-\x7e]*)")


class CaaReason(StrEnum):
    NO_RECORDS = "no_records"
    NOT_RESTRICTED = "not_restricted"
    """There are records, and none of them is about issuing."""
    CA_NAMED = "ca_named"
    CA_WITHOUT_IDENTITY = "ca_without_identity"
    """The CA's directory doesn't say by which names it is known in CAA records."""
    NOT_ANSWERED = "not_answered"
    """Our resolvers don't answer; the CA asks its own."""
    CA_NOT_NAMED = "ca_not_named"
    OTHER_ACCOUNT = "other_account"
    OTHER_METHOD = "other_method"
    UNKNOWN_CRITICAL = "unknown_critical"


@dataclass(frozen=True)
class CaaRecord:
    flags: int
    tag: str
    value: str


@dataclass(frozen=True)
class CaaAsker:
    """Who would issue: the CA's `caaIdentities`, the URL of our account there, and by which methods control could be
    proven.
    """

    identities: tuple[str, ...]
    account_url: str | None
    methods: frozenset[str]


@dataclass(frozen=True)
class CaaVerdict:
    """`detail` says for people whose records say what."""

    allowed: bool
    reason: CaaReason
    detail: str = ""


class CaaLookup(Protocol):
    """Looks CAA records up, and judges them."""

    async def allows(self, names: Sequence[str], asker: CaaAsker) -> CaaVerdict:
        """The verdict about the first of the names that is forbidden; else that about the last."""
        ...


@dataclass(frozen=True)
class _Grant:
    """An issue or issuewild property; `domain` is empty where it names nobody, or can't be read."""

    domain: str = ""
    accounts: tuple[str, ...] = ()
    methods: tuple[str, ...] | None = None


def climbed(name: str) -> tuple[str, ...]:
    """Where to look, in this order, until there are records: the name and its parents (RFC 8659 §3)."""
    labels = name.removeprefix("*.").rstrip(".").split(".")
    return tuple(".".join(labels[number:]) for number in range(len(labels)))


def judge_caa(name: str, sets: Mapping[str, Sequence[CaaRecord]], asker: CaaAsker) -> CaaVerdict:
    """`sets` has the records of every name of `climbed(name)`, up to the first that has any."""
    owner = next((at for at in climbed(name) if sets.get(at)), None)
    if owner is None:
        return CaaVerdict(allowed=True, reason=CaaReason.NO_RECORDS)
    records = sets[owner]
    for record in records:
        if record.flags & _CRITICAL and record.tag.lower() not in _KNOWN:
            told = f"CAA of {owner} has the critical property {record.tag!r:.40}, which no CA may ignore"
            return CaaVerdict(allowed=False, reason=CaaReason.UNKNOWN_CRITICAL, detail=told)
    properties = _properties(records, wildcard=name.startswith("*."))
    if not properties:
        return CaaVerdict(allowed=True, reason=CaaReason.NOT_RESTRICTED)
    if not asker.identities:
        return CaaVerdict(allowed=True, reason=CaaReason.CA_WITHOUT_IDENTITY)
    return _judge(name, owner, properties, asker)


def _properties(records: Sequence[CaaRecord], *, wildcard: bool) -> list[CaaRecord]:
    wild = [record for record in records if record.tag.lower() == _ISSUE_WILD]
    return wild if wildcard and wild else [record for record in records if record.tag.lower() == _ISSUE]


def _judge(name: str, owner: str, properties: Sequence[CaaRecord], asker: CaaAsker) -> CaaVerdict:
    own = {identity.lower().rstrip(".") for identity in asker.identities}
    grants = [_grant(record.value) for record in properties]
    ours = [grant for grant in grants if grant.domain in own]
    if not ours:
        named = ", ".join(sorted({grant.domain for grant in grants} - {""})) or "nobody"
        told = f"CAA of {owner} lets {named} issue for {name}, and this CA is {' or '.join(sorted(own))}"
        return CaaVerdict(allowed=False, reason=CaaReason.CA_NOT_NAMED, detail=told)
    for_us = [grant for grant in ours if not grant.accounts or grant.accounts == (asker.account_url,)]
    if not for_us:
        accounts = ", ".join(account for grant in ours for account in grant.accounts)
        told = f"CAA of {owner} lets only the account {accounts} issue for {name}, and ours is {asker.account_url}"
        return CaaVerdict(allowed=False, reason=CaaReason.OTHER_ACCOUNT, detail=told)
    if not any(grant.methods is None or asker.methods & set(grant.methods) for grant in for_us):
        methods = ", ".join(sorted({method for grant in for_us for method in grant.methods or ()})) or "no method"
        told = f"CAA of {owner} lets {name} be proven by {methods}, and we can by {', '.join(sorted(asker.methods))}"
        return CaaVerdict(allowed=False, reason=CaaReason.OTHER_METHOD, detail=told)
    return CaaVerdict(allowed=True, reason=CaaReason.CA_NAMED)


def _grant(value: str) -> _Grant:
    """Whatever can't be read grants nothing to anybody."""
    domain, *parameters = (part.strip(" \t") for part in value.split(";"))
    if not _DOMAIN.fullmatch(domain):
        return _Grant()
    read = [_PARAMETER.fullmatch(parameter) for parameter in parameters if parameter]
    pairs = [(found["tag"].lower(), found["value"]) for found in read if found is not None]
    if len(pairs) < len(read):
        return _Grant()
    methods = [value for tag, value in pairs if tag == "validationmethods"]
    return _Grant(
        domain=domain.lower().rstrip("."),
        accounts=tuple(value for tag, value in pairs if tag == "accounturi"),
        # Given twice, it can't be satisfied (RFC 8657 §4).
        methods=None if not methods else tuple(methods[0].split(",")) if len(methods) == 1 else (),
    )
