"""Events that are published again, as people read them; and the time from which they are."""

from datetime import datetime

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from certbus.errors import CommandError
from certbus.event_lines import shown_type
from certbus.exit_codes import ExitCode
from certbus.output import Cell, Table
from certbus.time_spans import instant, read_span
from certcore.replay import Replay

__all__ = ["read_time", "replay_summary", "replay_table"]

_TIME = TypeAdapter(AwareDatetime)


def read_time(text: str, now: datetime) -> datetime:
    """Read `2h`, which is so long ago, or a time in ISO 8601 with its zone.

    Raises:
        CommandError: it is neither.
    """
    try:
        return _TIME.validate_python(text)
    except ValidationError:
        pass
    try:
        return now - read_span(text)
    except CommandError:
        raise CommandError(
            f"{text!r} is no time",
            exit_code=ExitCode.INVALID,
            next_step="give a span such as 2h, or a time with its zone such as 2026-03-01T12:00:00Z",
        ) from None


def replay_table(answer: Replay) -> Table:
    return Table(
        ("TIME", "TYPE", "STREAM", "ABOUT", "ID"),
        tuple(
            (
                Cell(instant(event.time)),
                Cell(shown_type(event.type)),
                Cell(event.stream),
                Cell(event.about),
                Cell(event.id),
            )
            for event in answer.events
        ),
        empty="nothing to publish",
    )


def replay_summary(answer: Replay, *, dry_run: bool) -> tuple[str, ...]:
    """What the table doesn't show."""
    lines = []
    if (more := answer.total - len(answer.events)) > 0:
        lines.append(f"and {more} more")
    if answer.replaced:
        lines.append(f"{answer.replaced} older deployments are left out: newer ones took their place")
    done = "would be published again" if dry_run else "will be published again"
    lines.append(f"{answer.total} {'event' if answer.total == 1 else 'events'} {done}")
    return tuple(lines)
