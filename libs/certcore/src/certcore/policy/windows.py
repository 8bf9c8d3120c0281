"""When renewals may be ordered: maintenance windows, freezes, and how many at once."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from certcore.certificate import Exposure
from certcore.names import Label
from certcore.policy.zones import Zone, lies_in
from certcore.rejection import Rejection

__all__ = ["DAY_NAMES", "Bounds", "Freeze", "Renewed", "Scope", "Window", "clock_text", "doubts"]

DAY_NAMES: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES: Final = 24 * 60
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])", re.ASCII)
_LONG: Final = timedelta(days=15)
"""The last sixth of 90 days."""
_SELDOM: Final = timedelta(days=2)
_NARROWEST: Final = 12
"""At least this part of a lifetime lies between the latest instant that is planned and the last sixth."""

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def clock_text(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _read_clock(value: Any) -> int:
    # To YAML 1.1, 22:30 is a number in base sixty: its minutes.
    if isinstance(value, int) and not isinstance(value, bool):
        value = clock_text(value) if 0 <= value <= _DAY_MINUTES else ""
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    minutes = int(found[1]) * 60 + int(found[2]) if found else _DAY_MINUTES + 1
    if minutes > _DAY_MINUTES:
        raise ValueError("is no time of day, such as 22:30")
    return minutes


def _check_timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no timezone, such as Europe/Berlin or UTC") from None
    return value


ClockTime = Annotated[int, BeforeValidator(_read_clock), PlainSerializer(clock_text)]
"""`22:30`, as minutes; `24:00` is the end of the day."""
Timezone = Annotated[str, AfterValidator(_check_timezone)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


@dataclass(frozen=True)
class Renewed:
    """What a window or a freeze is compared with: a certificate, the sites and kinds of its targets."""

    team: str
    exposure: str
    dns_names: tuple[str, ...]
    sites: frozenset[str] = frozenset()
    target_kinds: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)


class Scope(_Part):
    """Each field that is given must fit; without any, it is for all. `sites`: `hub` is where what has none lies."""

    teams: Annotated[tuple[Label, ...], Field(min_length=1)] | None = None
    domains: Annotated[tuple[Zone, ...], Field(min_length=1)] | None = None
    exposure: Exposure | None = None
    sites: Annotated[tuple[Label, ...], Field(min_length=1)] | None = None
    target_kinds: Annotated[tuple[Label, ...], Field(min_length=1)] | None = None
    labels: dict[str, str] = Field(default_factory=dict)

    def fits(self, of: Renewed) -> bool:
        return (
            (self.teams is None or of.team in self.teams)
            and (self.exposure is None or of.exposure == self.exposure)
            and (self.sites is None or not of.sites.isdisjoint(self.sites))
            and (self.target_kinds is None or not of.target_kinds.isdisjoint(self.target_kinds))
            and (self.domains is None or any(lies_in(name, zone) for name in of.dns_names for zone in self.domains))
            and all(of.labels.get(key) == value for key, value in self.labels.items())
        )


class Window(_Part):
    """Renewals of what it is for are ordered in it. A window that ends before it begins goes on past midnight, and
    belongs to the day on which it opens.
    """

    name: Label
    match: Scope = Field(default_factory=Scope)
    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAY_NAMES
    opens: ClockTime = Field(alias="from")
    closes: ClockTime = Field(alias="to")
    timezone: Timezone = "UTC"

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if self.opens in {self.closes, _DAY_MINUTES}:
            raise ValueError(f"to: never opens: it is from {clock_text(self.opens)} to {clock_text(self.closes)}")
        if len(set(self.days)) != len(self.days):
            raise ValueError("days: a day is given twice")
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @cached_property
    def weekdays(self) -> frozenset[int]:
        return frozenset(DAY_NAMES.index(day) for day in self.days)

    @property
    def length(self) -> timedelta:
        return timedelta(minutes=(self.closes - self.opens) % _DAY_MINUTES or _DAY_MINUTES)

    @property
    def closed_for(self) -> timedelta:
        """The longest time between two openings, but for changes of the clock."""
        days = sorted(self.weekdays)
        gap = max((after - day) % 7 or 7 for day, after in zip(days, [*days[1:], days[0]], strict=True))
        return timedelta(days=gap) - self.length

    def __str__(self) -> str:
        days = "" if len(self.days) == len(DAY_NAMES) else f"{', '.join(self.days)} "
        return f"{self.name} ({days}{clock_text(self.opens)} to {clock_text(self.closes)} {self.timezone})"


class Freeze(_Part):
    """No renewal of what it is for is ordered meanwhile, but for one whose last sixth begins; with `hard` none at
    all.
    """

    begins: AwareDatetime = Field(alias="from")
    ends: AwareDatetime = Field(alias="to")
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    match: Scope = Field(default_factory=Scope)
    hard: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.begins >= self.ends:
            raise ValueError("to: is not after from")
        return self

    def __str__(self) -> str:
        return f"{'hard ' if self.hard else ''}freeze ({self.reason})"


class Bounds(_Part):
    """How many renewals are ordered in an hour, in all and of one team, and how many a day a team may ask for by
    hand. Those that end first come first.
    """

    most_an_hour: Annotated[int, Field(ge=1)] = 1000
    most_an_hour_of_a_team: Annotated[int, Field(ge=1)] = 250
    by_hand_a_day: Annotated[int, Field(ge=0)] = 100


def doubts(windows: tuple[Window, ...], freezes: tuple[Freeze, ...]) -> Iterator[Rejection]:
    """What may be used, and may be meant otherwise."""
    for number, window in enumerate(windows):
        if window.closed_for >= _SELDOM:
            days = -(-window.closed_for * _NARROWEST // timedelta(days=1))
            told = (
                f"is closed for up to {_days(window.closed_for)}: what lives less than {days} days may never find it"
            )
            yield Rejection(
                field=f"windows.{number}", message=f"{told} open, and is renewed when its last sixth begins"
            )
    for number, freeze in enumerate(freezes):
        length = freeze.ends - freeze.begins
        if length > _LONG:
            what = "can expire in it" if freeze.hard else "may be renewed in it, when its last sixth begins"
            told = f"is longer than {_LONG.days} days: a certificate of {_LONG.days * 6} days {what}"
            yield Rejection(field=f"freeze.{number}", message=told)


def _days(span: timedelta) -> str:
    return f"{span.days} days" + (f" {span.seconds // 3600} h" if span.seconds >= 3600 else "")
