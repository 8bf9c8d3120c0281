from datetime import datetime, timedelta

import pytest

from certcore.events import Severity
from registry.domain.lateness import Unfollowed, late_of
from tests.unit.registry.samples import NOON

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("until", "after", "severity", "told"),
    [
        (NOON + 15 * DAY, DAY, Severity.WARNING, "what is served of shop ends at 2026-03-16T12:00Z"),
        (NOON + 15 * DAY, 8 * DAY, Severity.CRITICAL, "what is served of shop ends at 2026-03-16T12:00Z"),
        (NOON + 15 * DAY, 16 * DAY, Severity.CRITICAL, "what is served of shop ended at 2026-03-16T12:00Z"),
        (None, DAY, Severity.CRITICAL, "shop should be renewed since 2026-03-01T12:00Z"),
    ],
)
def test_a_late_renewal_tells_until_when_and_what_holds_it_up(
    until: datetime | None, after: timedelta, severity: Severity, told: str
) -> None:
    late = late_of(Unfollowed("shop", "team", "failing", "in_progress: tries", NOON, until), now=NOON + after)
    assert (late.owner, late.severity) == ("team", severity)
    assert late.summary.startswith(told)
    assert late.summary.endswith("it is failing; in_progress: tries")
