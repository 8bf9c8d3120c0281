"""Lists as CSV (RFC 4180), for spreadsheets: no cell is one of their formulas."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from certcore.api import CertificateSummary

__all__ = ["as_csv", "cell"]

_COLUMNS: Final = tuple(name for name in CertificateSummary.model_fields if name != "unreadable")
_BEGIN_FORMULAS: Final = frozenset("=+-@\t\r\n")


def as_csv(items: Iterable[CertificateSummary]) -> str:
    """A line for each item below the names of the columns, which are those of the JSON."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    writer.writerows([cell(getattr(item, name)) for name in _COLUMNS] for item in items)
    return file.getvalue()


def cell(value: object) -> str:
    """Text that a spreadsheet would take for a formula begins with an apostrophe, which it doesn't show."""
    match value:
        case None:
            return ""
        case datetime():
            return value.isoformat()
        case tuple():
            return cell(" ".join(map(str, value)))
        case str():
            return (
                f"'{value}" if value[:1] in _BEGIN_FORMULAS or value.lstrip()[:1] in _BEGIN_FORMULAS else str(value)
            )
        case _:
            return str(value)
