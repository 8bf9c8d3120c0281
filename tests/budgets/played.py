"""A campaign on a fresh ledger, by its seed."""

import time
from dataclasses import dataclass
from random import Random

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from issuer.adapters.ledger_tables import bucket
from tests.budgets.campaign import Campaign, Outcome

__all__ = ["Played", "play"]


@dataclass(frozen=True)
class Played:
    seed: int
    orders: int
    others: float
    outcome: Outcome
    wall_s: float

    def line(self) -> str:
        one, seen = self.outcome, self.outcome.seen
        refused = sum(one.refusals.values())
        return (
            f"  SEED={self.seed:<11} 429: {refused:>4}  newOrders {seen['orders']:>6}  certificates"
            f" {seen['certificates']:>6}  others took {seen['others']:>6}  asked {seen['asked']:>6}"
            f"  {one.took.total_seconds() / 86400:5.1f} days in {self.wall_s:5.1f} s"
        )


def play(seed: int, *, orders: int, others: float, faults: float = 1.0, share: float = 0.9) -> Played:
    """`others` is the share of each limit that others take, `share` the one that certbus may take."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    bucket.metadata.create_all(engine)
    began = time.monotonic()
    try:
        campaign = Campaign(engine, Random(seed), orders=orders, others=others, faults=faults, share=share)
        return Played(seed, orders, others, campaign.run(), time.monotonic() - began)
    finally:
        engine.dispose()
