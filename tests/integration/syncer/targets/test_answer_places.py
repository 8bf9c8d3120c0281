"""Answers to challenges, shown where a CA finds them: by a real HAProxy, by a folder, and in a Secret."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio

from certcore.challenges import challenge_path
from syncer.adapters.answer_look import AnswerLook
from syncer.domain.answer import Answer
from syncer.domain.answer_place import NotShownError
from syncer.targets.files.answer_folder import AnswerFolder
from syncer.targets.haproxy_map.driver import HaproxyMap
from syncer.targets.kubernetes.answer_secret import AnswerSecret
from syncer.targets.kubernetes.api import ClusterApi
from tests.answer_servers import AnsweringHaproxy, answering_haproxy, served_folder
from tests.integration.syncer.cluster_access import ClusterAdmin, new_namespaces
from tests.servers import Kube

pytestmark = pytest.mark.integration

TOKEN: Final = "-aGxfADs6pSRb2LAv9IZf17Dt3juxGJ_PCt92wr-oA8"
ANSWER: Final = Answer("shop.example.org", TOKEN, f"{TOKEN}.{'k' * 43}")
OTHER: Final = Answer("shop.example.org", TOKEN, f"{TOKEN}.{'x' * 43}")
SECRET: Final = "certbus-challenges"


def modes(folder: Path) -> dict[str, int]:
    """The permissions of what is in a folder."""
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


async def problem(url: str, answer: Answer = ANSWER) -> str:
    async with AnswerLook(user_agent="test") as look:
        return await look.problem(answer, (url,))


@pytest_asyncio.fixture
async def haproxy() -> AsyncIterator[AnsweringHaproxy]:
    async with answering_haproxy() as running:
        yield running


async def test_haproxy_answers_by_its_map_and_then_no_more(haproxy: AnsweringHaproxy) -> None:
    place = HaproxyMap((haproxy.socket,), haproxy.map)
    assert "with 404" in await problem(haproxy.url)
    for _ in range(2):
        await place.show(ANSWER)
        assert await problem(haproxy.url) == ""
    assert "with something else" in await problem(haproxy.url, OTHER)
    async with httpx.AsyncClient(trust_env=False) as client:
        # Nothing else than the map is answered for.
        assert (await client.get(f"{haproxy.url}/{TOKEN}")).status_code == 404
    for _ in range(2):
        await place.remove(ANSWER)
        assert "with 404" in await problem(haproxy.url)


async def test_a_reload_loses_the_entry_and_the_next_round_puts_it_back(haproxy: AnsweringHaproxy) -> None:
    place = HaproxyMap((haproxy.socket,), haproxy.map)
    await place.show(ANSWER)
    await haproxy.server.reload()
    assert "with 404" in await problem(haproxy.url)
    await place.show(ANSWER)
    assert await problem(haproxy.url) == ""


async def test_what_somebody_else_put_into_the_map_stays(haproxy: AnsweringHaproxy) -> None:
    await HaproxyMap((haproxy.socket,), haproxy.map).show(OTHER)
    place = HaproxyMap((haproxy.socket,), haproxy.map)
    with pytest.raises(NotShownError, match="certbus didn't make it"):
        await place.show(ANSWER)
    await place.remove(ANSWER)
    assert await problem(haproxy.url, OTHER) == ""


async def test_a_map_or_a_socket_that_is_not_there_is_named(haproxy: AnsweringHaproxy, tmp_path: Path) -> None:
    for call in ("show", "remove"):
        wrong = HaproxyMap((haproxy.socket,), tmp_path / "other.map")
        with pytest.raises(NotShownError, match=r"other\.map: Unknown map identifier"):
            await getattr(wrong, call)(ANSWER)
        away = HaproxyMap((tmp_path / "away.sock", haproxy.socket), haproxy.map)
        with pytest.raises(NotShownError, match=r"away\.sock: No such file"):
            await getattr(away, call)(ANSWER)
        # The other one was told all the same.
        assert (await problem(haproxy.url) == "") is (call == "show")


async def test_a_folder_is_served_and_what_others_wrote_there_stays(tmp_path: Path) -> None:
    place = AnswerFolder(tmp_path)
    with served_folder(tmp_path) as url:
        assert "with 404" in await problem(url)
        for _ in range(2):
            await place.show(ANSWER)
            assert await problem(url) == ""
        assert modes(tmp_path) == {TOKEN: 0o644}
        (tmp_path / TOKEN).write_text("another's")
        with pytest.raises(NotShownError, match="certbus didn't write it"):
            await place.show(ANSWER)
        await place.remove(ANSWER)
        assert (tmp_path / TOKEN).read_text() == "another's"
        (tmp_path / TOKEN).write_text(ANSWER.key_authorization + "\n")
        assert await problem(url) == ""
        (tmp_path / TOKEN).write_text(ANSWER.key_authorization)
        for _ in range(2):
            await place.remove(ANSWER)
            assert modes(tmp_path) == {}


async def test_no_link_is_followed_out_of_the_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "served"
    folder.mkdir()
    place = AnswerFolder(folder)
    (folder / TOKEN).symlink_to(outside)
    for call in (place.show, place.remove):
        with pytest.raises(NotShownError, match=TOKEN):
            await call(ANSWER)
    (folder / TOKEN).unlink()
    # What a crash left, or somebody laid there.
    (folder / f".{TOKEN}.new").symlink_to(outside)
    await place.show(ANSWER)
    assert (outside.read_text(), (folder / TOKEN).is_symlink()) == ("precious", False)


async def test_a_folder_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotShownError, match=r"nowhere.*No such file"):
        await AnswerFolder(tmp_path / "nowhere").show(ANSWER)
    await AnswerFolder(tmp_path / "nowhere").remove(ANSWER)
    assert modes(tmp_path) == {}


async def test_a_server_that_is_away_or_redirects_is_named(tmp_path: Path) -> None:
    (tmp_path / TOKEN).mkdir()
    with served_folder(tmp_path) as url:
        assert "redirects shop.example.org" in await problem(url)
    assert "ConnectError" in await problem(url)


@pytest_asyncio.fixture
async def in_cluster(kube: Kube, tmp_path: Path) -> AsyncIterator[tuple[AnswerSecret, ClusterAdmin, str]]:
    """With the rights of deploy/site/rbac-challenges.yaml alone."""
    cluster = kube.clusters[0].api
    [namespace] = new_namespaces(1)
    async with cluster.client() as client:
        admin = ClusterAdmin(cluster, client)
        kubeconfig = await admin.grant_challenges(tmp_path, namespace)
        api = ClusterApi(name="blue", kubeconfig=kubeconfig, context=None, user_agent="certbus-test")
        place = AnswerSecret(api=api, namespace=namespace, secret=SECRET)
        try:
            yield place, admin, namespace
        finally:
            await place.close()


async def data_of(admin: ClusterAdmin, namespace: str) -> dict[str, bytes]:
    found = await admin.secret(namespace, SECRET)
    assert found is not None
    return dict(found.data)


async def test_a_secret_gets_a_key_and_keeps_those_of_others(
    in_cluster: tuple[AnswerSecret, ClusterAdmin, str],
) -> None:
    place, admin, namespace = in_cluster
    await admin.edit_secret(namespace, {"data": {"mine": "bWluZQ=="}}, name=SECRET)
    for _ in range(2):
        await place.show(ANSWER)
        assert await data_of(admin, namespace) == {"mine": b"mine", TOKEN: ANSWER.key_authorization.encode()}
    with pytest.raises(NotShownError, match="certbus didn't put it there"):
        await place.show(OTHER)
    await place.remove(OTHER)
    assert TOKEN in await data_of(admin, namespace)
    for _ in range(2):
        await place.remove(ANSWER)
        assert await data_of(admin, namespace) == {"mine": b"mine"}


async def test_a_secret_that_is_not_for_it_is_left_alone_and_none_is_made(
    in_cluster: tuple[AnswerSecret, ClusterAdmin, str],
) -> None:
    place, admin, namespace = in_cluster
    await admin.edit_secret(namespace, {"metadata": {"labels": {"certbus.dev/challenges": None}}}, name=SECRET)
    with pytest.raises(NotShownError, match=r"lacks the label certbus\.dev/challenges=true"):
        await place.show(ANSWER)
    assert await data_of(admin, namespace) == {}
    await admin.delete_secret(namespace, SECRET)
    with pytest.raises(NotShownError, match="isn't there: make it"):
        await place.show(ANSWER)
    assert await admin.secret(namespace, SECRET) is None


async def test_its_rights_reach_no_other_secret(in_cluster: tuple[AnswerSecret, ClusterAdmin, str]) -> None:
    place, admin, namespace = in_cluster
    labels = {"certbus.dev/challenges": "true"}
    await admin.create_secret(namespace, {}, name="other", kind="Opaque", labels=labels)
    other = AnswerSecret(api=place._api, namespace=namespace, secret="other")  # noqa: SLF001 # its login
    for call in (other.show, other.remove):
        with pytest.raises(NotShownError, match="forbidden"):
            await call(ANSWER)


def test_the_path_is_the_one_of_rfc_8555() -> None:
    assert challenge_path(TOKEN) == f"/.well-known/acme-challenge/{TOKEN}"
