from datetime import UTC, datetime, timedelta

import pytest

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.replay_views import read_time, replay_summary, replay_table
from certcore.replay import Replay, ReplayedEvent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENT = ReplayedEvent(id="e-1", type="certbus.certificate.issued.v1", stream="CERTS", about="c-1", time=NOON)


def test_a_time_is_given_as_a_span_or_as_itself() -> None:
    assert read_time("2h", NOON) == NOON - timedelta(hours=2)
    assert read_time("2026-03-01T10:00:00Z", NOON) == NOON - timedelta(hours=2)


@pytest.mark.parametrize("text", ["yesterday", "2026-03-01T10:00:00", "", "-2h"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CommandError, match="is no time") as refused:
        read_time(text, NOON)
    assert refused.value.exit_code is ExitCode.INVALID


def test_each_event_has_a_row_and_the_summary_says_what_the_rows_do_not() -> None:
    answer = Replay(events=(EVENT,), total=3, replaced=2)
    [row] = replay_table(answer).rows
    assert [cell.text for cell in row] == ["2026-03-01T12:00:00Z", "issued", "CERTS", "c-1", "e-1"]
    assert replay_summary(answer, dry_run=True) == (
        "and 2 more",
        "2 older deployments are left out: newer ones took their place",
        "3 events would be published again",
    )
    assert replay_summary(Replay(events=(EVENT,), total=1), dry_run=False) == ("1 event will be published again",)
