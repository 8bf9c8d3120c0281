"""The pusher against a real HAProxy."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509

from cdn_pusher.domain.decision import Reason
from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.domain.pem import HaproxyPem, normal_pem
from certcore.events import DeliveryReason
from certdelivery.model import Held, Withdrawal, WriteReason
from certkit.background import end_tasks
from tests.authority import Authority, Issued
from tests.integration.cdn_pusher.balancer import DEFAULT, TARGET, Balancer, balancer, deliver, pem_of
from tests.integration.cdn_pusher.clients import Tally, keep_connecting
from tests.patience import HANG_S
from tests.servers import Haproxies
from tests.tls_servers import tls_server

pytestmark = pytest.mark.integration

HOST = "shop.example.org"
FILE = "shop.pem"


@pytest_asyncio.fixture
async def edge(haproxy: Haproxies) -> AsyncIterator[Balancer]:
    async with balancer(haproxy) as running:
        yield running


async def reason(edge: Balancer, pem: HaproxyPem) -> Reason:
    """Why the file would be written, in the generation that is noted."""
    return (await edge.place.instance().look(FILE, edge.place.wanted(FILE, pem))).reason


def large(authority: Authority) -> HaproxyPem:
    """A PEM that is longer than HAProxy's buffer."""
    note = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x04\x82\x36\xb0" + b"x" * 14000
    )
    return pem_of(authority.issue(HOST, extra=[note]))


async def test_a_new_name_is_served_and_held_on_disk_and_in_memory(edge: Balancer) -> None:
    issued = edge.authority.issue(HOST)
    pusher = edge.place.pusher()
    assert await reason(edge, pem_of(issued)) is Reason.NEW
    await deliver(edge.place, FILE, pem_of(issued), by=pusher)
    assert (await edge.served(HOST)).presented == pem_of(issued).presented
    assert (await edge.served("else.example.org")).leaf.dns_names == (DEFAULT,)
    path = edge.place.directory / FILE
    assert path.read_bytes() == pem_of(issued).content
    assert path.stat().st_mode & 0o777 == 0o600
    assert edge.place.crt_list.read_text().splitlines() == [f"{edge.place.directory}/default.pem", str(path)]
    assert await reason(edge, pem_of(issued)) is Reason.HELD


async def test_a_wildcard_is_proven_by_one_of_its_names(edge: Balancer) -> None:
    issued = edge.authority.issue("*.example.org")
    await deliver(edge.place, "wild.pem", pem_of(issued))
    assert (await edge.served("any.example.org")).leaf.fingerprint_sha256 == issued.fingerprint


async def test_an_rsa_and_an_ecdsa_certificate_of_one_name_are_each_proven_and_renewed(edge: Balancer) -> None:
    for _ in range(2):
        await deliver(edge.place, "shop-ec.pem", pem_of(edge.authority.issue(HOST)))
        await deliver(edge.place, "shop-rsa.pem", pem_of(edge.authority.issue(HOST, rsa_bits=2048)))
    stranger = edge.authority.issue(HOST, rsa_bits=2048)
    with pytest.raises(DeliveryError, match=r"from .*shop-rsa\.pem"):
        await deliver(edge.place, "second-rsa.pem", pem_of(stranger), by=edge.place.pusher(patience_s=0.2))


async def test_delivering_the_same_again_changes_nothing(edge: Balancer) -> None:
    first, second = edge.authority.issue(HOST), edge.authority.issue(HOST)
    pusher = edge.place.pusher()
    await deliver(edge.place, FILE, pem_of(first), by=pusher)
    for _ in range(3):
        await deliver(edge.place, FILE, pem_of(second), by=pusher)
    assert edge.place.crt_list.read_text().count(FILE) == 1
    # No key that nobody serves any more is left.
    assert sorted(path.name for path in edge.place.directory.iterdir()) == ["default.pem", FILE]


async def test_fifty_rotations_fail_no_handshake_of_clients_that_never_pause(edge: Balancer, tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_text(edge.authority.root_pem)
    pusher = edge.place.pusher()
    await deliver(edge.place, FILE, pem_of(edge.authority.issue(HOST)), by=pusher)
    tally = Tally()
    clients = [
        asyncio.create_task(keep_connecting(edge.place.port, HOST, tmp_path / "roots.pem", tally)) for _ in range(4)
    ]
    for _ in range(50):
        issued = edge.authority.issue(HOST)
        await deliver(edge.place, FILE, pem_of(issued), by=pusher)
        assert (await edge.served(HOST)).leaf.fingerprint_sha256 == issued.fingerprint
    await end_tasks(clients)
    print(f"{tally.handshakes} handshakes during 50 rotations")
    assert tally.faults == []
    assert tally.handshakes >= 200


async def test_two_pushers_in_two_processes_never_leave_a_wrong_certificate_live(edge: Balancer) -> None:
    pusher = edge.place.pusher()
    for name in ("left", "right"):
        host = f"{name}.example.org"
        await deliver(edge.place, f"{name}.pem", pem_of(edge.authority.issue(host)), by=pusher)
    others = [edge.in_another_process({"task": "push", "name": name, "count": 160}) for name in ("left", "right")]
    for other in others:
        other.start()
    for other in others:
        assert await other.wait(timeout_s=HANG_S) == 0, other.last_lines()
        assert json.loads(other.last_lines(1)) == {"pushes": 160, "wrong": 0, "refused": 0}


async def test_a_pusher_killed_between_set_and_commit_is_cleaned_up_after(edge: Balancer) -> None:
    pusher, mine = edge.place.pusher(), edge.authority.issue(HOST)
    victim = "victim.example.org"
    await deliver(edge.place, "victim.pem", pem_of(edge.authority.issue(victim)), by=pusher)
    before = (await edge.served(victim)).leaf
    killed = edge.in_another_process({"task": "die", "name": "victim"})
    killed.start()
    assert await killed.wait(timeout_s=HANG_S) == -9
    open_ones = (await edge.place.runtime.state()).transactions
    assert open_ones == (f"{edge.place.directory}/victim.pem",)
    await deliver(edge.place, FILE, pem_of(mine), by=pusher)
    assert (await edge.served(HOST)).leaf.fingerprint_sha256 == mine.fingerprint
    assert (await edge.served(victim)).leaf == before
    assert (await edge.place.runtime.state()).transactions == ()


async def test_a_transaction_that_is_not_ours_is_neither_used_nor_ended(edge: Balancer) -> None:
    foreign = edge.place.folder / "foreign.pem"
    await edge.place.runtime.new(foreign)
    await edge.place.runtime.set(foreign, pem_of(edge.authority.issue("foreign.example.org")).content)
    with pytest.raises(DeliveryError, match="isn't ours") as caught:
        await deliver(edge.place, FILE, pem_of(edge.authority.issue(HOST)))
    assert caught.value.reason is DeliveryReason.REFUSED
    assert (await edge.place.runtime.state()).transactions == (str(foreign),)
    assert not (edge.place.directory / FILE).exists()


async def test_a_payload_that_went_into_anothers_transaction_is_ended_there(edge: Balancer) -> None:
    runtime, path = edge.place.runtime, edge.place.directory / FILE
    await deliver(edge.place, FILE, pem_of(edge.authority.issue(HOST)))
    await runtime.set(edge.place.directory / "default.pem", pem_of(edge.authority.issue(DEFAULT)).content)
    with pytest.raises(DeliveryError, match="Transaction updated"):
        await runtime.set(path, pem_of(edge.authority.issue(HOST)).content)
    assert (await runtime.state()).transactions == ()


async def test_a_restart_keeps_what_was_delivered(edge: Balancer) -> None:
    first, second = edge.authority.issue(HOST), edge.authority.issue(HOST)
    for issued in (first, second):
        await deliver(edge.place, FILE, pem_of(issued))
    await edge.server.stop()
    await edge.server.start()
    assert (await edge.served(HOST)).presented == pem_of(second).presented
    await edge.server.reload()
    assert (await edge.served(HOST)).presented == pem_of(second).presented


@pytest.mark.parametrize("newline", ["\r\n", "\n\n"], ids=["crlf", "blank lines"])
async def test_a_messy_pem_keeps_its_chain(edge: Balancer, newline: str) -> None:
    issued = edge.authority.issue(HOST)
    chain = issued.chain_pem.replace("\n", newline).encode()
    pem = normal_pem(chain, issued.key_pem.replace("\n", newline).encode())
    await deliver(edge.place, FILE, pem)
    assert len((await edge.served(HOST)).presented) == 2


async def test_drift_of_every_kind_is_seen_and_repaired(edge: Balancer) -> None:
    issued, stranger = edge.authority.issue(HOST), edge.authority.issue(HOST)
    place, pusher = edge.place, edge.place.pusher()
    pem, path = pem_of(issued), edge.place.directory / FILE
    await deliver(edge.place, FILE, pem, by=pusher)

    async def repaired(expected: Reason) -> None:
        assert await reason(edge, pem_of(issued)) is expected
        await deliver(edge.place, FILE, pem, by=pusher)
        assert await reason(edge, pem_of(issued)) is Reason.HELD
        assert (await edge.served(HOST)).presented == pem.presented

    await place.runtime.set(path, pem_of(stranger).content)
    await place.runtime.commit(path)
    await repaired(Reason.MEMORY_CHANGED)

    await place.runtime.set(path, pem_of(Issued(issued.leaf, (issued.leaf,), issued.key_pem)).content)
    await place.runtime.commit(path)
    await repaired(Reason.CHAIN_LOST)

    await place.runtime.remove(place.crt_list, path)
    await repaired(Reason.MEMORY_LOST)

    path.unlink()
    await repaired(Reason.DISK_LOST)

    path.write_bytes(pem.content.replace(b"\n", b"\r\n"))
    await repaired(Reason.DISK_CHANGED)

    path.write_bytes(pem_of(stranger).content)
    await repaired(Reason.DISK_CHANGED)

    place.crt_list.write_text(f"{place.directory}/default.pem")
    await repaired(Reason.UNLISTED)
    assert place.crt_list.read_text().count("\n") == 2


async def test_a_delivery_that_is_not_served_is_put_back(edge: Balancer) -> None:
    first, second = edge.authority.issue(HOST), edge.authority.issue(HOST)
    await deliver(edge.place, FILE, pem_of(first))
    async with tls_server(Authority.self_signed(HOST)) as elsewhere:
        blind = edge.place.pusher(probe=f"127.0.0.1:{elsewhere.port}", patience_s=0.2)
        with pytest.raises(DeliveryError) as caught:
            await deliver(edge.place, FILE, pem_of(second), by=blind)
    assert caught.value.reason is DeliveryReason.NOT_SERVED
    assert (edge.place.directory / FILE).read_bytes() == pem_of(first).content
    assert (await edge.served(HOST)).presented == pem_of(first).presented
    assert await reason(edge, pem_of(first)) is Reason.HELD


async def test_a_first_delivery_that_is_not_served_leaves_nothing_behind(edge: Balancer) -> None:
    crt_list = edge.place.crt_list.read_text()
    async with tls_server(Authority.self_signed(HOST)) as elsewhere:
        blind = edge.place.pusher(probe=f"127.0.0.1:{elsewhere.port}", patience_s=0.2)
        with pytest.raises(DeliveryError):
            await deliver(edge.place, FILE, pem_of(edge.authority.issue(HOST)), by=blind)
    assert edge.place.crt_list.read_text() == crt_list
    assert not (edge.place.directory / FILE).exists()
    assert (await edge.place.runtime.state()).paths == (f"{edge.place.directory}/default.pem",)
    assert (await edge.served(HOST)).leaf.dns_names == (DEFAULT,)


async def test_what_the_runtime_api_cant_take_comes_by_reload(edge: Balancer) -> None:
    small, pem = edge.authority.issue(HOST), large(edge.authority)
    await deliver(edge.place, FILE, pem_of(small))
    assert len(pem.content) > 16384
    await deliver(edge.with_master, FILE, pem)
    assert (await edge.served(HOST)).presented == pem.presented


async def test_without_a_master_socket_it_waits_on_disk_for_a_reload(edge: Balancer) -> None:
    pem = large(edge.authority)
    with pytest.raises(DeliveryError, match="more than the runtime API takes") as caught:
        await deliver(edge.place, FILE, pem)
    assert caught.value.reason is DeliveryReason.REFUSED
    await edge.server.reload()
    assert await reason(edge, pem) is Reason.HELD


async def test_a_refused_reload_puts_the_old_file_back(edge: Balancer) -> None:
    small = edge.authority.issue(HOST)
    await deliver(edge.place, FILE, pem_of(small))
    with edge.place.crt_list.open("a") as crt_list:
        crt_list.write(f"{edge.place.directory}/missing.pem\n")
    with pytest.raises(DeliveryError) as caught:
        await deliver(edge.with_master, FILE, large(edge.authority))
    assert caught.value.reason is DeliveryReason.RELOAD_FAILED
    assert (edge.place.directory / FILE).read_bytes() == pem_of(small).content
    assert (await edge.served(HOST)).presented == pem_of(small).presented


async def test_a_push_cut_short_after_the_disk_can_still_be_put_back(edge: Balancer) -> None:
    first, second = edge.authority.issue(HOST), edge.authority.issue(HOST)
    await deliver(edge.place, FILE, pem_of(first))
    edge.place.files.write(FILE, pem_of(second).content)
    async with tls_server(Authority.self_signed(HOST)) as elsewhere:
        blind = edge.place.pusher(probe=f"127.0.0.1:{elsewhere.port}", patience_s=0.2)
        with pytest.raises(DeliveryError):
            await deliver(edge.place, FILE, pem_of(second), by=blind)
    assert (edge.place.directory / FILE).read_bytes() == pem_of(first).content
    assert (await edge.served(HOST)).presented == pem_of(first).presented


async def test_a_haproxy_that_is_down_is_unreachable_and_its_disk_untouched(edge: Balancer) -> None:
    await edge.server.stop()
    with pytest.raises(DeliveryError) as caught:
        await deliver(edge.place, FILE, pem_of(edge.authority.issue(HOST)))
    assert caught.value.reason is DeliveryReason.UNREACHABLE
    assert not (edge.place.directory / FILE).exists()


async def test_a_disk_that_refuses_is_told(edge: Balancer) -> None:
    edge.place.directory.rename(edge.place.folder / "moved")
    with pytest.raises(DeliveryError, match="No such file") as caught:
        await deliver(edge.place, FILE, pem_of(edge.authority.issue(HOST)))
    assert caught.value.reason is DeliveryReason.REFUSED


async def test_an_expired_certificate_is_what_haproxy_would_take(edge: Balancer) -> None:
    # Why preflight looks at dates and names: HAProxy doesn't.
    past = datetime.now(UTC) - timedelta(days=1)
    expired = edge.authority.issue("other.example.org", not_before=past - timedelta(days=1), not_after=past)
    await deliver(edge.place, FILE, pem_of(expired))
    assert (await edge.served("other.example.org")).leaf.not_after < datetime.now(UTC)


async def test_of_two_orders_the_higher_generation_counts_also_in_another_process(edge: Balancer) -> None:
    first, second = pem_of(edge.authority.issue(HOST)), pem_of(edge.authority.issue(HOST))
    for pem in (first, second, first):
        await deliver(edge.place, FILE, pem)
    stale = replace(edge.place.wanted(FILE, second), generation=3, revision=3)
    decision = await edge.place.instance().push(FILE, second, stale)
    assert decision.newer is not None
    assert (decision.newer.generation, decision.newer.fingerprint_sha256) == (4, first.leaf.fingerprint_sha256)
    assert (await edge.served(HOST)).presented == first.presented


async def test_what_was_pushed_before_there_were_notes_is_not_written_again_and_noted(edge: Balancer) -> None:
    pem = pem_of(edge.authority.issue(HOST))
    await deliver(edge.place, FILE, pem)
    (edge.place.folder / ".crt.placements.json").unlink()
    inode = (edge.place.directory / FILE).stat().st_ino
    wanted = replace(edge.place.wanted(FILE, pem), generation=7, revision=7)
    assert (await edge.place.instance().look(FILE, wanted)).reason is Reason.HELD
    assert (await edge.place.instance().push(FILE, pem, wanted)).reason is Reason.HELD
    assert (edge.place.directory / FILE).stat().st_ino == inode
    noted = edge.place.notes.read(FILE)
    assert noted is not None
    assert (noted.generation, noted.revision) == (7, 7)


async def test_a_withdrawal_takes_list_memory_and_file_back_and_nothing_of_others(edge: Balancer) -> None:
    before, pem = edge.place.crt_list.read_text(), pem_of(edge.authority.issue(HOST))
    pusher = edge.place.pusher()
    await deliver(edge.place, FILE, pem)
    older, other, right = (
        Withdrawal(certificate_id, "shop", TARGET, "site1", generation)
        for certificate_id, generation in (("c1", 1), ("c2", 9), ("c1", 3))
    )
    assert isinstance(await pusher.instance.remove(FILE, older), Held)
    assert await pusher.instance.remove(FILE, other) is None
    assert (await edge.served(HOST)).presented == pem.presented
    assert await pusher.instance.remove(FILE, right) is WriteReason.WITHDRAWN
    assert edge.place.crt_list.read_text() == before
    assert [path.name for path in edge.place.directory.iterdir()] == ["default.pem"]
    assert (await edge.served(HOST)).leaf.dns_names == (DEFAULT,)
    assert edge.place.notes.read(FILE) is None
    assert await pusher.instance.remove(FILE, right) is None
    with pytest.raises(DeliveryError) as caught:
        await pusher.instance.remove("default.pem", right)
    assert caught.value.reason is DeliveryReason.CONFLICT
    await edge.server.reload()
    assert (await edge.served(HOST)).leaf.dns_names == (DEFAULT,)
