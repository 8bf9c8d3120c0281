from certcore.events import DeliveryReason
from certdelivery.target import Destinations
from syncer.targets.kubernetes.driver import DRIVER
from syncer.targets.kubernetes.fields import read_fields
from tests.issuing import kubernetes_target, target

CLUSTERS = ("blue", "green")


def _reasons(found: Destinations) -> list[DeliveryReason]:
    return [failure.reason for failure in found.failures]


def test_a_target_that_names_no_cluster_lies_in_all_of_them() -> None:
    assert DRIVER.destinations(kubernetes_target("shop"), CLUSTERS) == Destinations(CLUSTERS)


def test_a_known_cluster_is_served_although_another_is_unknown() -> None:
    found = DRIVER.destinations(kubernetes_target("shop", clusters=("green", "red", "green")), CLUSTERS)
    assert found.found == ("green",)
    assert [failure.detail for failure in found.failures] == ["this place has no cluster red"]


def test_a_place_without_clusters_says_so() -> None:
    found = DRIVER.destinations(kubernetes_target("shop"), ())
    assert found.found == ()
    assert [failure.detail for failure in found.failures] == ["this place has no cluster"]


def test_a_bad_namespace_fails_alone() -> None:
    bad = target("kubernetes", "web", namespaces=["shop", "../kube-system", 7, "pay"], secret="shop-tls")
    assert DRIVER.destinations(bad, CLUSTERS).found == CLUSTERS
    assert _reasons(DRIVER.destinations(bad, CLUSTERS)) == [DeliveryReason.UNREADABLE_ORDER] * 2
    assert read_fields(bad).namespaces == ("shop", "pay")


def test_there_is_no_limit_on_how_many_namespaces_are_read() -> None:
    many = [f"ns-{number}" for number in range(5000)]
    found = DRIVER.destinations(target("kubernetes", "web", namespaces=many, secret="s", future={}), CLUSTERS)
    assert found == Destinations(CLUSTERS)


def test_a_target_that_can_t_be_read_is_refused() -> None:
    for fields in (
        {},
        {"namespaces": ["shop"]},
        {"namespaces": [], "secret": "s"},
        {"namespaces": ["shop"], "secret": "../s"},
        {"namespaces": "shop", "secret": "s"},
        {"namespaces": ["/"], "secret": "s"},
    ):
        found = DRIVER.destinations(target("kubernetes", "web", **fields), CLUSTERS)
        assert found.found == ()
        assert found.failures
