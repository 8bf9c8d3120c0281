from datetime import timedelta

from certcore.events import DiscoveredSecret, SiteReviewed
from syncer.domain.review import fitting
from tests.issuing import NOON


def _secret(name: str, days: int | None) -> DiscoveredSecret:
    return DiscoveredSecret(
        cluster="blue",
        namespace="shop",
        secret=name,
        manager="unknown",
        not_after=NOON + timedelta(days=days) if days is not None else None,
    )


def test_a_review_that_fits_is_told_whole_in_the_order_of_names() -> None:
    secrets = [_secret("c", 1), _secret("a", 3), _secret("b", None)]
    kept, left_out = fitting(secrets)
    assert [secret.secret for secret in kept] == ["a", "b", "c"]
    assert left_out == 0


def test_of_a_huge_review_what_expires_first_is_told() -> None:
    secrets = [_secret(f"s{days:05}", days) for days in range(20_000)] + [_secret("unreadable", None)]
    kept, left_out = fitting(reversed(secrets))
    assert [secret.secret for secret in kept] == [f"s{days:05}" for days in range(len(kept))]
    assert len(kept) + left_out == len(secrets)
    assert left_out > 0
    body = SiteReviewed(site="site1", secrets=kept, unreachable=("green",)).model_dump_json()
    assert 700 * 1024 < len(body) < 1000 * 1024
