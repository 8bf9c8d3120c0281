"""Whether a stream is still the one that events were published to, or was lost. Pure."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["Found", "StreamEpoch", "Verdict", "judge"]


@dataclass(frozen=True)
class StreamEpoch:
    """What was known of a stream. `created` as the broker writes it; `last_sequence` is the highest that was ever
    acknowledged; `lost_at` is when it was found to be lost, None where nothing is missing any more.
    """

    stream: str
    created: str
    last_sequence: int
    lost_at: datetime | None = None


@dataclass(frozen=True)
class Found:
    """What the broker says of a stream."""

    created: str
    last_sequence: int


class Verdict(StrEnum):
    NEW = "new"
    SAME = "same"
    MISSING = "missing"
    """It is gone: whoever declares streams makes it again, and then it is another."""
    REMADE = "remade"
    REWOUND = "rewound"
    """It is the same stream and has lost its newest messages: a damaged file, or an older copy of it."""

    @property
    def lost(self) -> bool:
        """Whether what it held is to be published again."""
        return self in {Verdict.REMADE, Verdict.REWOUND}


def judge(
    known: Mapping[str, StreamEpoch],
    seen: Mapping[str, int],
    found: Mapping[str, Found],
    *,
    silent: AbstractSet[str] = frozenset(),
    lower: AbstractSet[str] = frozenset(),
) -> Iterator[tuple[str, Verdict]]:
    """Each stream with its verdict. `known` must have been read before `found` was.

    `seen` are the last sequences that were found before; of `silent` streams the broker says nothing at the moment;
    `lower` are those that acknowledged a message under a lower sequence than one before.
    """
    for stream in sorted(known.keys() | found.keys()):
        before, now = known.get(stream), found.get(stream)
        if now is None:
            if stream not in silent:
                yield stream, Verdict.MISSING
        elif before is None:
            yield stream, Verdict.NEW
        elif now.created != before.created:
            yield stream, Verdict.REMADE
        elif stream in lower or now.last_sequence < max(before.last_sequence, seen.get(stream, 0)):
            yield stream, Verdict.REWOUND
        else:
            yield stream, Verdict.SAME
