"""What a syncer tells of its clusters, to a registry in memory."""

from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from certcore.errors import PermanentError, TransientError
from certcore.events import DiscoveredSecret, Event, SiteReviewed
from certcore.review import SiteReviewUpdate
from certdelivery.reports import Reports
from certkit.registry_client import ReviewAnswer
from syncer.handlers.site_review import SiteReview


@dataclass
class Cluster:
    names: list[str]
    away: bool = False

    async def discovered(self) -> list[DiscoveredSecret]:
        if self.away:
            raise PermanentError("it refuses listing")
        return [
            DiscoveredSecret(cluster="c", namespace="web", secret=name, manager="", problem="x" * 1000)
            for name in self.names
        ]


@dataclass
class Registry:
    """`answers_lost`: what comes is stored, and its answer isn't heard."""

    digest: str | None = None
    stored: dict[str, DiscoveredSecret] = field(default_factory=dict)
    taken: list[SiteReviewUpdate] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    older: bool = False
    away: bool = False
    answers_lost: bool = False

    async def update_review(self, site: str, update: SiteReviewUpdate) -> ReviewAnswer:
        assert site == "site1"
        if self.away:
            raise TransientError("the registry is away")
        if self.older:
            return ReviewAnswer.NOT_KNOWN
        if update.base is not None and update.base != self.digest:
            return ReviewAnswer.OTHER_BASE
        if update.base is None and self.digest is not None:
            self.stored, self.digest = {}, None
        self.taken.append(update)
        self.stored |= {item.secret: item for item in update.changed}
        for item in update.gone:
            del self.stored[item.secret]
        self.digest = None if update.more else update.digest
        if self.answers_lost:
            raise TransientError("no answer")
        return ReviewAnswer.TAKEN

    async def publish(self, event: Event, *, about: str) -> None:
        assert about == "site1"
        self.events.append(event)

    def syncer(self, **clusters: Cluster) -> SiteReview:
        """A new process."""
        reports = Reports(self, place="site1")
        return SiteReview(site="site1", clusters=clusters, registry=self, reports=reports)


async def test_at_first_all_is_told_then_what_changed_then_nothing() -> None:
    registry, cluster = Registry(), Cluster(["a", "b"])
    syncer = registry.syncer(c=cluster)
    await syncer.review()
    cluster.names = ["b", "c"]
    await syncer.review()
    assert set(registry.stored) == {"b", "c"}
    await syncer.review()
    first, second, third = registry.taken
    assert (first.base, len(first.changed)) == (None, 2)
    assert ([item.secret for item in second.changed], [item.secret for item in second.gone]) == (["c"], ["a"])
    assert (third.base, third.changed, third.gone) == (third.digest, (), ())
    assert registry.events == []


async def test_a_registry_that_has_it_is_not_told_again_after_a_start() -> None:
    registry, cluster = Registry(), Cluster(["a", "b"])
    await registry.syncer(c=cluster).review()
    await registry.syncer(c=cluster).review()
    assert [len(update.changed) for update in registry.taken] == [2, 0]


async def test_a_restored_registry_is_told_all_of_it() -> None:
    registry, cluster = Registry(), Cluster(["a", "b"])
    syncer = registry.syncer(c=cluster)
    await syncer.review()
    registry.digest, registry.stored = "an older one", {}
    await syncer.review()
    assert set(registry.stored) == {"a", "b"}


async def test_what_was_stored_without_an_answer_is_not_told_twice() -> None:
    registry, cluster = Registry(answers_lost=True), Cluster(["a", "b"])
    syncer = registry.syncer(c=cluster)
    with pytest.raises(TransientError):
        await syncer.review()
    registry.answers_lost = False
    await syncer.review()
    assert [len(update.changed) for update in registry.taken] == [2, 0]


async def test_while_the_registry_is_away_nothing_is_lost() -> None:
    registry, cluster = Registry(), Cluster(["a"])
    syncer = registry.syncer(c=cluster)
    await syncer.review()
    registry.away, cluster.names = True, ["a", "b"]
    with pytest.raises(TransientError):
        await syncer.review()
    registry.away = False
    await syncer.review()
    assert set(registry.stored) == {"a", "b"}


async def test_the_secrets_of_a_cluster_that_can_not_be_listed_stay_as_they_were() -> None:
    registry, cluster, other = Registry(), Cluster(["a", "b"]), Cluster([], away=True)
    syncer = registry.syncer(blue=cluster, green=other)
    await syncer.review()
    cluster.away = True
    await syncer.review()
    assert set(registry.stored) == {"a", "b"}
    assert [update.unreachable for update in registry.taken] == [("green",), ("blue", "green")]
    assert not registry.taken[-1].gone


async def test_an_older_registry_hears_an_event() -> None:
    registry = Registry(older=True)
    with capture_logs() as logs:
        await registry.syncer(c=Cluster(["a", "b"])).review()
    (event,) = registry.events
    assert isinstance(event, SiteReviewed)
    assert [item.secret for item in event.secrets] == ["a", "b"]
    assert [entry["event"] for entry in logs] == ["review_published_for_older_registry"]


async def test_what_no_event_can_hold_is_logged_and_not_cut() -> None:
    registry = Registry(older=True)
    with capture_logs() as logs:
        await registry.syncer(c=Cluster([f"s{number}" for number in range(2000)])).review()
    assert registry.events == []
    assert logs[-1]["event"] == "review_too_large_for_older_registry"


async def test_thousands_are_told_in_parts_and_one_more_as_one() -> None:
    registry, cluster = Registry(), Cluster([f"s{number:05}" for number in range(5000)])
    syncer = registry.syncer(c=cluster)
    await syncer.review()
    parts = len(registry.taken)
    assert parts > 5
    cluster.names.append("one-more")
    await syncer.review()
    assert len(registry.stored) == 5001
    assert [item.secret for item in registry.taken[-1].changed] == ["one-more"]
    assert len(registry.taken) == parts + 1
