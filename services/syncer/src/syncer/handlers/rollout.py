"""An order on its way: its targets, their places, and what is known of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from opentelemetry.context import Context

from certcore.events import DeploymentOrdered
from certcore.targets import TargetSpec
from syncer.domain.placement import Place, Placement
from syncer.domain.rollup import AtPlace, Fails, Holds

__all__ = ["Job", "Rollout", "TargetRecord"]


@dataclass
class TargetRecord:
    """`outcomes` has every place, None until it was looked at; `told` is what the registry heard last."""

    placement: Placement
    outcomes: dict[Place, AtPlace | None] = field(default_factory=dict)
    told: Holds | Fails | None = None

    @classmethod
    def of(cls, placement: Placement) -> "TargetRecord":
        return cls(placement, dict.fromkeys(placement.places))


@dataclass(frozen=True, eq=False)
class Job:
    """One target at one place. `parent` is the trace that it goes on with."""

    rollout: "Rollout"
    record: TargetRecord
    place: Place
    parent: Context

    @property
    def order(self) -> DeploymentOrdered:
        return self.rollout.order

    @property
    def target(self) -> TargetSpec:
        return self.record.placement.target

    @property
    def key(self) -> tuple[str, str, Place]:
        return (self.order.certificate_id, self.target.name, self.place)


@dataclass(frozen=True, eq=False)
class Rollout:
    order: DeploymentOrdered
    targets: Mapping[str, TargetRecord]

    def jobs(self, parent: Context) -> Iterator[Job]:
        for record in self.targets.values():
            for place in record.placement.places:
                yield Job(self, record, place, parent)
