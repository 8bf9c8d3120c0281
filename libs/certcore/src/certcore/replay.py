"""Stored events that are published again: what an operator asks for, and the registry's answer."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from certcore.reading import Items, ReadModel

__all__ = ["Replay", "ReplayOrder", "ReplayedEvent"]


class ReplayOrder(BaseModel):
    """Body that has stored events published again: those that have all that is given, which is one thing at least.

    `certificate` is a name or an id; `since` the time from which they were first announced.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: tuple[str, ...] = Field(default=(), max_length=500)
    certificate: str | None = None
    stream: str | None = None
    since: AwareDatetime | None = None


class ReplayedEvent(ReadModel):
    id: str
    type: str
    stream: str
    about: str
    time: AwareDatetime


class Replay(ReadModel):
    """The first of the `total` events that are published again, or would be by a dry run.

    Of deployments only the newest of a certificate is; `replaced` is how many others were found.
    """

    events: Items[ReplayedEvent]
    total: int
    replaced: int = 0
