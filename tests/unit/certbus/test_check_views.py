from datetime import timedelta

import pytest

from certbus.check import AddressCheck, Finding
from certbus.check_views import check_table
from tests.unit.certbus.samples import NOON


def test_each_address_is_a_row_in_the_order_of_the_arguments() -> None:
    sound = AddressCheck(
        target="b.example.org:443",
        address="192.0.2.1",
        finding=Finding.OK,
        not_after=NOON + timedelta(days=40),
        issuer="CN=Some CA",
        serial="3f9a",
    )
    gone = AddressCheck(target="a.example.org:443", address=None, finding=Finding.UNRESOLVED, detail="no such name")
    rows = check_table([sound, gone], NOON).rows
    assert [[cell.text for cell in row] for row in rows] == [
        ["b.example.org:443", "192.0.2.1", "ok", "in 40 d", "CN=Some CA", "3f9a", ""],
        ["a.example.org:443", "-", "unresolved", "-", "-", "-", "no such name"],
    ]


@pytest.mark.parametrize("finding", Finding)
def test_only_what_is_well_is_green(finding: Finding) -> None:
    (row,) = check_table([AddressCheck(target="a:443", address="192.0.2.1", finding=finding)], NOON).rows
    assert (row[2].style == "green") == (finding is Finding.OK)
