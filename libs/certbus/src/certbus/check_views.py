"""What `certbus check` found, as people read it."""

from collections.abc import Iterable
from datetime import datetime

from certbus.certificate_views import expiry
from certbus.check import AddressCheck, Finding
from certbus.output import Cell, Table

__all__ = ["check_table"]


def check_table(results: Iterable[AddressCheck], now: datetime) -> Table:
    """In the order of the arguments, so that each is found where it was typed."""
    return Table(
        ("TARGET", "ADDRESS", "FINDING", "EXPIRES", "ISSUER", "SERIAL", "DETAIL"),
        tuple(
            (
                Cell(result.target),
                Cell(result.address or "-"),
                _finding(result.finding),
                expiry(result.not_after, now),
                Cell(result.issuer or "-"),
                Cell(result.serial or "-"),
                Cell(result.detail),
            )
            for result in results
        ),
        empty="no addresses",
    )


def _finding(finding: Finding) -> Cell:
    styles = {Finding.OK: "green", Finding.EXPIRES_SOON: "yellow"}
    return Cell(finding.value, styles.get(finding, "red"))
