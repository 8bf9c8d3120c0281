"""Where a site shows answers to challenges: a kind is found by its entry point, and built once for each setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from certcore.errors import TransientError
from certcore.name_patterns import ANY_NAME, NamePattern, matches_pattern, specificity
from syncer.domain.answer import Answer

__all__ = [
    "AnswerPlace",
    "AnswerPlaceDriver",
    "AnswerPlaceSettings",
    "AnyAnswerPlaceDriver",
    "NotShownError",
    "choose_place",
    "overlapping",
]


class NotShownError(TransientError):
    """An answer couldn't be shown or removed; the message says where, and why."""


def _server(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise ValueError("must be http://HOST or http://HOST:PORT: a CA asks by plain HTTP")
    return url.rstrip("/")


class AnswerPlaceSettings(BaseModel):
    """What every kind has; a kind adds its own fields, and a `kind` that is a Literal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    match: tuple[NamePattern, ...] = Field(
        default=(),
        description="Hosts whose answers are shown here: `shop.example.org` is that host alone, `*.example.org` all"
        " below it. Without any, those of hosts that no other place matches.",
    )
    check_urls: tuple[Annotated[str, AfterValidator(_server)], ...] = Field(
        default=(),
        description="Where the syncer itself asks for each answer, as a CA would: each server that a CA may reach.",
    )


class AnswerPlace(Protocol):
    """Every call may be repeated, and leaves alone what it didn't put there: under the name of a token, that is
    anything else than the token's answer.
    """

    async def show(self, answer: Answer) -> None:
        """
        Raises:
            NotShownError: it can't be shown there now.
        """
        ...

    async def remove(self, answer: Answer) -> None:
        """What isn't there is no error.

        Raises:
            NotShownError: it can't be removed now.
        """
        ...

    async def close(self) -> None: ...


SettingsT = TypeVar("SettingsT", bound=AnswerPlaceSettings)


class AnswerPlaceDriver(Protocol[SettingsT]):
    kind: str
    settings: type[SettingsT]

    def build(self, name: str, settings: SettingsT, user_agent: str) -> AnswerPlace: ...


AnyAnswerPlaceDriver = AnswerPlaceDriver[Any]


@dataclass(frozen=True)
class _Match:
    rank: tuple[int, int]
    place: str


def choose_place(host: str, rules: Mapping[str, Sequence[str]]) -> str | None:
    """The place with the most specific pattern for a host; `rules` are the patterns of each."""
    found = [
        _Match(specificity(host, pattern), place)
        for place, patterns in rules.items()
        for pattern in patterns or (ANY_NAME,)
        if matches_pattern(host, pattern)
    ]
    return max(found, key=lambda match: match.rank).place if found else None


def overlapping(rules: Mapping[str, Sequence[str]]) -> str | None:
    """What is wrong with rules of which two would show the answers of the same hosts; None where nothing is."""
    taken: dict[str, str] = {}
    for place, patterns in rules.items():
        for pattern in patterns or (ANY_NAME,):
            other = taken.setdefault(pattern, place)
            if other != place:
                what = f"match {pattern}" if pattern else "match everything (they have no `match`)"
                return f"{other} and {place} both {what}"
    return None
