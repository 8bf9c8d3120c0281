"""Asks and buckets for the tests of budgets."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from certcore.ca_limits.asked import AskedCa, BucketKey, NewOrder, charges
from certcore.ca_limits.bucket import Bucket
from certcore.ca_limits.limit import BudgetSettings, Limit
from issuer.domain.budget_decision import Decision, decide
from issuer.domain.errors import AcmeProblemError, Subproblem
from tests.unit.issuer.samples import NOON

__all__ = ["DIRECTORY", "GAPS", "LE", "LIMITS", "ask", "asked_of", "ca", "refusal", "seconds"]

DIRECTORY: Final = "https://ca.test/directory"
LE: Final = AskedCa("le", DIRECTORY, BudgetSettings(preset="letsencrypt"))
LIMITS: Final = st.builds(
    Limit,
    count=st.integers(1, 12),
    period=st.integers(1, 100_000).map(lambda number: timedelta(seconds=number)),
    burst=st.none() | st.integers(1, 12),
)
GAPS: Final = st.integers(0, 3000) | st.integers(0, 10**6).map(lambda number: number / 7)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def ca(share: float = 0.9, **limits: Any) -> AskedCa:
    return AskedCa("le", DIRECTORY, BudgetSettings(share=share, **limits))


def ask(job: str = "a-job", *dns_names: str, **fields: Any) -> NewOrder:
    return NewOrder(
        **{"ca": "le", "job": job, "attempt": "1", "dns_names": dns_names or ("a.example.org",), **fields}
    )


def asked_of(of: AskedCa, buckets: Mapping[BucketKey, Bucket], asked: NewOrder, now: datetime = NOON) -> Decision:
    return decide(charges(asked, of, now), buckets, now=now)


def refusal(detail: str, retry_after: timedelta | None = None, *subproblems: Subproblem) -> AcmeProblemError:
    return AcmeProblemError(
        type="rateLimited", status=429, detail=detail, retry_after=retry_after, subproblems=subproblems
    )
