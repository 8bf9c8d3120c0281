"""When windows and freezes next let a renewal be ordered, and what holds it until then."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from certcore.policy.document import Policy
from certcore.policy.windows import Freeze, Renewed, Window

__all__ = ["OPEN", "Calendar", "Opening", "calendar_of"]

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Opening:
    """`at` is the first instant that is open, not before it was asked for; `held_by` says what was in the way."""

    at: datetime
    held_by: str = ""
    frozen: bool = False


@dataclass(frozen=True)
class Calendar:
    """What of a policy is for one certificate. Without windows every instant is open that is not frozen; with
    several, one that is in any of them.
    """

    windows: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    def opening(self, at: datetime) -> Opening:
        found, held, frozen = at, "", False
        # It ends: each freeze is left once.
        while True:
            freeze = self.freeze_at(found)
            if freeze is not None:
                held, frozen, found = f"{freeze} lasts until {_minute(freeze.ends)}", True, freeze.ends
                continue
            later, window = self._next_window(found)
            if window is None or later == found:
                return Opening(found, held, frozen)
            if not held:
                # The first thing in the way is told.
                held = f"window {window} opens at {_minute(later)}"
            found = later

    def freeze_at(self, at: datetime) -> Freeze | None:
        """Of the freezes at an instant the one that ends last."""
        present = [freeze for freeze in self.freezes if freeze.begins <= at < freeze.ends]
        return max(present, key=lambda freeze: freeze.ends, default=None)

    @property
    def hard(self) -> "Calendar":
        """What holds even where the last sixth of a lifetime begins."""
        return Calendar((), tuple(freeze for freeze in self.freezes if freeze.hard))

    def _next_window(self, at: datetime) -> tuple[datetime, Window | None]:
        nexts = ((_next(window, at), window) for window in self.windows)
        return min(nexts, key=lambda item: item[0], default=(at, None))


OPEN: Final = Calendar()


def calendar_of(policy: Policy | None, renewed: Renewed) -> Calendar:
    if policy is None or not (policy.windows or policy.freeze):
        return OPEN
    return Calendar(
        tuple(window for window in policy.windows if window.match.fits(renewed)),
        tuple(freeze for freeze in policy.freeze if freeze.match.fits(renewed)),
    )


def _next(window: Window, at: datetime) -> datetime:
    """The instant itself where the window is open then, else when it opens next."""
    return next(max(at, opens) for opens, closes in _spans(window, at) if closes > at)


def _spans(window: Window, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """From the one that opened on the day before, in their order, without an end."""
    day = at.astimezone(window.zone).date() - _DAY
    while True:
        if day.weekday() in window.weekdays:
            opens = _instant(day, window.opens, window.zone)
            end = day if window.closes > window.opens else day + _DAY
            closes = _instant(end, window.closes, window.zone)
            # Where the clock is put forward over all of it, it is as long as ever.
            yield opens, closes if closes > opens else opens + window.length
        day += _DAY


def _instant(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    """A time that comes twice, where the clock is put back, is the first of both; one that never comes is as much
    later as the clock is put forward.
    """
    moment = datetime.combine(day, time()) + timedelta(minutes=minutes)
    return moment.replace(tzinfo=zone).astimezone(UTC)


def _minute(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
