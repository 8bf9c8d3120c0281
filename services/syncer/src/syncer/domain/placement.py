"""Where the targets of an order lie in this site."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from certcore.targets import FilesTarget, HaproxyTarget, KubernetesTarget, TargetSpec

__all__ = ["Place", "PlaceKind", "Placement", "placement"]


class PlaceKind(StrEnum):
    CLUSTER = "cluster"
    STORE = "store"


@dataclass(frozen=True, order=True)
class Place:
    """A cluster or a store of this site: what can be out of reach by itself."""

    kind: PlaceKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Placement:
    """A target's places here. `unknown` tells, in words, what the target names and this site doesn't have."""

    target: TargetSpec
    places: tuple[Place, ...]
    unknown: str | None = None


def placement(target: TargetSpec, *, clusters: Collection[str], stores: Collection[str]) -> Placement:
    """Find the places of one target; what is known is served even where the target also names what is not."""
    match target:
        case KubernetesTarget():
            named = target.clusters or tuple(sorted(clusters))
            if not named:
                return Placement(target, (), "this site has no cluster")
            return _placed(target, PlaceKind.CLUSTER, named, clusters)
        case FilesTarget():
            return _placed(target, PlaceKind.STORE, (target.store,), stores)
        case HaproxyTarget():
            return Placement(target, (), f"targets of kind {target.kind} are not this service's")
        case _:
            assert_never(target)


def _placed(target: TargetSpec, kind: PlaceKind, named: tuple[str, ...], known: Collection[str]) -> Placement:
    # A name given twice is one place.
    places = tuple(Place(kind, name) for name in dict.fromkeys(named) if name in known)
    missing = ", ".join(sorted({name for name in named if name not in known}))
    return Placement(target, places, f"this site has no {kind} {missing}" if missing else None)
