"""How a restore of the registry is shown. Pure."""

from datetime import datetime

from certbus.output import Cell, Table
from certbus.time_spans import from_now
from certcore.api import RestoreView

__all__ = ["restore_facts", "unknown_table"]


def restore_facts(restore: RestoreView, now: datetime) -> list[tuple[str, str]]:
    if restore.began_at is None:
        return [("database", restore.database_id), ("restored", "never")]
    return [
        ("database", restore.database_id),
        ("epoch", str(restore.epoch)),
        ("restored", f"{from_now(restore.began_at, now)}: {restore.reason}"),
        ("issuer", "has not reported yet: nothing new is decided" if restore.waiting else "has reported"),
    ]


def unknown_table(restore: RestoreView, now: datetime) -> Table:
    return Table(
        ("UNKNOWN CERTIFICATE", "REVISION", "VARIANT", "SERIAL", "EXPIRES"),
        tuple(
            (
                Cell(item.certificate_id),
                Cell(str(item.revision)),
                Cell(item.variant),
                Cell(item.serial),
                Cell(from_now(item.not_after, now)),
            )
            for item in restore.unknown
        ),
    )
