"""A placement: what one target should hold of a certificate, and what it reported."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from certcore.identities import recipient_name
from certcore.intent import Target
from certcore.placements import PLATFORM, Action
from certcore.targets import KeyHolder, TargetKind

__all__ = ["Placement"]


@dataclass(frozen=True)
class Placement:
    """`wanted` and `held` are revisions, `held_generation` the generation that the target reported last.

    `step` is the progress of a slow delivery. `ordered_at` is when the present generation was ordered.
    """

    certificate_id: str
    target: str
    place: str
    service: str
    kind: str
    variant: str = PLATFORM
    generation: int = 0
    action: Action = Action.HOLD
    wanted: int | None = None
    ordered_at: datetime | None = None
    held: int | None = None
    held_generation: int | None = None
    failed_generation: int | None = None
    failure: str = ""
    next_try: datetime | None = None
    step: str = ""

    @classmethod
    def of(cls, certificate_id: str, target: Target, kind: TargetKind) -> Self:
        own_key = kind.capabilities.key_holder is KeyHolder.TARGET
        variant = target.name if own_key else PLATFORM
        return cls(certificate_id, target.name, target.place, kind.service, target.kind, variant)

    @property
    def is_wanted(self) -> bool:
        """Whether the target should hold something."""
        return self.action is Action.HOLD and self.wanted is not None

    @property
    def is_held(self) -> bool:
        """Whether the target reported that it holds what it should."""
        return self.is_wanted and self.held_generation == self.generation and self.held == self.wanted

    @property
    def is_withdrawn(self) -> bool:
        return self.action is Action.WITHDRAW and self.held_generation == self.generation and self.held is None

    @property
    def is_failed(self) -> bool:
        return self.failed_generation == self.generation and self.generation > 0 and not self.is_held

    @property
    def recipient(self) -> str:
        return recipient_name(self.place, self.service)

    def ordered(self, revision: int, generation: int, now: datetime) -> Self:
        """The target should hold this revision from now on; a failure before it is cleared."""
        return replace(
            self,
            action=Action.HOLD,
            wanted=revision,
            generation=generation,
            ordered_at=now,
            failed_generation=None,
            failure="",
            next_try=None,
            step="",
        )
