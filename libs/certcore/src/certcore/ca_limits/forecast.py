"""When orders could go under the CAs' limits, for whoever plans campaigns and the calendar."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from certcore.ca_limits.asked import NewOrder
from certcore.ca_limits.limit import LimitKind
from certcore.ca_limits.play import BudgetState, forecast
from certcore.names import MAX_DNS_NAMES, DnsName, Label

__all__ = ["MOST_ASKED", "MOST_INTENTS", "ExpectedOrder", "ForecastAnswer", "ForecastQuestion", "Intent", "answer"]

MOST_INTENTS: Final = 10_000
MOST_ASKED: Final = 2000
"""Of the registry in one question: others wait meanwhile."""


class Intent(BaseModel):
    """An order that somebody thinks of; as `NewOrder`, which says what exempts it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=128)]
    ca: Label
    dns_names: Annotated[tuple[DnsName, ...], Field(min_length=1, max_length=MAX_DNS_NAMES)]
    urgent: bool = False
    window_start: AwareDatetime | None = None
    window_end: AwareDatetime | None = None
    set_issued_at: AwareDatetime | None = None


class ExpectedOrder(BaseModel):
    """`at` is None for a CA that isn't configured, or is asked without ACME; `limit` is what it waits for at last."""

    model_config = ConfigDict(frozen=True)

    id: str
    at: AwareDatetime | None
    limit: LimitKind | None = None


class ForecastQuestion(BaseModel):
    """They go in the order in which they are given; urgent ones first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    orders: Annotated[tuple[Intent, ...], Field(min_length=1, max_length=MOST_ASKED)]


class ForecastAnswer(BaseModel):
    """In the order of the intents. It holds for the moment at which it was made, if nothing else is ordered.
    `limits_at` is when what it counts on was told; None where the ledger itself was read.
    """

    model_config = ConfigDict(frozen=True)

    made_at: AwareDatetime
    orders: tuple[ExpectedOrder, ...]
    takes: timedelta
    limits_at: AwareDatetime | None = None


def answer(
    state: BudgetState, intents: Sequence[Intent], *, now: datetime, limits_at: datetime | None = None
) -> ForecastAnswer:
    """At most `MOST_INTENTS`, which take seconds.

    Raises:
        ValueError: there are more.
    """
    if len(intents) > MOST_INTENTS:
        raise ValueError(f"are {len(intents)}: give at most {MOST_INTENTS} at once")
    found = forecast(state, [_ask(intent) for intent in intents if intent.ca in state.cas], now)
    expected = {one.job: ExpectedOrder(id=one.job, at=one.at, limit=one.limit) for one in found}
    last: datetime = max((one.at for one in found), default=now)
    orders = tuple(expected.get(intent.id, ExpectedOrder(id=intent.id, at=None)) for intent in intents)
    return ForecastAnswer(made_at=now, orders=orders, takes=last - now, limits_at=limits_at)


def _ask(intent: Intent) -> NewOrder:
    start, end = intent.window_start, intent.window_end
    return NewOrder(
        ca=intent.ca,
        job=intent.id,
        attempt="",
        dns_names=intent.dns_names,
        urgent=intent.urgent,
        window=(start, end) if start is not None and end is not None else None,
        set_issued_at=intent.set_issued_at,
    )
