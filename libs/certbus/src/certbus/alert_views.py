"""Alerts, as people read them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from certbus.output import Cell, Table
from certbus.time_spans import from_now
from certcore.alerts import AlertState, AlertView
from certcore.events import Severity

__all__ = ["alert_table"]

_STYLES: Final = {Severity.CRITICAL: "red", Severity.WARNING: "yellow"}


def alert_table(alerts: Iterable[AlertView], now: datetime) -> Table:
    """ABOUT is the certificate where there is one, else the service, place or stream."""
    return Table(
        ("SEVERITY", "STATE", "OWNER", "REASON", "ABOUT", "SINCE", "SUMMARY"),
        tuple(
            (
                Cell(str(alert.severity), "" if alert.state == AlertState.RESOLVED else _style(alert)),
                Cell(str(alert.state)),
                Cell(alert.owner),
                Cell(alert.reason),
                Cell(alert.certificate_name or alert.subject),
                Cell(from_now(alert.since, now)),
                Cell(alert.summary),
            )
            for alert in alerts
        ),
        empty="no alerts",
    )


def _style(alert: AlertView) -> str:
    return next((style for severity, style in _STYLES.items() if alert.severity == severity), "")
