"""What a scenario measured, as lines of a table: what was done, the limit, what was seen."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Figure", "hold", "show"]


@dataclass(frozen=True)
class Figure:
    """`seen` may be at most `limit`; without a limit it is only told."""

    what: str
    seen: float
    limit: float | None = None
    unit: str = "s"

    @property
    def held(self) -> bool:
        return self.limit is None or self.seen <= self.limit

    def line(self) -> str:
        limit = f"≤ {self.limit:g} {self.unit}" if self.limit is not None else ""
        mark = "✓" if self.limit is not None and self.held else " " if self.held else "✗"
        return f"  {mark} {self.what:<76} {limit:>12} {self.seen:10.1f} {self.unit}"


def show(figures: Iterable[Figure]) -> None:
    """Print them, and add them to the file that HOLDS_FIGURES names, a JSON line each."""
    figures = list(figures)
    print("\n" + "\n".join(figure.line() for figure in figures), flush=True)
    if file := os.environ.get("HOLDS_FIGURES"):
        with Path(file).open("a") as kept:
            kept.writelines(json.dumps(vars(figure)) + "\n" for figure in figures)


def hold(figures: Sequence[Figure]) -> None:
    """Show them all, then fail with those above their limits."""
    show(figures)
    assert all(figure.held for figure in figures), "\n".join(
        ["above the limit:", *(figure.line() for figure in figures if not figure.held)]
    )
