from datetime import timedelta

from certbus.alert_views import alert_table
from certcore.alerts import AlertState, AlertView
from certcore.events import Severity
from tests.unit.certbus.samples import NOON


def alert(**changes: object) -> AlertView:
    fields: dict[str, object] = {
        "id": "a1",
        "state": AlertState.OPEN,
        "severity": Severity.WARNING,
        "owner": "platform",
        "reason": "service_silent",
        "subject": "site1/syncer",
        "summary": "site1/syncer has not reported",
        "since": NOON - timedelta(minutes=5),
        "updated_at": NOON,
        "resolved_at": None,
        "source": "certbus/hub/registry",
    }
    return AlertView.model_validate(fields | changes)


def test_an_alert_says_what_is_wrong_where_and_since_when() -> None:
    table = alert_table([alert(), alert(certificate_name="shop", severity="critical")], NOON)
    assert [[cell.text for cell in row] for row in table.rows] == [
        [
            "warning",
            "open",
            "platform",
            "service_silent",
            "site1/syncer",
            "5 min ago",
            "site1/syncer has not reported",
        ],
        ["critical", "open", "platform", "service_silent", "shop", "5 min ago", "site1/syncer has not reported"],
    ]
    assert [row[0].style for row in table.rows] == ["yellow", "red"]


def test_a_resolved_alert_and_one_of_an_unknown_severity_are_not_coloured() -> None:
    table = alert_table([alert(state="resolved", resolved_at=NOON), alert(severity="dire")], NOON)
    assert [row[0].style for row in table.rows] == ["", ""]
