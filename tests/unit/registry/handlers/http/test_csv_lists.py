import csv
import io
from datetime import UTC, datetime

import pytest

from registry.handlers.http.csv_lists import as_csv, cell
from tests.unit.certbus.samples import summary


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "\n@"])
def test_no_text_is_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("shop", "shop"),
        (None, ""),
        (-1, "-1"),
        (("=a", "b"), "'=a b"),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00+00:00"),
    ],
)
def test_what_is_no_formula_stays_as_it_is(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_a_line_holds_whatever_its_cells_hold() -> None:
    one = summary("shop", health_reason='not, "served"\nat web')
    [header, line] = csv.reader(io.StringIO(as_csv([one])))
    found = dict(zip(header, line, strict=True))
    assert (found["name"], found["health_reason"], found["dns_names"]) == (
        one.name,
        one.health_reason,
        " ".join(one.dns_names),
    )
