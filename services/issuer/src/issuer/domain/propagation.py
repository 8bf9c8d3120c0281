"""Who doesn't show which challenge record yet, in words, and when it is worth another look."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from issuer.domain.challenge import SEEN, Propagation

__all__ = ["Lack", "propagation"]

_FIRST_LOOK: Final = timedelta(seconds=1)
_LONGEST_LOOK: Final = timedelta(minutes=1)
_GROWTH: Final = 1.6
_NAMES_TOLD: Final = 3
_LACKS_TOLD: Final = 6


@dataclass(frozen=True, order=True)
class Lack:
    """`server` (of a view) doesn't show what it should at `name`: `problem` is what it does instead."""

    view: str
    server: str
    problem: str
    name: str


def propagation(lacks: Collection[Lack], *, looks: int) -> Propagation:
    """Seen where nothing is lacking. `looks` is how often in vain these records were looked for before."""
    if not lacks:
        return SEEN
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for lack in sorted(set(lacks)):
        grouped.setdefault((lack.view, lack.server, lack.problem), []).append(lack.name)
    several_views = len({lack.view for lack in lacks}) > 1
    told = [
        f"{f'{view}: ' if several_views else ''}{server} {problem} {_named(names)}"
        for (view, server, problem), names in grouped.items()
    ]
    more = f"; and {len(told) - _LACKS_TOLD} more" if len(told) > _LACKS_TOLD else ""
    delay = min(_FIRST_LOOK * _GROWTH ** min(looks, 20), _LONGEST_LOOK)
    return Propagation(seen=False, detail="; ".join(told[:_LACKS_TOLD]) + more, look_again=delay)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
    return ", ".join(names[:_NAMES_TOLD]) + more
