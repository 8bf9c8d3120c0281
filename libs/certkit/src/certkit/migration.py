"""Moves what the streams of the form before this one hold into their successors.

The broker itself copies: a successor without subjects has its predecessor as a source, and gets its subjects when the
predecessor is deleted. The state of the broker shows which steps are done, so the next run continues one that was
killed. An old stream is closed first: publishers are refused meanwhile and try again, so no message is missed.

| old | new |
|---|---|
| REQUESTS `certs.request.<owner>.<name>` | REQUESTS `….submit`, by way of a stream with another name |
| CERTS `certs.answer.>`, then ANSWERS | ANSWERS_<owner> |
| STATUS | STATUS_<place>; heartbeats LAST_<place> |
| ALERTS `certs.alert.<severity>.<owner>` | ALERTS `certs.alert.<owner>.<severity>`: the id is in the body |
| DLQ `certs.dlq.<durable>` | DLQ_<place> |
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StreamConfig, StreamInfo, SubjectTransform
from nats.js.errors import NotFoundError

from certcore import subjects
from certcore.errors import PermanentError
from certcore.events import SiteHeartbeat
from certcore.identities import HUB, Service, identity
from certkit.stream_copy import copy, is_copy
from certkit.topology import FORM, Topology

__all__ = ["Migrated", "migrate", "outdated"]

_ANSWERS: Final = "ANSWERS"
_STATUS: Final = "STATUS"
_DLQ: Final = "DLQ"

# The consumers of the form before whose acknowledgements show what was handled.
_READERS: Final = {
    subjects.REQUESTS: "registry-requests",
    _STATUS: "registry-status",
    subjects.ALERTS: "registry-alerts",
}

# Tokens of the form before that have another name now, by who published them.
_ISSUER: Final = {"started": "revision_started", "issued": "revision_issued", "failed": "revision_failed"}
_DELIVERER: Final = {"succeeded": "delivery_succeeded", "failed": "delivery_failed"}
_RENAMED: Final[dict[str, dict[str, str]]] = {
    Service.ISSUER: _ISSUER,
    Service.SYNCER: _DELIVERER,
    Service.PUSHER: _DELIVERER,
}
_HEARTBEAT: Final = subjects.event_name(SiteHeartbeat.type)

_MAX_DEPTH: Final = 8
"""The most tokens that a request's subject may have had below its owner; certificate names have one."""

_LISTED: Final = 100_000
"""The most subjects that the broker lists in one answer."""


@dataclass(frozen=True)
class Migrated:
    """What became of an old stream."""

    name: str
    what: str

    def line(self, *, applied: bool) -> str:  # noqa: ARG002 # `what` has it already
        return f"{self.name}: {self.what}"


async def outdated(js: JetStreamContext) -> list[Migrated]:
    """The streams that `migrate` would replace."""
    found = []
    for name in (subjects.REQUESTS, _STATUS, subjects.ALERTS, _DLQ):
        info = await _old(js, name)
        if info is not None:
            found.append(Migrated(name, f"has the form before, with {info.state.messages} messages to be moved"))
    answers = await _count(js, subjects.CERTS, subjects.ANY_ANSWER)
    if answers:
        found.append(Migrated(subjects.CERTS, f"holds {answers} answers, to be moved"))
    info = await _info(js, _ANSWERS)
    if info is not None:
        found.append(Migrated(_ANSWERS, f"is of all owners, with {info.state.messages} answers to be moved"))
    return found


async def migrate(js: JetStreamContext, wanted: Topology) -> list[Migrated]:
    """Replace the streams of the form before. Does nothing where there is none; an interrupted run is continued.

    What the registry had handled is not moved. Its old consumers are deleted with their streams.

    Raises:
        PermanentError: what was not handled belongs to a place that is not declared; nothing was lost.
        TransientError: the broker doesn't copy; nothing was lost.
    """
    done = []
    for told in (
        await _move_reports(js, wanted),
        await _move_dead_letters(js, wanted),
        await _move_answers(js, wanted, subjects.CERTS),
        await _move_answers(js, wanted, _ANSWERS),
        await _rebuild(
            js,
            wanted.stream(subjects.REQUESTS),
            [
                # A transform can't leave out a wildcard for several tokens.
                SubjectTransform(f"certs.request.*{'.*' * depth}", "certs.request.{{wildcard(1)}}.submit")
                for depth in range(_MAX_DEPTH)
            ],
            "moved to certs.request.<owner>.submit",
        ),
        await _rebuild(
            js,
            wanted.stream(subjects.ALERTS),
            [SubjectTransform("certs.alert.*.*", "certs.alert.{{wildcard(2)}}.{{wildcard(1)}}")],
            "moved to certs.alert.<owner>.<severity>: their ids are in their bodies",
        ),
    ):
        done += [told] if told else []
    return done


async def _move_reports(js: JetStreamContext, wanted: Topology) -> Migrated | None:
    old = await _old(js, _STATUS)
    if old is None:
        return None
    handled = await _close(js, _STATUS)
    counts = await _subjects(js, _STATUS)
    groups = {(place, service, token) for _, _, place, service, token, _ in _reported(counts)}
    if len(counts) >= _LISTED:
        groups |= {group for place in wanted.places for group in _known(place)}
    strangers = {place for place, _, token in groups if token != _HEARTBEAT} - set(wanted.places)
    if strangers:
        await js.update_stream(replace(old.config, subjects=["certs.status.>"]))
        names = ", ".join(sorted(strangers))
        raise PermanentError(f"{_STATUS} holds unhandled reports of {names}: declare that place too")
    into: dict[str, list[SubjectTransform]] = defaultdict(list)
    for place, service, token in sorted(groups):
        below = f"certs.status.{place}.{service}"
        if token == _HEARTBEAT:
            newest = subjects.last(place, service, SiteHeartbeat.type, service)
            into[subjects.last_stream(place)].append(SubjectTransform(f"{below}.{token}.*", newest))
        else:
            name = _RENAMED.get(service, {}).get(token, token)
            into[subjects.status_stream(place)].append(SubjectTransform(f"{below}.{token}.>", f"{below}.{name}.>"))
    declared = {config.name for config in wanted.streams}
    for name, transforms in into.items():
        if name in declared:
            await copy(js, _STATUS, wanted.stream(name), transforms)
    await js.delete_stream(_STATUS)
    moved = sum(counts[".".join(parts)] for parts in _reported(counts))
    what = f"replaced by STATUS_<place> and LAST_<place>: {moved} unhandled reports moved, {handled} handled before"
    nameless = sum(counts.values()) - moved
    return Migrated(_STATUS, f"{what}; {nameless} dropped that name no reporter" if nameless else what)


def _reported(subjects_: Iterable[str]) -> list[list[str]]:
    """The subjects, cut into six, that name a reporter."""
    return [parts for subject in subjects_ if len(parts := subject.split(".", 5)) == 6]


def _known(place: str) -> list[tuple[str, str, str]]:
    """What the services of the form before publish, for more subjects than the broker lists in one answer."""
    tokens = ("observed", "reviewed", _HEARTBEAT)
    return [
        *((place, service, token) for service, names in _RENAMED.items() for token in names),
        *((place, service, token) for service in Service for token in tokens),
    ]


async def _move_dead_letters(js: JetStreamContext, wanted: Topology) -> Migrated | None:
    if await _old(js, _DLQ) is None:
        return None
    await _close(js, _DLQ)
    homes = {identity(place, service): place for place in wanted.places for service in Service}
    letters: dict[str, list[SubjectTransform]] = defaultdict(list)
    counts = await _subjects(js, _DLQ)
    for subject in sorted(counts):
        durable = subject.removeprefix("certs.dlq.")
        # The registry's durables had other names, and a removed site has no place: both go to the hub.
        place = homes.get(durable, HUB)
        letters[subjects.dead_letter_stream(place)].append(
            SubjectTransform(subject, subjects.dead_letter(place, durable))
        )
    for name, transforms in letters.items():
        await copy(js, _DLQ, wanted.stream(name), transforms)
    await js.delete_stream(_DLQ)
    return Migrated(_DLQ, f"replaced by DLQ_<place>: {sum(counts.values())} dead letters moved")


async def _move_answers(js: JetStreamContext, wanted: Topology, origin: str) -> Migrated | None:
    info = await _info(js, origin)
    if info is None:
        return None
    left = [subjects.ANY_EVENT] if origin == subjects.CERTS else [_closed(origin)]
    if info.config.subjects != left:
        await js.update_stream(replace(info.config, subjects=left))
    before = await _count(js, origin, subjects.ANY_ANSWER)
    for owner in wanted.owners:
        theirs = subjects.answers(owner)
        if await _held(js, origin, theirs):
            into = wanted.stream(subjects.answers_stream(owner))
            await copy(js, origin, into, [SubjectTransform(theirs, theirs)])
            await js.purge_stream(origin, subject=theirs)
    strangers = {subjects.owner_of_answer(subject) for subject in await _subjects(js, origin, subjects.ANY_ANSWER)}
    if strangers:
        names = ", ".join(sorted(strangers))
        return Migrated(origin, f"keeps answers to {names} until they are too old: declare the owner to move them")
    if origin == _ANSWERS:
        await js.delete_stream(_ANSWERS)
    return Migrated(origin, f"{before} answers moved to ANSWERS_<owner>") if before or origin == _ANSWERS else None


async def _held(js: JetStreamContext, name: str, subject: str) -> bool:
    """Whether there is a message, without a list of all subjects."""
    try:
        await js.get_last_msg(name, subject)
    except NotFoundError:
        return False
    return True


async def _rebuild(
    js: JetStreamContext, wanted: StreamConfig, transforms: list[SubjectTransform], how: str
) -> Migrated | None:
    """Replace a stream by one of the same name."""
    name = wanted.name or ""
    between = replace(wanted, name=f"{name}_moving", retention=RetentionPolicy.LIMITS)
    told = None
    if await _old(js, name) is not None:
        handled = await _close(js, name)
        unhandled = (await js.stream_info(name)).state.messages
        if unhandled:
            await copy(js, name, between, transforms)
        await js.delete_stream(name)
        told = Migrated(name, f"replaced: {unhandled} unhandled {how}; {handled} handled before")
    found = await _info(js, between.name or "")
    if found is not None:
        if is_copy(found.config):
            # A source of this name would copy the new stream back.
            await js.update_stream(replace(found.config, sources=None, subjects=[_closed(between.name or "")]))
        await copy(js, between.name or "", wanted, [])
        await js.delete_stream(between.name or "")
        told = told or Migrated(name, f"replaced: what an earlier run began with is {how}")
    return told


async def _old(js: JetStreamContext, name: str) -> StreamInfo | None:
    """A stream of the form before."""
    info = await _info(js, name)
    if info is None or is_copy(info.config) or FORM.items() <= (info.config.metadata or {}).items():
        return None
    return info


async def _close(js: JetStreamContext, name: str) -> int:
    """Refuse further messages to an old stream, and drop the handled ones from it; returns how many those were.

    With the retention by interest the broker keeps exactly what the stream's consumer has not acknowledged, also
    messages older than acknowledged ones. Without that consumer nothing was handled.
    """
    info = await js.stream_info(name)
    if info.config.subjects == [_closed(name)]:
        return 0
    read = name in _READERS and await _has_consumer(js, name, _READERS[name])
    retention = RetentionPolicy.INTEREST if read else info.config.retention
    left = await js.update_stream(replace(info.config, subjects=[_closed(name)], retention=retention))
    return info.state.messages - left.state.messages


def _closed(name: str) -> str:
    """A subject that is not used: a stream must have one."""
    return f"certs.moving.{name}"


async def _has_consumer(js: JetStreamContext, stream: str, durable: str) -> bool:
    try:
        await js.consumer_info(stream, durable)
    except NotFoundError:
        return False
    return True


async def _info(js: JetStreamContext, name: str) -> StreamInfo | None:
    try:
        return await js.stream_info(name)
    except NotFoundError:
        return None


async def _subjects(js: JetStreamContext, name: str, subject: str = ">") -> dict[str, int]:
    """How many messages each subject has."""
    return (await js.stream_info(name, subjects_filter=subject)).state.subjects or {}


async def _count(js: JetStreamContext, name: str, subject: str) -> int:
    if await _info(js, name) is None:
        return 0
    return sum((await _subjects(js, name, subject)).values())
