from certcore.targets import HaproxyTarget
from syncer.domain.placement import Place, PlaceKind, placement
from tests.unit.syncer.issuing import SITE, files_target, kubernetes_target

CLUSTERS = {"blue", "green"}
STORES = {"default"}


def _cluster(name: str) -> Place:
    return Place(PlaceKind.CLUSTER, name)


def test_a_target_that_names_no_cluster_lies_in_all_of_them() -> None:
    found = placement(kubernetes_target("shop"), clusters=CLUSTERS, stores=STORES)
    assert found.places == (_cluster("blue"), _cluster("green"))
    assert found.unknown is None


def test_a_known_cluster_is_served_although_another_is_unknown() -> None:
    target = kubernetes_target("shop", clusters=("green", "red", "green"))
    found = placement(target, clusters=CLUSTERS, stores=STORES)
    assert found.places == (_cluster("green"),)
    assert found.unknown == "this site has no cluster red"


def test_a_site_without_clusters_says_so() -> None:
    found = placement(kubernetes_target("shop"), clusters=(), stores=STORES)
    assert found.places == ()
    assert found.unknown == "this site has no cluster"


def test_files_lie_in_the_store_that_is_named() -> None:
    found = placement(files_target(), clusters=CLUSTERS, stores=STORES)
    assert found.places == (Place(PlaceKind.STORE, "default"),)
    assert placement(files_target(store="x"), clusters=(), stores=STORES).unknown == "this site has no store x"


def test_a_target_of_another_service_is_not_taken() -> None:
    found = placement(HaproxyTarget(name="lb", site=SITE), clusters=CLUSTERS, stores=STORES)
    assert found.places == ()
    assert found.unknown is not None
    assert "haproxy" in found.unknown
