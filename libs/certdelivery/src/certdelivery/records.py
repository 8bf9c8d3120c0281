"""The state of each placement: its order, the last outcome at each destination, what was reported last."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from opentelemetry.context import Context

from certdelivery.model import Destination
from certdelivery.placements import Placement
from certdelivery.rollup import AtDestination, Summary

__all__ = ["Job", "LaneKey", "Record"]

LaneKey = tuple[str, str, Destination]


@dataclass(eq=False)
class Record:
    """`outcomes` has every destination, None until it was inspected. `reported` is the last reported summary;
    `reporting` is held while one is published.
    """

    placement: Placement
    outcomes: dict[Destination, AtDestination | None] = field(default_factory=dict)
    reported: Summary | None = None
    reporting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def of(cls, placement: Placement) -> "Record":
        return cls(placement, dict.fromkeys(placement.destinations))

    def jobs(self, parent: Context) -> Iterator["Job"]:
        for destination in self.placement.destinations:
            yield Job(self, destination, parent)


@dataclass(frozen=True, eq=False)
class Job:
    """One target at one destination. `parent` is the trace that it continues."""

    record: Record
    destination: Destination
    parent: Context

    @property
    def placement(self) -> Placement:
        return self.record.placement

    @property
    def key(self) -> LaneKey:
        return (*self.placement.key, self.destination)
