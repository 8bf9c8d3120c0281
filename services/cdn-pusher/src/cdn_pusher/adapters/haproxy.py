"""One HAProxy: disk and memory always together, proven by handshakes, put back where the proof fails."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog

from cdn_pusher.adapters.certificate_files import CertificateFiles
from cdn_pusher.adapters.instance_lock import InstanceLock
from cdn_pusher.adapters.master_socket import MasterSocket
from cdn_pusher.adapters.runtime_socket import RuntimeSocket
from cdn_pusher.adapters.served import Listeners
from cdn_pusher.domain.decision import Decision, Held, Listing, Loaded, OnDisk, Wanted, decide
from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.domain.pem import HaproxyPem, read_pem
from certcore.errors import InspectionError
from certcore.events import DeliveryReason

__all__ = ["HaproxyInstance"]

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class _Before:
    """What a push may have to put back."""

    pem: HaproxyPem | None
    in_memory: bool
    listing: Listing


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
        lock: InstanceLock,
        listeners: Listeners,
    ) -> None:
        self.name = name
        self._runtime = runtime
        self._master = master
        self._files = files
        self._crt_list = crt_list
        self._lock = lock
        self._listeners = listeners

    async def look(self, file: str, wanted: Wanted) -> Decision:
        """Compare disk and memory with what is wanted; nothing is changed."""
        async with self._lock.held():
            content = await _on_file(self._files.read, file)
            listing = await _on_file(self._files.listing, file)
            loaded = await self._runtime.loaded(self._files.path(file))
        return decide(Held(_on_disk(content), loaded, listing), wanted)

    async def prove(self, dns_names: tuple[str, ...], fingerprint_sha256: str) -> None:
        """See that a leaf is served which is held already."""
        await self._listeners.prove(dns_names, [fingerprint_sha256])

    async def deliver(self, file: str, pem: HaproxyPem, *, dns_names: tuple[str, ...]) -> None:
        """Bring a certificate to disk and memory and see it served; where that fails, all is as it was before.

        Only what is too long for the runtime API stays on disk even so, when there is no master to reload by: the
        next reload loads it.
        """
        async with self._lock.held():
            await self._end_stale_transactions()
            before = await self._before(file, pem)
            try:
                await _on_file(self._files.write, file, pem.content)
                await self._load(file, pem)
                await self._check_memory(file, pem)
                await self._listeners.prove(dns_names, pem.presented)
            except DeliveryError as error:
                if self._loadable(file, pem):
                    await self._put_back(file, pem, before, error)
                raise

    def _loadable(self, file: str, pem: HaproxyPem) -> bool:
        return self._master is not None or self._runtime.takes(self._files.path(file), pem)

    async def _end_stale_transactions(self) -> None:
        # Under the lock no pusher is at work: an open transaction is of one that was killed.
        for path in (await self._runtime.certificates()).transactions:
            if Path(path).parent != self._files.path("x").parent:
                detail = f"a transaction of {path} is open, which is none of ours: commit or abort it"
                raise DeliveryError(DeliveryReason.REFUSED, detail)
            log.warning("stale_transaction_aborted", instance=self.name, path=path)
            await self._runtime.abort(path)

    async def _before(self, file: str, pem: HaproxyPem) -> _Before:
        content = await _on_file(self._files.read, file)
        if content == pem.content:
            # A push that was cut short had written it: what was there before lies beside it.
            content = await _on_file(self._files.read_previous, file)
        previous = None
        if content is not None:
            with suppress(InspectionError):
                previous = read_pem(content)
        loaded = await self._runtime.loaded(self._files.path(file))
        return _Before(previous, loaded is not None, await _on_file(self._files.listing, file))

    async def _load(self, file: str, pem: HaproxyPem) -> None:
        path = self._files.path(file)
        if not self._runtime.takes(path, pem):
            await _on_file(self._files.enlist, file)
            if self._master is None:
                detail = (
                    f"{len(pem.content)} bytes are more than the runtime API takes:"
                    " they lie on disk, and the next reload of HAProxy loads them"
                )
                raise DeliveryError(DeliveryReason.REFUSED, detail)
            await self._master.reload()
            return
        loaded = await self._runtime.loaded(path)
        if loaded is None:
            await self._runtime.new(path)
        if loaded is None or not _is(loaded, pem):
            await self._runtime.set(path, pem)
            await self._runtime.commit(path)
        if loaded is None or not loaded.used:
            await self._runtime.enlist(self._crt_list, path)
        await _on_file(self._files.enlist, file)

    async def _check_memory(self, file: str, pem: HaproxyPem) -> None:
        loaded = await self._runtime.loaded(self._files.path(file))
        if loaded is None or not _is(loaded, pem):
            held = f"the certificate with serial {loaded.serial}" if loaded else "nothing"
            raise DeliveryError(DeliveryReason.NOT_SERVED, f"HAProxy reports success and holds {held}")

    async def _put_back(self, file: str, pem: HaproxyPem, before: _Before, error: DeliveryError) -> None:
        log.warning("delivery_put_back", instance=self.name, file=file, reason=error.reason, detail=error.detail)
        path = self._files.path(file)
        try:
            if before.pem is not None:
                await _on_file(self._files.restore, file, before.pem.content)
            if before.listing is Listing.UNLISTED:
                await _on_file(self._files.strike, file)
            if not before.in_memory:
                await self._runtime.forget(self._crt_list, path)
                if before.pem is None and before.listing is Listing.UNLISTED:
                    # Not where the list names it: HAProxy would not start without the file.
                    await _on_file(self._files.remove, file)
            elif before.pem is not None:
                await self._load_again(path, pem, before.pem)
        except DeliveryError as second:
            detail = f"{error.detail}; and what was there before could not be put back: {second}"
            raise DeliveryError(error.reason, detail) from error

    async def _load_again(self, path: Path, pem: HaproxyPem, previous: HaproxyPem) -> None:
        loaded = await self._runtime.loaded(path)
        if loaded is None or not _is(loaded, pem):
            return  # it never came into memory
        if self._runtime.takes(path, previous):
            await self._runtime.set(path, previous)
            await self._runtime.commit(path)
        elif self._master is not None:
            await self._master.reload()


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


def _is(loaded: Loaded, pem: HaproxyPem) -> bool:
    return (loaded.serial, loaded.sha1, loaded.chain_length) == (pem.leaf.serial, pem.sha1, len(pem.chain))


async def _on_file(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread; what the disk refuses is a failed delivery like any other."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        detail = f"{error.filename}: {error.strerror}" if error.strerror else type(error).__name__
        raise DeliveryError(DeliveryReason.REFUSED, detail) from error
