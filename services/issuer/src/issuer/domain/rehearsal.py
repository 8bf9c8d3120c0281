"""What a rehearsal of the configuration found, step by step: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from certcore.certificate import Exposure, KeyAlgorithm
from certcore.events import IssueOrder
from issuer.domain.public_names import private_names

__all__ = ["Outcome", "Step", "exit_code", "line", "rehearsed_order", "summary"]

_WIDTH: Final = 10


class Outcome(StrEnum):
    PROVEN = "proven"
    FAILED = "failed"
    NOT_TRIED = "not_tried"
    """It can't be tried from here, or not without touching what is in use."""


_SIGNS: Final = {Outcome.PROVEN: "✓", Outcome.FAILED: "✗", Outcome.NOT_TRIED: "-"}


@dataclass(frozen=True)
class Step:
    what: str
    outcome: Outcome
    detail: str


def line(step: Step) -> str:
    return f"  {_SIGNS[step.outcome]} {step.what:<{_WIDTH}}  {step.detail}"


def summary(name: str, steps: Sequence[Step]) -> str:
    def told(outcome: Outcome) -> str:
        return ", ".join(step.what for step in steps if step.outcome is outcome)

    failed, untried = told(Outcome.FAILED), told(Outcome.NOT_TRIED)
    if failed:
        return f"{name}: failed: {failed}"
    return f"{name}: nothing failed" + (f"; not tried: {untried}" if untried else "")


def exit_code(steps: Sequence[Step]) -> int:
    """1 where a step failed. What couldn't be tried is no failure."""
    return 1 if any(step.outcome is Outcome.FAILED for step in steps) else 0


def rehearsed_order(name: str, *, exposure: Exposure | None, ca: str | None) -> IssueOrder:
    """What the registry would order for the name; a name that is private is internal, unless an exposure is given."""
    return IssueOrder(
        certificate_id="rehearsal",
        name="rehearsal",
        revision=1,
        dns_names=(name,),
        exposure=exposure or (Exposure.INTERNAL if private_names((name,)) else Exposure.PUBLIC),
        issuer=ca,
        key_algorithm=KeyAlgorithm.EC_P256,
        approval_id="rehearsal",
        recipients=(),
    )
