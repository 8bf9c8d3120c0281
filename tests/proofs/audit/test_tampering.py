"""10,000 entries, and one act of somebody who can write in the database: each is found, and where it was."""

import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Final

from certcore.audit import hash_of
from certcore.audit_proof import prove
from tests.audit_chains import Entry, an_anchor, chained, exported, rechained

_LENGTH: Final = 10_000
_ANCHORED_EACH: Final = 500
_FIELDS: Final = ("number", "time", "actor", "way", "roles", "action", "object", "detail", "previous", "hash")


def _edited(entries: list[Entry], at: int, draw: random.Random) -> None:
    field = draw.choice(_FIELDS)
    value = entries[at][field]
    entries[at] = {**entries[at], field: value + 1 if isinstance(value, int) else f"{value or ''}."}


def _edited_with_its_hash(entries: list[Entry], at: int, draw: random.Random) -> None:
    # The hash is made right again after whatever was edited: alone, that would be no edit.
    entries[at] = {**entries[at], "detail": f"{draw.random()}"}
    _edited(entries, at, draw)
    entries[at]["hash"] = hash_of(entries[at])


def _taken_out(entries: list[Entry], at: int, draw: random.Random) -> None:
    del entries[at : at + draw.randint(1, 20)]


def _swapped(entries: list[Entry], at: int, draw: random.Random) -> None:
    other = draw.randrange(at + 1, _LENGTH) if at + 1 < _LENGTH else at - 1
    entries[at], entries[other] = entries[other], entries[at]


def _cut_off(entries: list[Entry], at: int, draw: random.Random) -> None:  # noqa: ARG001 # as the others
    del entries[at:]


def _written_anew(entries: list[Entry], at: int, draw: random.Random) -> None:
    entries[at] = {**entries[at], "actor": f"nobody-{draw.random()}"}
    entries[at:] = rechained(entries, at)[at:]


_ACTS: Final[tuple[Callable[[list[Entry], int, random.Random], None], ...]] = (
    _edited,
    _edited_with_its_hash,
    _taken_out,
    _swapped,
    _cut_off,
    _written_anew,
)


def _play(entries: list[Entry], seed: int) -> tuple[str, int | None]:
    """What was done, and how many entries after its place the first finding is; None where there is none."""
    draw = random.Random(seed)
    at, act = draw.randrange(1, _LENGTH), draw.choice(_ACTS)
    anchors = [an_anchor(entries[:count]) for count in range(_ANCHORED_EACH, _LENGTH + 1, _ANCHORED_EACH)]
    changed = [*entries]
    act(changed, at, draw)
    found = prove(exported(changed, anchors=anchors)).findings
    places = [item.line - 2 if item.line is not None else (item.number or 0) - 1 for item in found]
    return act.__name__.strip("_"), min(places) - at if places else None


def test_every_act_is_found_where_it_was(seed: int) -> None:
    entries, count = chained(_LENGTH), int(os.environ.get("N") or 200)
    assert prove(exported(entries, anchors=[an_anchor(entries)])).holds()
    with ProcessPoolExecutor(2) as pool:
        played = list(pool.map(partial(_play, entries), range(seed, seed + count), chunksize=20))
    print(Counter(act for act, _ in played))
    for act in {act for act, _ in played}:
        far = [distance for one, distance in played if one == act]
        print(f"{act:24} {len(far):5} found {sum(item is not None for item in far):5}")
    assert [seed + number for number, (_, distance) in enumerate(played) if distance is None] == []
    # What lies between two anchors, and was written anew or cut off, shows at the second.
    most = {"cut_off": _ANCHORED_EACH, "written_anew": _ANCHORED_EACH}
    assert [one for one in played if not -1 <= (one[1] or 0) <= most.get(one[0], 1)] == []
