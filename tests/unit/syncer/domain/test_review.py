from collections.abc import Iterable
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from certcore.events import DiscoveredSecret, SiteReviewed
from certcore.review import SiteReviewUpdate
from syncer.domain.review import Name, Review
from tests.issuing import NOON

LIMIT = 4 * 1024 * 1024


def secret(name: str, days: int | None = 1, **changes: object) -> DiscoveredSecret:
    return DiscoveredSecret(
        cluster="blue",
        namespace="shop",
        secret=name,
        manager="unknown",
        not_after=NOON + timedelta(days=days) if days is not None else None,
    ).model_copy(update=changes)


def applied(held: dict[Name, DiscoveredSecret], update: SiteReviewUpdate) -> dict[Name, DiscoveredSecret]:
    """As the registry does it."""
    changed = {(item.cluster, item.namespace, item.secret): item for item in update.changed}
    gone = {(item.cluster, item.namespace, item.secret) for item in update.gone}
    return {name: item for name, item in held.items() if name not in gone} | changed


def whole(review: Review) -> dict[Name, DiscoveredSecret]:
    held: dict[Name, DiscoveredSecret] = {}
    for part in review.whole():
        held = applied(held, part)
    return held


reviews = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 2)).map(
    lambda days: Review.of([secret(name, number) for name, number in days.items()], ())
)


@given(before=reviews, after=reviews)
def test_what_changed_leads_from_one_review_to_the_next(before: Review, after: Review) -> None:
    change = after.since(before)
    assert change is not None
    assert applied(dict(before.secrets), change) == dict(after.secrets) == whole(after)
    assert (change.base, change.digest) == (before.digest, after.digest)
    assert (before.digest == after.digest) == (before.secrets == after.secrets)


def names_of(update: SiteReviewUpdate) -> tuple[list[str], list[str]]:
    return [item.secret for item in update.changed], [item.secret for item in update.gone]


def test_only_what_changed_is_told() -> None:
    before = Review.of([secret("a"), secret("b"), secret("c")], ())
    after = Review.of([secret("d"), secret("c"), secret("b", 90)], ("green",))
    change = after.since(before)
    assert change is not None
    assert names_of(change) == (["b", "d"], ["a"])
    assert (change.unreachable, change.more) == (("green",), False)
    same = after.since(after)
    assert same is not None
    assert names_of(same) == ([], [])


def test_a_digest_is_that_of_the_whole_in_any_order() -> None:
    secrets = [secret("a"), secret("b")]
    digest = Review.of(secrets, ("x", "y")).digest
    assert Review.of(reversed(secrets), ("y", "x")).digest == digest
    others = (
        Review.of(secrets[:1], ("x", "y")),
        Review.of(secrets, ()),
        Review.of([secret("a", problem="no chain"), secret("b")], ("x", "y")),
    )
    assert digest not in {other.digest for other in others}


def many(count: int) -> Iterable[DiscoveredSecret]:
    names = tuple(f"app-{number}.example.test" for number in range(5))
    return (secret(f"s{number:05}", dns_names=names) for number in range(count))


def test_ten_thousand_secrets_are_told_whole_in_parts_that_the_registry_takes() -> None:
    review = Review.of(many(10_000), ("green",))
    parts = list(review.whole())
    assert whole(review) == dict(review.secrets)
    assert all(len(part.model_dump_json()) < LIMIT // 4 for part in parts)
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert {(part.digest, part.base, part.unreachable) for part in parts} == {(review.digest, None, ("green",))}
    assert len(parts) < 20


def test_a_change_of_nearly_everything_is_told_whole() -> None:
    empty, full = Review.of((), ()), Review.of(many(10_000), ())
    assert full.since(empty) is None
    assert empty.since(full) is None


def test_an_empty_review_is_told_too() -> None:
    (part,) = Review.of((), ()).whole()
    assert (part.changed, part.more) == ((), False)


def test_what_fits_an_event_is_taken_by_the_bus() -> None:
    fitting = [count for count in (0, 1000, 2000, 3000, 10_000) if Review.of(many(count), ()).fits_an_event]
    assert fitting[:2] == [0, 1000]
    assert 10_000 not in fitting
    largest = SiteReviewed(site="site1", secrets=tuple(many(fitting[-1]))).model_dump_json()
    assert len(largest) < 1000 * 1024
