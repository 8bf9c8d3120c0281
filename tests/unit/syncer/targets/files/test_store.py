import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from certcore.events import DeliveryReason
from certcore.inspection import check_pair, read_chain
from certdelivery.model import Finding, Held, Wanted, WriteReason
from syncer.targets.files.store import FileStore
from tests.issuing import Authority, Issued, files_target, wanted_for, withdrawal_of
from tests.patience import HANG_S

AUTHORITY = Authority()


def _store(directory: Path, *reload: str, timeout_s: float = 30.0) -> FileStore:
    return FileStore(name="default", directory=directory, reload=reload or None, reload_timeout_s=timeout_s)


def _wanted(issued: Issued, generation: int, revision: int | None = None) -> Wanted:
    return wanted_for(issued, generation, files_target(), revision=revision)


async def _deliver(store: FileStore, issued: Issued, generation: int, revision: int | None = None) -> Finding:
    return await store.deliver(_wanted(issued, generation, revision), issued.bundle(revision or generation))


def _served(directory: Path) -> str:
    """The fingerprint of what a reader gets, after the checks that a server makes of it."""
    folder = (directory / "shop" / "current").resolve()
    chain = read_chain((folder / "tls.crt").read_bytes())
    key = (folder / "tls.key").read_bytes()
    check_pair(chain, key)
    assert (folder / "tls.pem").read_bytes() == (folder / "tls.crt").read_bytes() + key
    return chain[0].fingerprint_sha256


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "shop").iterdir())


def _running(pid: str) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "zombie" not in status.read_text()


def _reason(finding: Finding) -> DeliveryReason:
    assert not finding.writes
    return finding.failures[0].reason


async def test_a_delivered_pair_is_whole_private_and_found_again(tmp_path: Path) -> None:
    store, issued = _store(tmp_path / "store"), AUTHORITY.issue()
    assert await store.inspect(_wanted(issued, 1)) == Finding(writes=(WriteReason.MISSING,))
    assert await _deliver(store, issued, 1) == Finding(writes=(WriteReason.MISSING,))
    assert _served(tmp_path / "store") == issued.leaf.fingerprint_sha256
    assert await store.inspect(_wanted(issued, 1)) == Finding()
    for path in (tmp_path / "store" / "shop").rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if not path.is_symlink():
            assert mode == (0o700 if path.is_dir() else 0o600), path


async def test_the_revision_before_is_kept_and_older_ones_go(tmp_path: Path) -> None:
    store = _store(tmp_path)
    for revision in (1, 2, 3):
        await _deliver(store, AUTHORITY.issue(), revision)
    names = ["current", "revision-2", "revision-2.generation", "revision-3", "revision-3.generation"]
    assert _names(tmp_path) == names
    assert (tmp_path / "shop" / "current").readlink() == Path("revision-3")


async def test_a_right_pair_is_not_written_again(tmp_path: Path) -> None:
    store, issued = _store(tmp_path), AUTHORITY.issue()
    await _deliver(store, issued, 1)
    before = (tmp_path / "shop" / "revision-1" / "tls.key").stat().st_ino
    assert await _deliver(store, issued, 1) == Finding()
    assert (tmp_path / "shop" / "revision-1" / "tls.key").stat().st_ino == before


async def test_an_older_order_never_takes_a_certificate_back(tmp_path: Path) -> None:
    store, old, new = _store(tmp_path), AUTHORITY.issue(), AUTHORITY.issue()
    await _deliver(store, new, 2)
    assert await _deliver(store, old, 1) == Finding(newer=Held(2, new.leaf.fingerprint_sha256, 2))
    assert _served(tmp_path) == new.leaf.fingerprint_sha256


async def test_a_rollback_turns_to_a_folder_that_is_there_and_a_stale_order_not_back(tmp_path: Path) -> None:
    store, old, new = _store(tmp_path), AUTHORITY.issue(), AUTHORITY.issue()
    await _deliver(store, old, 2)
    await _deliver(store, new, 3)
    assert await _deliver(store, old, 4, revision=2) == Finding(writes=(WriteReason.OLDER,))
    assert _served(tmp_path) == old.leaf.fingerprint_sha256
    restarted = _store(tmp_path)
    assert await restarted.inspect(_wanted(old, 4, revision=2)) == Finding()
    stale = await _deliver(restarted, new, 3)
    assert stale == Finding(newer=Held(2, old.leaf.fingerprint_sha256, 4))
    assert _served(tmp_path) == old.leaf.fingerprint_sha256
    await _deliver(restarted, new, 5, revision=3)
    assert _served(tmp_path) == new.leaf.fingerprint_sha256


async def test_the_way_back_leads_to_the_order_before_and_not_to_the_revision_before(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    store = _store(tmp_path / "store", "test", "-e", str(gate))
    old, new = AUTHORITY.issue(), AUTHORITY.issue()
    await _deliver(store, old, 2)
    await _deliver(store, new, 3)
    await _deliver(store, old, 4, revision=2)
    assert "revision-3" in _names(tmp_path / "store")
    gate.unlink()
    assert _reason(await _deliver(store, AUTHORITY.issue(), 5, revision=4)) is DeliveryReason.RELOAD_FAILED
    assert _served(tmp_path / "store") == old.leaf.fingerprint_sha256


async def test_the_same_revision_for_a_later_order_only_gets_its_generation(tmp_path: Path) -> None:
    store, issued = _store(tmp_path), AUTHORITY.issue()
    await _deliver(store, issued, 2)
    before = (tmp_path / "shop" / "current" / "tls.key").stat().st_ino
    assert await _deliver(store, issued, 3, revision=2) == Finding()
    assert (tmp_path / "shop" / "current" / "tls.key").stat().st_ino == before
    assert await store.inspect(_wanted(issued, 2)) == Finding(newer=Held(2, issued.leaf.fingerprint_sha256, 3))


async def test_files_from_before_there_were_generations_are_not_written_again(tmp_path: Path) -> None:
    store, issued = _store(tmp_path), AUTHORITY.issue()
    await _deliver(store, issued, 3)
    (tmp_path / "shop" / "revision-3.generation").unlink()
    assert await store.inspect(_wanted(issued, 3)) == Finding()
    old = AUTHORITY.issue()
    assert await store.inspect(_wanted(old, 4, revision=2)) == Finding(writes=(WriteReason.OLDER,))
    assert await _deliver(store, old, 4, revision=2) == Finding(writes=(WriteReason.OLDER,))
    assert _served(tmp_path) == old.leaf.fingerprint_sha256


async def test_a_name_that_another_certificate_had_is_taken_over(tmp_path: Path) -> None:
    store, old, new = _store(tmp_path), AUTHORITY.issue(), AUTHORITY.issue()
    await _deliver(store, old, 9)
    successor = wanted_for(new, 1, files_target(), certificate_id="crt-0002")
    assert await store.deliver(successor, new.bundle(1)) == Finding(writes=(WriteReason.OLDER,))
    assert _served(tmp_path) == new.leaf.fingerprint_sha256
    assert await store.withdraw(withdrawal_of(10, files_target())) == Finding()
    assert _served(tmp_path) == new.leaf.fingerprint_sha256


async def test_a_withdrawal_leaves_nothing_of_ours_and_what_is_not_ours(tmp_path: Path) -> None:
    store = _store(tmp_path, "true")
    assert await store.withdraw(withdrawal_of(1, files_target())) == Finding()
    for generation in (1, 2):
        await _deliver(store, AUTHORITY.issue(), generation)
    (tmp_path / "shop" / "notes.txt").write_text("a stranger's")
    held = (await store.withdraw(withdrawal_of(1, files_target()))).newer
    assert held is not None
    assert held.generation == 2
    assert await store.withdraw(withdrawal_of(3, files_target())) == Finding(writes=(WriteReason.WITHDRAWN,))
    assert _names(tmp_path) == ["notes.txt"]
    (tmp_path / "shop" / "notes.txt").unlink()
    await store.withdraw(withdrawal_of(3, files_target()))
    assert not os.listdir(tmp_path)  # noqa: PTH208 # a test may wait for the disk


async def test_what_was_held_before_can_be_put_back(tmp_path: Path) -> None:
    store, old, new = _store(tmp_path), AUTHORITY.issue(), AUTHORITY.issue()
    await _deliver(store, old, 1)
    await _deliver(store, new, 2)
    held = await store.roll_back(_wanted(new, 2), "not served")
    assert held == Held(1, old.leaf.fingerprint_sha256, 1)
    assert _served(tmp_path) == old.leaf.fingerprint_sha256


@pytest.mark.parametrize("name", ["../../escaped", "/etc", "a/b", ".", "A", ""])
async def test_a_name_that_could_be_a_path_is_refused(tmp_path: Path, name: str) -> None:
    issued = AUTHORITY.issue()
    wanted = wanted_for(issued, 1, files_target(), name=name)
    store = _store(tmp_path / "store")
    assert _reason(await store.inspect(wanted)) is DeliveryReason.UNREADABLE_ORDER
    assert _reason(await store.deliver(wanted, issued.bundle(1))) is DeliveryReason.UNREADABLE_ORDER
    assert not os.listdir(tmp_path)  # noqa: PTH208 # a test may wait for the disk


@pytest.mark.parametrize("damage", ["key of another", "no key", "readable by all", "other chain", "gone"])
async def test_damaged_files_are_mended(tmp_path: Path, damage: str) -> None:
    store, before, issued = _store(tmp_path), AUTHORITY.issue(), AUTHORITY.issue()
    await _deliver(store, before, 1)
    await _deliver(store, issued, 2)
    current = tmp_path / "shop" / "current"
    match damage:
        case "key of another":
            (current / "tls.key").write_bytes(before.key_pem)
        case "no key":
            (current / "tls.key").unlink()
        case "readable by all":
            (current / "tls.key").chmod(0o644)
        case "other chain":
            (current / "tls.crt").write_bytes(before.chain_pem)
        case _:
            current.unlink()
    expected = WriteReason.MISSING if damage == "gone" else WriteReason.EDITED
    assert await store.inspect(_wanted(issued, 2)) == Finding(writes=(expected,))
    assert (await _deliver(store, issued, 2)).writes == (expected,)
    assert _served(tmp_path) == issued.leaf.fingerprint_sha256
    # And once more, although the mended copy has another name.
    (current / "tls.key").write_bytes(before.key_pem)
    assert (await _deliver(store, issued, 2)).edited_only
    assert _served(tmp_path) == issued.leaf.fingerprint_sha256
    assert "revision-1" in _names(tmp_path)
    assert await store.inspect(_wanted(issued, 2)) == Finding()


async def test_the_reload_command_runs_after_the_change_and_only_then(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = f"import os; open({str(seen)!r}, 'a').write(os.readlink({str(tmp_path / 'shop' / 'current')!r}) + ' ')"
    store, issued = _store(tmp_path, sys.executable, "-c", script), AUTHORITY.issue()
    await _deliver(store, issued, 1)
    await _deliver(store, issued, 1)
    await _deliver(store, AUTHORITY.issue(), 2)
    assert seen.read_text().split() == ["revision-1", "revision-2"]


async def test_a_failing_reload_turns_back_to_the_revision_before(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    store = _store(tmp_path, "test", "-e", str(gate))
    before, issued = AUTHORITY.issue(), AUTHORITY.issue()
    await _deliver(store, before, 1)
    gate.unlink()
    assert _reason(await _deliver(store, issued, 2)) is DeliveryReason.RELOAD_FAILED
    assert _served(tmp_path) == before.leaf.fingerprint_sha256
    assert await store.inspect(_wanted(issued, 2)) == Finding(writes=(WriteReason.OLDER,))
    gate.touch()
    assert (await _deliver(store, issued, 2)).writes == (WriteReason.OLDER,)
    assert _served(tmp_path) == issued.leaf.fingerprint_sha256


async def test_a_failing_reload_of_a_first_delivery_leaves_nothing_to_serve(tmp_path: Path) -> None:
    store = _store(tmp_path, "false")
    assert _reason(await _deliver(store, AUTHORITY.issue(), 1)) is DeliveryReason.RELOAD_FAILED
    assert not (tmp_path / "shop" / "current").is_symlink()


async def test_a_reload_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    store = _store(tmp_path, "sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait", timeout_s=0.5)
    finding = await _deliver(store, AUTHORITY.issue(), 1)
    assert _reason(finding) is DeliveryReason.RELOAD_FAILED
    assert "did not end" in finding.failures[0].detail
    async with asyncio.timeout(HANG_S):
        # Its parent is dead, and who takes its place has yet to read its end.
        while _running(pid_file.read_text().strip()):  # noqa: ASYNC110 # another process
            await asyncio.sleep(0.02)


async def test_a_reload_program_that_is_missing_is_told(tmp_path: Path) -> None:
    finding = await _deliver(_store(tmp_path, "/nonexistent/reload"), AUTHORITY.issue(), 1)
    assert _reason(finding) is DeliveryReason.RELOAD_FAILED
    assert "/nonexistent/reload" in finding.failures[0].detail


async def test_a_reload_that_a_crash_left_out_is_made_up_for(tmp_path: Path) -> None:
    issued, marker = AUTHORITY.issue(), tmp_path / "ran"
    await _deliver(_store(tmp_path), issued, 1)
    store = _store(tmp_path, "touch", str(marker))
    assert await store.inspect(_wanted(issued, 1)) == Finding(writes=(WriteReason.NOT_ACTIVE,))
    assert (await _deliver(store, issued, 1)).writes == (WriteReason.NOT_ACTIVE,)
    assert marker.exists()
    assert await store.inspect(_wanted(issued, 1)) == Finding()


async def test_the_reload_command_sees_none_of_our_settings(tmp_path: Path) -> None:
    os.environ["CERTBUS_SYNCER_TEST"] = "x"
    try:
        finding = await _deliver(_store(tmp_path, "sh", "-c", 'test -z "$CERTBUS_SYNCER_TEST"'), AUTHORITY.issue(), 1)
    finally:
        del os.environ["CERTBUS_SYNCER_TEST"]
    assert finding.failures == ()


async def test_links_are_never_followed_out_of_the_store(tmp_path: Path) -> None:
    store_path, outside = tmp_path / "store", tmp_path / "outside"
    store_path.mkdir()
    outside.mkdir()
    (store_path / "shop").symlink_to(outside)
    store, issued = _store(store_path), AUTHORITY.issue()
    assert _reason(await _deliver(store, issued, 1)) is DeliveryReason.CONFLICT
    (store_path / "shop").unlink()
    (store_path / "shop").mkdir()
    (store_path / "shop" / "current").symlink_to(outside)
    assert _reason(await store.inspect(_wanted(issued, 1))) is DeliveryReason.CONFLICT
    assert _reason(await _deliver(store, issued, 1)) is DeliveryReason.CONFLICT
    (store_path / "shop" / "current").unlink()
    (store_path / "shop" / "revision-1").symlink_to(outside)
    assert (await _deliver(store, issued, 1)).failures == ()
    assert _served(store_path) == issued.leaf.fingerprint_sha256
    assert list(outside.iterdir()) == []


async def test_what_is_no_link_in_the_place_of_current_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shop" / "current").mkdir(parents=True)
    (tmp_path / "shop" / "current" / "tls.key").write_text("a stranger's")
    assert _reason(await _deliver(_store(tmp_path), AUTHORITY.issue(), 1)) is DeliveryReason.CONFLICT
    assert (tmp_path / "shop" / "current" / "tls.key").read_text() == "a stranger's"


async def test_a_store_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    finding = await _deliver(_store(tmp_path / "store"), AUTHORITY.issue(), 1)
    assert _reason(finding) is DeliveryReason.REFUSED


async def test_what_a_crash_left_unfinished_is_cleared_away(tmp_path: Path) -> None:
    store = _store(tmp_path)
    await _deliver(store, AUTHORITY.issue(), 1)
    unfinished = tmp_path / "shop" / ".new-0123"
    unfinished.mkdir()
    (unfinished / "tls.key").write_text("half")
    await _deliver(store, AUTHORITY.issue(), 2)
    assert not unfinished.exists()
