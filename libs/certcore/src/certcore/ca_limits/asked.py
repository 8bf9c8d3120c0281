"""What is asked of a CA, and which of its limits that counts against."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from hashlib import sha256

from certcore.ca_limits.limit import HOLD, BudgetSettings, LimitKind, Pace, pace_of
from certcore.names import registered_domain

__all__ = [
    "AskedCa",
    "BucketKey",
    "Charge",
    "Mode",
    "NewAccount",
    "NewOrder",
    "charges",
    "failure_charges",
    "set_name",
]


@dataclass(frozen=True, order=True)
class BucketKey:
    """`scope` is who counts: a CA as configured, which is an account there, or all that share a directory."""

    scope: str
    kind: LimitKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} of {self.name or self.scope}"


class Mode(Enum):
    TAKE = auto()
    """There must be one, and it is taken."""
    LOOK = auto()
    """There must be one; the CA takes it only when something goes wrong."""
    COUNT = auto()
    """The CA counts it, and never refuses for it."""


@dataclass(frozen=True)
class Charge:
    """`at_issuance` tells that the CA counts it only with the certificate: an order that fails costs none."""

    key: BucketKey
    pace: Pace
    mode: Mode
    at_issuance: bool = False


@dataclass(frozen=True)
class AskedCa:
    """A CA as the ledger knows it. Its account is its own; domains and sets are counted by all of a directory."""

    name: str
    directory_url: str
    budget: BudgetSettings

    @property
    def counts(self) -> bool:
        """Whether anything is counted of it; of the others only what they taught is kept."""
        return self.budget.counts


@dataclass(frozen=True)
class NewOrder:
    """A newOrder that is about to be sent. `attempt` is another one whenever another request is sent for the job, and
    the same one while the same request waits to be sent.

    `window` is the suggested window (RFC 9773) of the certificate that the order replaces, where it says so;
    `set_issued_at` when the CA last issued for exactly these names, as far as is known. Urgent ones wait only for
    urgent ones.
    """

    ca: str
    job: str
    attempt: str
    dns_names: tuple[str, ...]
    urgent: bool = False
    window: tuple[datetime, datetime] | None = None
    set_issued_at: datetime | None = None


@dataclass(frozen=True)
class NewAccount:
    """A newAccount that is about to be sent."""

    ca: str
    attempt: str
    urgent: bool = False

    @property
    def job(self) -> str:
        return f"account of {self.ca}"


def set_name(dns_names: tuple[str, ...]) -> str:
    """One name for a set of DNS names, whatever their order and case."""
    return sha256("\n".join(sorted({name.lower() for name in dns_names})).encode()).hexdigest()


def charges(ask: NewOrder | NewAccount, ca: AskedCa, now: datetime) -> tuple[Charge, ...]:
    """Let's Encrypt's documentation, "Limit Exemptions for Renewals", and what boulder does (wfe2/wfe.go, ra/ra.go):
    a renewal by ARI is refused for no limit, if it comes inside the window, but its certificate is counted; one for
    the same set of names is neither refused nor counted by account and domain. An order is counted by its account at
    once, by domains and set when its certificate is issued.

    Of a limit that isn't known nothing is counted, and nobody is exempt: what the CA taught of it holds for all.
    """
    held = Charge(BucketKey(ca.name, LimitKind.TOLD_TO_WAIT), HOLD, Mode.LOOK)
    if isinstance(ask, NewAccount):
        account = _charge(ca, BucketKey(ca.directory_url, LimitKind.NEW_ACCOUNTS), Mode.TAKE)
        return (held, *account)
    by_window = ask.window is not None and ask.window[0] <= now < ask.window[1]
    again = ask.set_issued_at is not None and now - ask.set_issued_at < ca.budget.renewal_memory
    mode = Mode.COUNT if by_window else Mode.TAKE
    found = [held, *_charge(ca, BucketKey(ca.name, LimitKind.NEW_ORDERS), Mode.TAKE, exempt=by_window or again)]
    for domain in sorted(set(map(registered_domain, ask.dns_names))):
        found.append(replace(held, key=replace(held.key, name=domain)))
        key = BucketKey(ca.directory_url, LimitKind.CERTIFICATES_PER_DOMAIN, domain)
        found += _charge(ca, key, mode, at_issuance=True, exempt=again)
    exact = BucketKey(ca.directory_url, LimitKind.CERTIFICATES_PER_SET, set_name(ask.dns_names))
    found += _charge(ca, exact, mode, at_issuance=True)
    return (*found, *failure_charges(ca, ask.dns_names, by_window=by_window))


def failure_charges(ca: AskedCa, dns_names: tuple[str, ...], *, by_window: bool = False) -> tuple[Charge, ...]:
    """A wildcard is proven by the name below it; a name that is paused is refused to a renewal, too."""
    found: list[Charge] = []
    for name in sorted({name.lower().removeprefix("*.") for name in dns_names}):
        found += _charge(ca, BucketKey(ca.name, LimitKind.FAILURES, name), Mode.LOOK, exempt=by_window)
        found += _charge(ca, BucketKey(ca.name, LimitKind.FAILURES_IN_A_ROW, name), Mode.LOOK)
    return tuple(found)


def _charge(
    ca: AskedCa, key: BucketKey, mode: Mode, *, at_issuance: bool = False, exempt: bool = False
) -> list[Charge]:
    limit = ca.budget.limit(key.kind)
    if limit is None:
        return [Charge(key, HOLD, Mode.LOOK)]
    return [] if exempt else [Charge(key, pace_of(limit, ca.budget.share), mode, at_issuance)]
