"""Certificates as files of a host."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from certcore.bundles import Bundle
from certcore.errors import InspectionError
from certcore.events import DeliveryReason
from certcore.inspection import check_pair, read_chain
from syncer.adapters.certificate_folder import CertificateFolder, ForeignFileError, StoredPair
from syncer.adapters.reload_command import run_reload
from syncer.domain.stored_pair import PairSeen, judge_pair
from syncer.domain.target import Failure, Finding, Wanted, WriteReason

__all__ = ["FileStore"]

log = structlog.get_logger()


class FileStore:
    """A Target. One delivery at a time: two reload commands at once would get into each other's way."""

    def __init__(
        self, *, name: str, directory: Path, reload: Sequence[str] | None, reload_timeout_s: float = 30.0
    ) -> None:
        self._name = name
        self._directory = directory
        self._reload = reload
        self._reload_timeout_s = reload_timeout_s
        self._busy = asyncio.Lock()

    async def refresh(self) -> None:
        """Nothing is remembered: the files are read at every look."""

    async def inspect(self, wanted: Wanted) -> Finding:
        async def look() -> Finding:
            return Finding.of([await asyncio.to_thread(self._look, wanted)])

        return await self._alone(wanted, look)

    async def deliver(self, wanted: Wanted, bundle: Bundle) -> Finding:
        async def bring() -> Finding:
            reason = await asyncio.to_thread(self._write, wanted, bundle)
            return Finding() if reason is None else await self._reloaded(wanted, reason)

        return await self._alone(wanted, bring)

    async def close(self) -> None:
        """Nothing is held open."""

    async def _alone(self, wanted: Wanted, work: Callable[[], Awaitable[Finding]]) -> Finding:
        async with self._busy:
            try:
                return await work()
            except ForeignFileError as error:
                return _failed(DeliveryReason.CONFLICT, self._named(wanted, str(error)))
            except OSError as error:
                return _failed(DeliveryReason.REFUSED, self._named(wanted, error.strerror or type(error).__name__))

    async def _reloaded(self, wanted: Wanted, reason: WriteReason) -> Finding:
        if self._reload is not None:
            problem = await run_reload(self._reload, timeout_s=self._reload_timeout_s)
            if problem is not None:
                await asyncio.to_thread(self._turn_back, wanted)
                return _failed(DeliveryReason.RELOAD_FAILED, self._named(wanted, problem))
        await asyncio.to_thread(self._finish, wanted)
        log.info(
            "files_written",
            store=self._name,
            certificate=wanted.name,
            revision=wanted.revision,
            reason=str(reason),
            reloaded=self._reload is not None,
        )
        return Finding.of([reason])

    def _look(self, wanted: Wanted) -> WriteReason | None:
        with CertificateFolder.opened(self._directory, wanted.name, create=False) as folder:
            return self._judged(folder, wanted) if folder else WriteReason.MISSING

    def _judged(self, folder: CertificateFolder, wanted: Wanted) -> WriteReason | None:
        name = folder.current_name()
        if name is None:
            return judge_pair(None, wanted)
        pair = folder.pair(name)
        reloaded = self._reload is None or folder.reloaded() == name
        seen = _seen(pair, reloaded=reloaded) if pair else None
        return judge_pair(seen, wanted) if seen else WriteReason.EDITED

    def _write(self, wanted: Wanted, bundle: Bundle) -> WriteReason | None:
        with CertificateFolder.opened(self._directory, wanted.name, create=True) as folder:
            assert folder is not None
            reason = self._judged(folder, wanted)
            if reason is not None and reason is not WriteReason.NOT_RELOADED:
                files = {
                    "tls.crt": bundle.chain_pem,
                    "tls.key": bundle.key_pem,
                    "tls.pem": _combined(bundle.chain_pem, bundle.key_pem),
                }
                folder.turn(folder.write(wanted.revision, files))
            return reason

    def _turn_back(self, wanted: Wanted) -> None:
        with CertificateFolder.opened(self._directory, wanted.name, create=False) as folder:
            name = folder.current_name() if folder else None
            if folder and name:
                previous = folder.previous(name)
                folder.turn(previous)
                log.warning("files_turned_back", store=self._name, certificate=wanted.name, to=previous)

    def _finish(self, wanted: Wanted) -> None:
        with CertificateFolder.opened(self._directory, wanted.name, create=False) as folder:
            name = folder.current_name() if folder else None
            if folder and name:
                if self._reload is not None:
                    folder.set_reloaded(name)
                folder.tidy(name)

    def _named(self, wanted: Wanted, what: str) -> str:
        return f"{self._name}/{wanted.name}: {what}"


def _seen(pair: StoredPair, *, reloaded: bool) -> PairSeen | None:
    try:
        chain = read_chain(pair.chain_pem)
    except InspectionError:
        return None
    try:
        check_pair(chain, pair.key_pem)
        fits = pair.combined_pem == _combined(pair.chain_pem, pair.key_pem)
    except InspectionError:
        fits = False
    leaf = chain[0]
    return PairSeen(
        revision=pair.revision,
        fingerprint_sha256=leaf.fingerprint_sha256,
        not_after=leaf.not_after,
        whole=fits and pair.private,
        reloaded=reloaded,
    )


def _combined(chain_pem: bytes, key_pem: bytes) -> bytes:
    return chain_pem + (b"" if chain_pem.endswith(b"\n") else b"\n") + key_pem


def _failed(reason: DeliveryReason, detail: str) -> Finding:
    return Finding(failures=(Failure(reason, detail),))
