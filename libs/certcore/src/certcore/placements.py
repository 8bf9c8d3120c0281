"""A placement: what one target should hold of a certificate, in which generation."""

from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime

from certcore.intent import Target
from certcore.reading import Open, ReadModel

__all__ = ["PLATFORM", "Action", "PlacementOrder", "epoch_of", "generation"]

PLATFORM: Final = "platform"
"""The variant whose key the issuer makes. A target that makes its own key has a variant of its own name."""

_EPOCH_BITS: Final = 32


def generation(epoch: int, number: int) -> int:
    """The `number`-th generation in an epoch of the registry's database; one of a later epoch is always higher."""
    return (epoch << _EPOCH_BITS) + number


def epoch_of(generation: int) -> int:
    return generation >> _EPOCH_BITS


class Action(StrEnum):
    HOLD = "hold"
    WITHDRAW = "withdraw"


class PlacementOrder(ReadModel):
    """What is wanted at one target. Orders are compared by `generation` and never by `revision`: a rollback is a
    higher generation with an earlier revision. All below `action` is missing where it is withdrawn.
    """

    target: Target
    generation: int
    action: Open[Action] = Action.HOLD
    revision: int | None = None
    variant: str = PLATFORM
    fingerprint_sha256: str | None = None
    serial: str | None = None
    not_after: AwareDatetime | None = None
    bundle_sha256: str | None = None
