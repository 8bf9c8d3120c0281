import pytest

from certcore.events import DiscoveredSecret
from certcore.review import SecretName, SiteReviewUpdate
from registry.domain.errors import ConflictError
from registry.domain.review import StoredReview, decide, nameable
from tests.unit.registry.samples import NOON

STORED = StoredReview("d1", None, ("west",))
GONE = (SecretName(cluster="c", namespace="web", secret="old"),)


def secret(name: str = "tls", cluster: str = "c") -> DiscoveredSecret:
    return DiscoveredSecret(cluster=cluster, namespace="web", secret=name, manager="")


def test_what_changed_is_stored_under_the_new_digest() -> None:
    update = SiteReviewUpdate(digest="d2", base="d1", changed=(secret(),), gone=GONE, unreachable=("east",))
    change = decide(STORED, update, now=NOON)
    assert change.review == StoredReview("d2", NOON, ("east",))
    assert (change.changed, change.gone, change.completes) == ((secret(),), (("c", "web", "old"),), False)


@pytest.mark.parametrize("stored", [STORED, StoredReview(None, NOON), StoredReview("d2", NOON)])
def test_what_builds_on_another_review_is_refused(stored: StoredReview) -> None:
    with pytest.raises(ConflictError, match=stored.digest or "not known by a digest"):
        decide(stored, SiteReviewUpdate(digest="d4", base="d3"), now=NOON)


def test_a_part_of_the_whole_leaves_nothing_to_build_on_and_says_no_time() -> None:
    change = decide(STORED, SiteReviewUpdate(digest="d2", changed=(secret(),), gone=GONE, more=True), now=NOON)
    assert change.review == StoredReview(None, None, ("west",))
    assert (change.gone, change.completes) == ((), False)


def test_the_last_part_completes_it() -> None:
    change = decide(StoredReview(None, None), SiteReviewUpdate(digest="d2", gone=GONE), now=NOON)
    assert change.review == StoredReview("d2", NOON)
    assert (change.gone, change.completes) == ((), True)


def test_a_secret_has_names_that_a_cluster_could_have_given_it() -> None:
    odd = [secret("a\x00b"), secret(""), secret("x" * 254), secret("ä"), secret(cluster="two\nlines")]
    assert list(nameable([*odd, secret("x" * 253)])) == [secret("x" * 253)]
