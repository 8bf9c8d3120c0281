"""One HAProxy: disk and memory always together, put back where that fails or isn't proven."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import structlog

from cdn_pusher.domain.decision import Decision, Listing, Loaded, Noted, OnDisk, Reason, Seen, decide
from cdn_pusher.domain.earlier_file import EarlierFile, obstacle, payload
from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.domain.pem import HaproxyPem, read_pem
from cdn_pusher.targets.haproxy.certificate_files import CertificateFiles
from cdn_pusher.targets.haproxy.instance_lock import InstanceLock
from cdn_pusher.targets.haproxy.master_socket import MasterSocket
from cdn_pusher.targets.haproxy.notes import Notes
from cdn_pusher.targets.haproxy.runtime_socket import RuntimeSocket, State
from certcore.errors import InspectionError
from certcore.events import DeliveryReason
from certdelivery.model import Held, Wanted, Withdrawal, WriteReason

__all__ = ["HaproxyInstance", "Pushed"]

log = structlog.get_logger()

_WORKERS_TRIED: Final = 5

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class _Found:
    """What is there before anything is changed."""

    file: EarlierFile
    listing: Listing
    noted: Noted | None
    state: State
    loaded: Loaded | None


@dataclass(frozen=True)
class Pushed:
    """A push that isn't proven yet, the worker that took it, and what may have to be put back, byte for byte."""

    pem: HaproxyPem
    worker: str
    before: _Found


class HaproxyInstance:
    """All its calls may be repeated, and raise DeliveryError."""

    def __init__(
        self,
        *,
        name: str,
        runtime: RuntimeSocket,
        master: MasterSocket | None,
        files: CertificateFiles,
        crt_list: Path,
        notes: Notes,
        lock: InstanceLock,
    ) -> None:
        self.name = name
        self._runtime = runtime
        self._master = master
        self._files = files
        self._crt_list = crt_list
        self._notes = notes
        self._lock = lock
        self._pushed: dict[str, Pushed] = {}

    async def look(self, file: str, wanted: Wanted) -> Decision:
        """Compare disk and memory with what is wanted; neither is changed."""
        async with self._lock.held():
            return (await self._look(file, wanted))[0]

    async def push(self, file: str, pem: HaproxyPem, wanted: Wanted) -> Decision:
        """Write a certificate to disk and memory; if that fails, both are restored. What is held already is not
        written again.

        Exception: a certificate too long for the runtime API stays on disk if there is no master socket; the next
        reload loads it.
        """
        async with self._lock.held():
            decision, found = await self._look(file, wanted)
            if decision.reason in {Reason.HELD, Reason.NEWER}:
                return decision
            worker = await self._end_stale_transactions(found.state)
            if found.file.content == pem.content:
                # An interrupted push had written it: the content before is in the `.prev` file.
                previous = await _on_file(self._files.read_previous, file)
                found = replace(found, file=replace(found.file, content=previous))
            self._check_may_replace(file, found, pem, wanted)
            pushed = Pushed(pem, worker, found)
            try:
                await _on_file(self._files.write, file, pem.content)
                # Synced while HAProxy loads it: with the note alone it would only be loaded again.
                noting = asyncio.create_task(_on_file(self._notes.write, file, _note(wanted, pem.digest)))
                try:
                    worker = await self._have_loaded(file, pem, found, worker)
                finally:
                    await noting
            except DeliveryError as error:
                if self._loadable(file, pem):
                    await self._put_back(file, pushed, error)
                raise
            self._pushed[file] = replace(pushed, worker=worker)
        return decision

    def pushed(self, file: str) -> Pushed | None:
        """This process's last push of a file, where it wasn't settled."""
        return self._pushed.get(file)

    async def load_again(self, file: str, pem: HaproxyPem) -> bool:
        """Have memory hold what is on disk: a worker may have read the files just before they were written. False
        where the file was changed since.
        """
        async with self._lock.held():
            if await _on_file(self._files.read, file) != pem.content:
                return False
            found = await self._find(file)
            worker = await self._end_stale_transactions(found.state)
            await self._have_loaded(file, pem, found, worker)
        return True

    async def present(self, file: str) -> HaproxyPem | None:
        """What is on disk, where that is a certificate with its key."""
        return (await _on_file(self._files.earlier, file)).pem

    async def settle(self, file: str) -> None:
        """What was pushed is proven: forget what could have been put back."""
        async with self._lock.held():
            self._pushed.pop(file, None)
            await _on_file(self._files.forget_previous, file)

    async def put_back(self, file: str, error: DeliveryError) -> Held | None:
        """Undo this process's last push of the file, and return what is held again; None where that is nothing, or
        if the file was changed since.
        """
        async with self._lock.held():
            pushed = self._pushed.pop(file, None)
            if pushed is None or await _on_file(self._files.read, file) != pushed.pem.content:
                return None
            await self._put_back(file, pushed, error)
        earlier, noted = pushed.before.file.pem, pushed.before.noted
        if earlier is None:
            return None
        known = noted if noted and noted.fingerprint_sha256 == earlier.leaf.fingerprint_sha256 else None
        return known.held if known else Held(None, earlier.leaf.fingerprint_sha256)

    async def remove(self, file: str, withdrawal: Withdrawal) -> WriteReason | Held | None:
        """Remove a certificate from list, memory and directory, if the file was written for it; None if there is
        nothing to remove.
        """
        async with self._lock.held():
            noted = await _on_file(self._notes.read, file)
            path = self._files.path(file)
            if noted is None:
                if await _on_file(self._files.read, file) is None:
                    return None
                detail = f"{path} is not known to be this certificate's: remove it by hand"
                raise DeliveryError(DeliveryReason.CONFLICT, detail)
            if noted.certificate_id != withdrawal.certificate_id:
                return None
            if noted.generation > withdrawal.generation:
                return noted.held
            await self._end_stale_transactions(await self._runtime.state())
            # The list first: HAProxy doesn't start if the list names a missing file.
            await _on_file(self._files.strike, file)
            await self._runtime.remove(self._crt_list, path)
            if await self._runtime.loaded(path) is not None:
                detail = f"HAProxy keeps {path} in memory: something else than the crt-list uses it"
                raise DeliveryError(DeliveryReason.REFUSED, detail)
            await _on_file(self._files.remove, file)
            await _on_file(self._notes.write, file, None)
        return WriteReason.WITHDRAWN

    async def _find(self, file: str) -> _Found:
        def read() -> tuple[EarlierFile, Listing, Noted | None]:
            return self._files.earlier(file), self._files.listing(file), self._notes.read(file)

        earlier, listing, noted = await _on_file(read)
        return _Found(earlier, listing, noted, *await self._runtime.look(self._files.path(file)))

    async def _look(self, file: str, wanted: Wanted) -> tuple[Decision, _Found]:
        found = await self._find(file)
        disk = _on_disk(found.file.content)
        decision = decide(Seen(disk, found.loaded, found.listing, found.noted), wanted)
        if decision.reason is Reason.HELD and found.noted is None and disk is not None:
            # Written before there were notes: note the order that it matches.
            await _on_file(self._notes.write, file, _note(wanted, disk.digest))
        return decision, found

    def _loadable(self, file: str, pem: HaproxyPem) -> bool:
        return self._master is not None or self._runtime.takes(self._files.path(file), pem.content)

    async def _end_stale_transactions(self, state: State) -> str:
        """Returns the worker, in which no transaction is open then."""
        # No other pusher holds the lock: an open transaction is of one that was killed.
        for path in state.transactions:
            if Path(path).parent != self._files.path("x").parent:
                detail = f"a transaction of {path} is open that isn't ours: commit or abort it"
                raise DeliveryError(DeliveryReason.REFUSED, detail)
            log.warning("stale_transaction_aborted", instance=self.name, path=path)
            await self._runtime.abort(path)
        return state.worker

    def _check_may_replace(self, file: str, found: _Found, pem: HaproxyPem, wanted: Wanted) -> None:
        ours = found.noted is not None and found.noted.certificate_id == wanted.certificate_id
        if (problem := obstacle(found.file, ours=ours, dns_names=pem.leaf.dns_names)) is not None:
            raise DeliveryError(DeliveryReason.CONFLICT, f"{self._files.path(file)}: {problem}")

    async def _have_loaded(self, file: str, pem: HaproxyPem, found: _Found, worker: str) -> str:
        """Returns the worker that has it."""
        for _ in range(_WORKERS_TRIED):
            try:
                _check_memory(await self._load(file, pem, found.loaded, found.listing), pem)
                break
            except DeliveryError:
                present = await self._runtime.worker()
                if present == worker:
                    raise
                # It was replaced between two commands, and knows nothing of the first.
                worker, found = present, await self._find(file)
        else:
            detail = f"HAProxy was reloaded {_WORKERS_TRIED} times while {file} was loaded"
            raise DeliveryError(DeliveryReason.RELOAD_FAILED, detail)
        return worker

    async def _load(self, file: str, pem: HaproxyPem, loaded: Loaded | None, listing: Listing) -> Loaded | None:
        """Returns what is in memory then."""
        path = self._files.path(file)
        if not self._runtime.takes(path, pem.content):
            await _on_file(self._files.enlist, file)
            if self._master is None:
                detail = (
                    f"{len(pem.content)} bytes are more than the runtime API takes:"
                    " they stay on disk, and the next reload of HAProxy loads them"
                )
                raise DeliveryError(DeliveryReason.REFUSED, detail)
            await self._master.reload()
            return await self._runtime.loaded(path)
        held = loaded
        if loaded is None:
            await self._runtime.new(path)
        if loaded is None or not _is(loaded, pem):
            await self._runtime.set(path, pem.content)
            held = await self._runtime.commit(path)
        if loaded is None or not loaded.used:
            await self._runtime.enlist(self._crt_list, path)
        if listing is Listing.UNLISTED:
            await _on_file(self._files.enlist, file)
        return held

    async def _put_back(self, file: str, pushed: Pushed, error: DeliveryError) -> None:
        log.warning("delivery_put_back", instance=self.name, file=file, reason=error.reason, detail=error.detail)
        path, before = self._files.path(file), pushed.before
        try:
            await _on_file(self._notes.write, file, before.noted)
            if before.file.content is not None:
                await _on_file(self._files.restore, file, before.file.content)
            if before.listing is Listing.UNLISTED:
                await _on_file(self._files.strike, file)
            if before.loaded is None:
                await self._runtime.remove(self._crt_list, path)
                if before.file.content is None and before.listing is Listing.UNLISTED:
                    # Not if the list names it: HAProxy doesn't start without the file.
                    await _on_file(self._files.remove, file)
            elif before.file.content is not None:
                await self._take_back(path, pushed.pem, payload(before.file.content))
            await _on_file(self._files.forget_previous, file)
        except DeliveryError as second:
            detail = f"{error.detail}; and what was there before could not be put back: {second}"
            raise DeliveryError(error.reason, detail) from error

    async def _take_back(self, path: Path, pem: HaproxyPem, earlier: bytes) -> None:
        loaded = await self._runtime.loaded(path)
        if loaded is None or not _is(loaded, pem):
            return  # it was never loaded
        if self._runtime.takes(path, earlier):
            await self._runtime.set(path, earlier)
            await self._runtime.commit(path)
        elif self._master is not None:
            await self._master.reload()


def _note(wanted: Wanted, digest: str) -> Noted:
    return Noted(
        certificate_id=wanted.certificate_id,
        generation=wanted.generation,
        revision=wanted.revision,
        fingerprint_sha256=wanted.fingerprint_sha256,
        digest=digest,
    )


def _on_disk(content: bytes | None) -> OnDisk | None:
    if content is None:
        return None
    try:
        pem = read_pem(content)
    except InspectionError:
        return None
    return OnDisk(
        fingerprint_sha256=pem.leaf.fingerprint_sha256,
        sha1=pem.sha1,
        digest=pem.digest,
        chain_length=len(pem.chain),
        normal=pem.content == content,
    )


def _check_memory(loaded: Loaded | None, pem: HaproxyPem) -> None:
    if loaded is None or not _is(loaded, pem):
        held = f"the certificate with serial {loaded.serial}" if loaded else "nothing"
        raise DeliveryError(DeliveryReason.NOT_SERVED, f"HAProxy reports success and holds {held}")


def _is(loaded: Loaded, pem: HaproxyPem) -> bool:
    return (loaded.serial, loaded.sha1, loaded.chain_length) == (pem.leaf.serial, pem.sha1, len(pem.chain))


async def _on_file(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread; an OSError becomes a DeliveryError."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        detail = f"{error.filename}: {error.strerror}" if error.strerror else type(error).__name__
        raise DeliveryError(DeliveryReason.REFUSED, detail) from error
