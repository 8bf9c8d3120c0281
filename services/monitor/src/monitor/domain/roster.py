"""What is watched, and when each endpoint is looked at next."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certcore.events import EndpointExpected, EndpointObserved, EndpointsExpected
from certcore.placements import epoch_of
from monitor.domain.watched import EndpointRecord, Expected, Key

__all__ = ["News", "Roster", "Watch"]

_NOW: Final = timedelta(0)


class News(StrEnum):
    """What an expectation changed."""

    NEW = "new"
    CHANGED = "changed"
    KNOWN = "known"
    OLDER = "older"


@dataclass
class Watch:
    """One endpoint under watch. `asked`: an observation must be published, changed or not.

    `calls` counts the expectations that asked for a look: one that began before the last call doesn't answer it.
    `looked_at` is when the last look was finished, and `reported` what this process published last.
    """

    record: EndpointRecord
    due: datetime
    asked: bool = True
    calls: int = 0
    looking: bool = False
    dead_looks: int = 0
    looked_at: datetime | None = None
    reported: EndpointObserved | None = field(default=None, repr=False)


@dataclass
class _Certificate:
    """`moment` is the roster's, when the expectation came."""

    expected: Expected
    moment: int


class Roster:
    def __init__(self) -> None:
        self._certificates: dict[str, _Certificate] = {}
        self._watches: dict[Key, Watch] = {}
        self._moment = 0

    def __len__(self) -> int:
        return len(self._watches)

    def watches(self) -> list[Watch]:
        return list(self._watches.values())

    def watch(self, key: Key) -> Watch | None:
        return self._watches.get(key)

    def expected(self, certificate_id: str) -> Expected | None:
        found = self._certificates.get(certificate_id)
        return found.expected if found else None

    def looked_at(self) -> dict[Key, datetime | None]:
        """When the last look at each endpoint was finished; None where there was none since the start."""
        return {key: watch.looked_at for key, watch in self._watches.items()}

    def remember(self, expected: Iterable[Expected], records: Iterable[EndpointRecord], *, now: datetime) -> None:
        """Take in what was stored before a restart. Every endpoint is due, and its observation asked for."""
        for item in expected:
            self._certificates[item.event.certificate_id] = _Certificate(item, moment=self._moment)
            for endpoint in item.event.endpoints:
                key = (item.event.certificate_id, endpoint.url)
                self._watches[key] = Watch(EndpointRecord(certificate_id=key[0], url=key[1]), due=now)
        for record in records:
            if watch := self._watches.get(record.key):
                watch.record = record

    def expect(
        self,
        event: EndpointsExpected,
        *,
        now: datetime,
        asked: bool,
        listed_at: int | None = None,
        delay: timedelta = _NOW,
    ) -> News:
        """Take in an expectation. The highest generation counts, and what came since `listed_at` more than a list.

        With `asked`, as by an event, every endpoint's observation is published even where nothing is new: the
        registry may have lost the last one. Not so where only earlier revisions are accepted no more: the registry
        says that because of what it was told. Looks that this calls for are due after `delay`.
        """
        certificate = self._certificates.get(event.certificate_id)
        known = certificate.expected if certificate else None
        if certificate is not None and (
            event.generation < certificate.expected.event.generation
            or (listed_at is not None and certificate.moment > listed_at)
        ):
            return News.OLDER
        event = _completed(event, known.event if known else None)
        news = News.NEW
        if known is not None:
            news = News.KNOWN if _facts(event) == _facts(known.event) else News.CHANGED
        if news is News.KNOWN and known is not None:
            event = event.model_copy(update={"traceparent": event.traceparent or known.event.traceparent})
        if listed_at is None:
            self._moment += 1
        moment = self._moment if listed_at is None else listed_at
        self._certificates[event.certificate_id] = _Certificate(Expected.follow(event, known=known, now=now), moment)
        if asked or news is not News.KNOWN:
            told = known is not None and _accepts_only_less(event, known.event)
            self._call_up(event, now + delay, asked=not told)
        return news

    def _call_up(self, event: EndpointsExpected, due: datetime, *, asked: bool) -> None:
        for endpoint in event.endpoints:
            key = (event.certificate_id, endpoint.url)
            record = EndpointRecord(certificate_id=event.certificate_id, url=endpoint.url)
            watch = self._watches.setdefault(key, Watch(record, due=due))
            watch.due = min(watch.due, due)
            watch.asked = watch.asked or asked
            watch.calls += 1
            watch.dead_looks = 0

    def dismiss(self, certificate_id: str) -> list[Watch]:
        """Stop watching the endpoints of a certificate that its expectation doesn't name any more; returns them."""
        expected = self.expected(certificate_id)
        urls = {endpoint.url for endpoint in expected.event.endpoints} if expected else set()
        gone = [
            watch
            for watch in self._watches.values()
            if watch.record.certificate_id == certificate_id and watch.record.url not in urls
        ]
        for watch in gone:
            del self._watches[watch.record.key]
        return gone

    def moment(self) -> int:
        """What to give as `listed_at` for a list that is asked for now."""
        return self._moment

    def keep_only(self, certificate_ids: Collection[str], *, listed_at: int) -> list[str]:
        """Forget the certificates that a list doesn't name, unless an event named one since; returns their ids."""
        gone = [
            certificate_id
            for certificate_id, known in self._certificates.items()
            if certificate_id not in certificate_ids and known.moment <= listed_at
        ]
        for certificate_id in gone:
            del self._certificates[certificate_id]
        return gone

    def due(self, *, now: datetime) -> list[Watch]:
        found = [watch for watch in self._watches.values() if watch.due <= now and not watch.looking]
        return sorted(found, key=lambda watch: watch.due)

    def next_due(self) -> datetime | None:
        return min((watch.due for watch in self._watches.values() if not watch.looking), default=None)


def _completed(event: EndpointsExpected, known: EndpointsExpected | None) -> EndpointsExpected:
    """An endpoint that couldn't be read is not one that is expected no more: those that were known stay."""
    if not event.unreadable or known is None:
        return event
    named = {endpoint.url for endpoint in event.endpoints}
    kept = tuple(endpoint for endpoint in known.endpoints if endpoint.url not in named)
    return event.model_copy(update={"endpoints": (*event.endpoints, *kept)})


def _accepts_only_less(event: EndpointsExpected, known: EndpointsExpected) -> bool:
    """Whether both differ only in earlier revisions that are accepted no more, in the same epoch: a registry that was
    restored may have lost what it was told.
    """
    before = {endpoint.url: endpoint for endpoint in known.endpoints}
    now = {endpoint.url: endpoint for endpoint in event.endpoints}
    return (
        epoch_of(event.generation) == epoch_of(known.generation)
        and now != before
        and now.keys() == before.keys()
        and all(_accepts_no_more(now[url], before[url]) for url in now)
    )


def _accepts_no_more(endpoint: EndpointExpected, before: EndpointExpected) -> bool:
    accepted = tuple(item for item in before.accepted if item in endpoint.accepted)
    return endpoint == before.model_copy(update={"accepted": accepted})


def _facts(event: EndpointsExpected) -> EndpointsExpected:
    return event.model_copy(update={"traceparent": None})
