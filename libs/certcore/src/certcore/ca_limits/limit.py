"""What a CA allows within a time, and how much of it this installation takes: data, for a CA's settings.

The numbers of Let's Encrypt are those of its documentation (https://letsencrypt.org/docs/rate-limits/, as of
2026-08-05). It counts by token buckets: a burst up to the full limit, then one more each `period / count`.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import floor
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["HOLD", "PRESETS", "BudgetSettings", "Limit", "LimitKind", "Pace", "Preset", "default_budget", "pace_of"]


class LimitKind(StrEnum):
    """What is counted: column of the ledger, reason that people read."""

    NEW_ORDERS = "new_orders"
    CERTIFICATES_PER_DOMAIN = "certificates_per_domain"
    CERTIFICATES_PER_SET = "certificates_per_set"
    FAILURES = "failures"
    FAILURES_IN_A_ROW = "failures_in_a_row"
    NEW_ACCOUNTS = "new_accounts"
    TOLD_TO_WAIT = "told_to_wait"
    """No limit that is counted: the CA refused without a reason that can be read; of the account, or of the domain
    that it named.
    """


class Limit(BaseModel):
    """`count` in each `period`; `burst` at once, where that is another number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[int, Field(ge=1)]
    period: Annotated[timedelta, Field(gt=timedelta())]
    burst: Annotated[int | None, Field(ge=1)] = None


_HOURS: Final = timedelta(hours=1)
_DAYS: Final = timedelta(days=1)

Preset = Literal["letsencrypt", "letsencrypt-staging"]

PRESETS: Final[dict[Preset, dict[LimitKind, Limit]]] = {
    "letsencrypt": {
        # "New Orders per Account": 1 every 36 seconds.
        LimitKind.NEW_ORDERS: Limit(count=300, period=3 * _HOURS),
        # "New Certificates per Registered Domain": 1 every 202 minutes, whichever account asks.
        LimitKind.CERTIFICATES_PER_DOMAIN: Limit(count=50, period=7 * _DAYS),
        # "New Certificates per Exact Set of Identifiers": 1 every 34 hours, whichever account asks.
        LimitKind.CERTIFICATES_PER_SET: Limit(count=5, period=7 * _DAYS),
        # "Authorization Failures per Identifier per Account": 1 every 12 minutes.
        LimitKind.FAILURES: Limit(count=5, period=_HOURS),
        # "Consecutive Authorization Failures per Identifier per Account": 1 every day, none after a success; above
        # it the name is paused until a person unpauses it.
        LimitKind.FAILURES_IN_A_ROW: Limit(count=1, period=_DAYS, burst=1152),
        # "New Registrations per IP Address": 1 every 18 minutes.
        LimitKind.NEW_ACCOUNTS: Limit(count=10, period=3 * _HOURS),
    },
    # https://letsencrypt.org/docs/staging-environment/#rate-limits
    "letsencrypt-staging": {
        LimitKind.NEW_ORDERS: Limit(count=1500, period=3 * _HOURS),
        LimitKind.CERTIFICATES_PER_DOMAIN: Limit(count=30_000, period=timedelta(seconds=1)),
        LimitKind.CERTIFICATES_PER_SET: Limit(count=30_000, period=7 * _DAYS),
        LimitKind.FAILURES: Limit(count=200, period=_HOURS),
        LimitKind.FAILURES_IN_A_ROW: Limit(count=3600, period=6 * _HOURS),
        LimitKind.NEW_ACCOUNTS: Limit(count=50, period=3 * _HOURS),
    },
}
_HOSTS: Final[dict[str, Preset]] = {
    "acme-v02.api.letsencrypt.org": "letsencrypt",
    "acme-staging-v02.api.letsencrypt.org": "letsencrypt-staging",
}


class BudgetSettings(BaseModel):
    """Without a preset and limits of its own nothing is counted of what a CA is asked; what its refusals teach is
    heeded all the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Preset | None = Field(default=None, description="Whose documented limits hold, where none is named here.")
    share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.9,
        description="How much of each limit certbus takes: the rest is for other clients of the account and domains.",
    )
    new_orders: Limit | None = Field(default=None, description="Of the account.")
    certificates_per_domain: Limit | None = Field(default=None, description="Of each registered domain.")
    certificates_per_set: Limit | None = Field(default=None, description="Of each exact set of names.")
    failures: Limit | None = Field(default=None, description="Failed validations of a name.")
    failures_in_a_row: Limit | None = Field(default=None, description="The same, begun anew by a success.")
    new_accounts: Limit | None = None
    renewal_memory: timedelta = Field(
        default=120 * _DAYS,
        description="How long after a certificate another one for the same set of names counts as its renewal.",
    )

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.renewal_memory < timedelta():
            raise ValueError("renewal_memory: is below zero")
        return self

    @property
    def counts(self) -> bool:
        """Whether any limit is known."""
        return any(self.limit(kind) is not None for kind in LimitKind)

    def limit(self, kind: LimitKind) -> Limit | None:
        named: Limit | None = getattr(self, kind, None)
        return named or (PRESETS[self.preset].get(kind) if self.preset else None)


def default_budget(directory_url: str) -> BudgetSettings:
    """That of a CA whose settings name none: only Let's Encrypt's limits are known; a private CA has none."""
    return BudgetSettings(preset=_HOSTS.get(urlsplit(directory_url).hostname or ""))


@dataclass(frozen=True)
class Pace:
    """How a bucket is filled: each one weighs `every`, and `tolerance` may be owed (that is `burst` at once)."""

    every: timedelta
    burst: int

    @property
    def tolerance(self) -> timedelta:
        return self.every * self.burst


HOLD: Final = Pace(timedelta(), 1)
"""Of what is counted by nobody, and only held back until a time."""


def pace_of(limit: Limit, share: float) -> Pace:
    """The share holds for the burst and for what comes after it; one is always possible."""
    burst = max(1, floor((limit.burst or limit.count) * share + 1e-9))
    return Pace(limit.period / (limit.count * share), burst)
