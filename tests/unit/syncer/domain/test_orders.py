from hypothesis import given
from hypothesis import strategies as st

from certcore.events import DeploymentOrdered
from syncer.domain.orders import Standing, standing
from tests.unit.syncer.issuing import NOON, files_target, kubernetes_target


def _order(revision: int, *, store: str = "default", traceparent: str | None = None) -> DeploymentOrdered:
    return DeploymentOrdered(
        certificate_id="crt-0001",
        name="shop",
        revision=revision,
        serial="1",
        fingerprint_sha256="f" * 64,
        not_after=NOON,
        dns_names=("shop.example.org",),
        bundle_sha256="0" * 64,
        targets=(files_target(store=store), kubernetes_target("shop")),
        traceparent=traceparent,
    )


def test_the_first_order_of_a_certificate_counts() -> None:
    assert standing(None, _order(3)) is Standing.FIRST


def test_a_newer_revision_counts_and_an_older_one_does_not() -> None:
    assert standing(_order(3), _order(4)) is Standing.NEWER
    assert standing(_order(3), _order(2)) is Standing.OLDER
    assert not Standing.OLDER.urgent


def test_the_same_order_again_only_says_look_again() -> None:
    again = _order(3, traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    assert standing(_order(3), again) is Standing.SAME
    assert not Standing.SAME.urgent


def test_a_changed_order_for_the_same_revision_counts() -> None:
    assert standing(_order(3), _order(3, store="other")) is Standing.CHANGED


@given(st.lists(st.integers(min_value=1, max_value=20), min_size=1))
def test_whatever_the_sequence_of_orders_the_newest_revision_is_the_one_that_counts(revisions: list[int]) -> None:
    known: DeploymentOrdered | None = None
    for revision in revisions:
        offered = _order(revision)
        if standing(known, offered) is not Standing.OLDER:
            known = offered
    assert known is not None
    assert known.revision == max(revisions)
