"""A syncer process with two real clusters and one that hangs, with the rights of deploy/site and a real broker."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from certcore.events import DeliveryReason, SiteHeartbeat
from certcore.intent import Target
from tests import servers
from tests.integration.syncer.cluster_access import ClusterAdmin, SecretSeen, new_namespaces
from tests.integration.syncer.site import Lineage, Site, site_of, until
from tests.issuing import Authority, Issued, files_target, kubernetes_target

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

AUTHORITY = Authority()


@dataclass(frozen=True)
class Clusters:
    site: Site
    admins: tuple[ClusterAdmin, ...]
    folder: Path

    async def namespaces(self, count: int) -> tuple[str, ...]:
        namespaces = new_namespaces(count)
        for admin in self.admins:
            await admin.grant(self.folder, namespaces)
        return namespaces

    def target(self, *namespaces: str) -> Target:
        return kubernetes_target(*namespaces, clusters=tuple(admin.name for admin in self.admins))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clusters(kube: servers.Kube, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clusters]:
    folder = tmp_path_factory.mktemp("site")
    async with AsyncExitStack() as stack:
        admins = tuple(
            [
                ClusterAdmin(cluster.api, await stack.enter_async_context(cluster.api.client()))
                for cluster in kube.clusters
            ]
        )
        kubeconfigs = {admin.name: await admin.grant(folder, ()) for admin in admins}
        # A server that takes connections and never answers is worse than one that refuses them.
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        config = json.loads(kubeconfigs[admins[0].name].read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{silent.getsockname()[1]}"
        kubeconfigs["dead"] = folder / "dead.kubeconfig"
        kubeconfigs["dead"].write_text(json.dumps(config))
        broker = await stack.enter_async_context(servers.broker(sites=["site1"]))
        site = await stack.enter_async_context(site_of(broker.url, folder, kubeconfigs))
        await site.start()
        yield Clusters(site, admins, folder)


async def _secret(admin: ClusterAdmin, namespace: str) -> SecretSeen:
    found = await admin.secret(namespace)
    assert found is not None
    return found


async def _holds(admin: ClusterAdmin, namespace: str, issued: Issued) -> bool:
    found = await admin.secret(namespace)
    return found is not None and found.fingerprint() == issued.leaf.fingerprint_sha256


async def test_one_certificate_reaches_every_namespace_of_two_clusters_and_is_kept_there(clusters: Clusters) -> None:
    site, admins = clusters.site, clusters.admins
    namespaces = await clusters.namespaces(3)
    shop, issued = Lineage(site, clusters.target(*namespaces), files_target()), AUTHORITY.issue()
    await shop.issue(issued, 1)
    await shop.delivered(1, target="web")
    await shop.delivered(1, target="host")
    for admin in admins:
        for namespace in namespaces:
            assert (await _secret(admin, namespace)).fingerprint() == issued.leaf.fingerprint_sha256
    assert shop.fetched() == [1]
    assert {span.trace_id for span in site.spans if span.attributes.get("certbus.certificate") == shop.name} == {
        shop.trace_id
    }

    # One copy is deleted, another edited: both are back with the next round, and told as repaired.
    await admins[0].delete_secret(namespaces[0])
    await shop.delivered(1, target="web", repaired=True)
    assert await _holds(admins[0], namespaces[0], issued)
    repairs = len(shop.successes())
    await admins[1].edit_data(namespaces[1], {"tls.key": AUTHORITY.issue().key_pem})
    await until(lambda: len(shop.successes()) > repairs, "the second repair")
    assert (await _secret(admins[1], namespaces[1])).fingerprint() == issued.leaf.fingerprint_sha256
    site.assert_silent_about(issued)


async def test_a_namespace_that_is_missing_is_named_and_served_once_it_is_there(clusters: Clusters) -> None:
    (present,) = await clusters.namespaces(1)
    late = f"{present}-late"
    shop, issued = Lineage(clusters.site, clusters.target(present, late)), AUTHORITY.issue()
    await shop.issue(issued, 1)
    told = await shop.failed(1, target="web")
    assert told.reason is DeliveryReason.REFUSED
    assert late in told.detail
    assert present not in told.detail.replace(late, "")
    assert told.next_try is not None
    for admin in clusters.admins:
        assert await _holds(admin, present, issued)
        await admin.grant(clusters.folder, [late])
    await shop.delivered(1, target="web")
    for admin in clusters.admins:
        assert await _holds(admin, late, issued)


async def test_a_stranger_s_secret_is_reported_and_replaced_only_once_it_is_gone(clusters: Clusters) -> None:
    first, second = await clusters.namespaces(2)
    admin = clusters.admins[0]
    foreign, issued = AUTHORITY.issue(), AUTHORITY.issue()
    before = await admin.create_secret(first, {"tls.crt": foreign.chain_pem, "tls.key": foreign.key_pem})
    shop = Lineage(clusters.site, clusters.target(first, second))
    await shop.issue(issued, 1)
    told = await shop.failed(1, target="web")
    assert told.reason is DeliveryReason.CONFLICT
    assert told.detail == f"{admin.name}/{first}/shop-tls: is not certbus's, kept by helm"
    assert await admin.secret(first) == before
    assert await _holds(admin, second, issued)
    assert await _holds(clusters.admins[1], first, issued)
    await admin.delete_secret(first)
    await shop.delivered(1, target="web")
    assert await _holds(admin, first, issued)


async def test_a_cluster_that_hangs_delays_neither_the_other_nor_the_next_revision(clusters: Clusters) -> None:
    namespaces = await clusters.namespaces(2)
    admin = clusters.admins[0]
    shop = Lineage(clusters.site, kubernetes_target(*namespaces, clusters=(admin.name, "dead")))
    for revision in (1, 2, 3):
        issued = AUTHORITY.issue()
        await shop.issue(issued, revision)
        async with asyncio.timeout(5):
            for namespace in namespaces:
                while not await _holds(admin, namespace, issued):  # noqa: ASYNC110 # nothing tells of it
                    await asyncio.sleep(0.02)
    await until(lambda: bool(shop.failures()), "the cluster that hangs is told")
    told = shop.failures()[0]
    assert told.reason is DeliveryReason.UNREACHABLE
    assert "dead" in told.detail
    assert shop.successes() == []
    del clusters.site.registry.orders[shop.id]


async def test_a_review_names_what_can_not_be_listed_beside_what_is_there(clusters: Clusters) -> None:
    (namespace,) = await clusters.namespaces(1)
    shop, issued = Lineage(clusters.site, clusters.target(namespace)), AUTHORITY.issue()
    await shop.issue(issued, 1)
    await shop.delivered(1, target="web")
    assert (await clusters.site.awaited(SiteHeartbeat)).clusters == (
        *(admin.name for admin in clusters.admins),
        "dead",
    )
    review = clusters.site.registry.review
    assert review is not None
    await until(lambda: review.unreachable == ("dead",), "the cluster that hangs is named")
    for admin in clusters.admins:
        name = (admin.name, namespace, "shop-tls")
        await until(lambda: name in review.secrets, "the Secret of the certificate")  # noqa: B023 # awaited here


async def test_three_missed_revisions_cost_one_write_for_each_copy(clusters: Clusters) -> None:
    site, admins = clusters.site, clusters.admins
    namespaces = await clusters.namespaces(2)
    shop = Lineage(site, clusters.target(*namespaces))
    await shop.issue(AUTHORITY.issue(), 1)
    await shop.delivered(1, target="web")
    site.process.kill()
    missed = [await shop.issue(AUTHORITY.issue(), revision) for revision in (2, 3, 4)]
    versions = [await admin.version() for admin in admins]
    await site.start()
    await shop.delivered(4, target="web")
    for order in reversed(missed):
        await site.order(order)
        await site.acknowledged()
    written = [("MODIFIED", namespace) for namespace in sorted(namespaces)]
    for admin, version in zip(admins, versions, strict=True):
        assert await admin.writes_since(version, namespaces) == written
    # What it is ordered once more it tells once more.
    assert {event.revision for event in shop.successes()} == {1, 4}
    assert shop.failures() == []


async def test_readers_never_see_a_torn_pair_while_the_syncer_is_killed_and_started_again(clusters: Clusters) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    site, admins = clusters.site, clusters.admins
    (namespace,) = await clusters.namespaces(1)
    rotations = 30
    kills = set(rng.sample(range(2, rotations), 3))
    shop, issued = Lineage(site, clusters.target(namespace), files_target()), AUTHORITY.issue()
    await shop.issue(issued, 1)
    await shop.delivered(1, target="web")
    await shop.delivered(1, target="host")
    stopped = asyncio.Event()
    looks = [0] * len(admins)

    async def read(number: int) -> None:
        # 10 Hz and more.
        while not stopped.is_set():
            (await _secret(admins[number], namespace)).fingerprint()
            looks[number] += 1
            await asyncio.sleep(0.05)

    readers = [asyncio.create_task(read(number)) for number in range(len(admins))]
    for revision in range(2, rotations + 1):
        issued = AUTHORITY.issue()
        await shop.issue(issued, revision)
        if revision in kills:
            await asyncio.sleep(rng.uniform(0, 0.05))
            site.process.kill()
            await site.start()
        await shop.delivered(revision, target="web")
        await shop.delivered(revision, target="host")
    stopped.set()
    await asyncio.gather(*readers)
    for admin in admins:
        assert await _holds(admin, namespace, issued)
    assert shop.served() == issued.leaf.fingerprint_sha256
    assert min(looks) >= rotations
    site.assert_silent_about(issued)
    assert "Traceback" not in site.log
