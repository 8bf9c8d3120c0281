"""Summaries of a list are made once for each state of a row."""

from dataclasses import replace

from registry.adapters.store.facts import NEVER
from registry.adapters.store.listing import Listed, Place
from registry.domain.certificate import Certificate
from registry.handlers.certificate_list import KeptSummaries
from tests.unit.registry.samples import certificate


class Rows:
    """Certificates that are read by their ids, in another order than they are asked for."""

    def __init__(self, *names: str) -> None:
        self.stored = {name: replace(certificate(), id=f"id-{name}", name=name) for name in names}
        self.read: list[list[str]] = []

    def listed(self, *names: str, epoch: int = 0) -> list[Listed]:
        return [Listed(Place(name, NEVER), f"id-{name}", self.stored[name].version, epoch) for name in names]

    def look(self, ids: list[str]) -> list[Certificate]:
        self.read.append(sorted(ids))
        return sorted((item for item in self.stored.values() if item.id in ids), key=lambda item: item.id)


def shown(kept: KeptSummaries, rows: Rows, *names: str, epoch: int = 0) -> list[tuple[str, str]]:
    return [(item.name, item.reason) for item in kept.of(rows.listed(*names, epoch=epoch), rows.look)]


def test_a_row_is_read_once_and_shown_in_the_order_of_the_list() -> None:
    kept, rows = KeptSummaries(), Rows("a", "b", "c")
    assert [name for name, _ in shown(kept, rows, "c", "a")] == ["c", "a"]
    assert [name for name, _ in shown(kept, rows, "a", "b", "c")] == ["a", "b", "c"]
    assert rows.read == [["id-a", "id-c"], ["id-b"]]


def test_a_row_that_was_saved_or_restored_is_read_anew() -> None:
    kept, rows = KeptSummaries(), Rows("a")
    shown(kept, rows, "a")
    rows.stored["a"] = replace(rows.stored["a"], reason="another", version=rows.stored["a"].version + 1)
    assert shown(kept, rows, "a") == [("a", "another")]
    rows.stored["a"] = replace(rows.stored["a"], reason="as it was once")
    assert shown(kept, rows, "a", epoch=1) == [("a", "as it was once")]


def test_of_too_many_the_oldest_is_forgotten() -> None:
    kept, rows = KeptSummaries(most=2), Rows("a", "b", "c")
    for name in ("a", "b", "c", "b", "a"):
        assert [found for found, _ in shown(kept, rows, name)] == [name]
    assert rows.read == [["id-a"], ["id-b"], ["id-c"], ["id-a"]]
