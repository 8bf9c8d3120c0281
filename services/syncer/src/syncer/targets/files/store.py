"""Certificates as files of a host."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from certcore.bundles import Bundle
from certcore.errors import InspectionError
from certcore.events import DeliveryReason
from certcore.inspection import check_pair, read_chain
from certcore.names import is_label
from certcore.targets import FILES, Capabilities
from certdelivery.model import Finding, Held, Wanted, Withdrawal, WriteReason
from syncer.domain.stored_pair import PairSeen, judge_pair
from syncer.targets.files.folder import CertificateFolder, ForeignFileError, StoredPair, StoredPlacement
from syncer.targets.files.reload_command import run_reload

__all__ = ["FileStore"]

log = structlog.get_logger()


class FileStore:
    """A TargetPort. Its driver allows one delivery at a time, so that reload commands don't overlap.

    The reload command is not run after a withdrawal: a program whose configuration still names the files would fail.
    """

    def __init__(
        self, *, name: str, directory: Path, reload: Sequence[str] | None, reload_timeout_s: float = 30.0
    ) -> None:
        self._name = name
        self._directory = directory
        self._reload = reload
        self._reload_timeout_s = reload_timeout_s

    @property
    def capabilities(self) -> Capabilities:
        return FILES.capabilities

    async def refresh(self) -> None:
        """Nothing is cached: every inspection reads the files."""

    async def inspect(self, wanted: Wanted) -> Finding:
        async def look() -> Finding:
            return Finding.of([await asyncio.to_thread(self._look, wanted)])

        return await self._guarded(wanted.name, look)

    def plan(self, wanted: Wanted, found: Finding) -> tuple[str, ...]:
        steps = [f"write {self._directory / wanted.name} ({reason})" for reason in found.writes]
        return (*steps, f"run {self._reload[0]}") if steps and self._reload else tuple(steps)

    async def deliver(self, wanted: Wanted, bundle: Bundle) -> Finding:
        async def bring() -> Finding:
            done = await asyncio.to_thread(self._write, wanted, bundle)
            return await self._reloaded(wanted, done) if isinstance(done, WriteReason) else Finding.of([done])

        return await self._guarded(wanted.name, bring)

    async def verify(self, wanted: Wanted) -> Finding:  # noqa: ARG002 # the protocol's
        """Which program reads the files isn't known here; `inspect` checks that the reload command succeeded."""
        return Finding()

    async def roll_back(self, wanted: Wanted, reason: str) -> Held | None:  # noqa: ARG002 # the protocol's
        with suppress(ForeignFileError, OSError):
            return await asyncio.to_thread(self._turn_back, wanted)
        return None

    async def withdraw(self, withdrawal: Withdrawal) -> Finding:
        async def remove() -> Finding:
            return Finding.of([await asyncio.to_thread(self._remove, withdrawal)])

        return await self._guarded(withdrawal.name, remove)

    async def close(self) -> None:
        """Nothing is held open."""

    async def _guarded(self, name: str, work: Callable[[], Awaitable[Finding]]) -> Finding:
        if not is_label(name):
            # It would become a path.
            return Finding.failed(DeliveryReason.UNREADABLE_ORDER, f"{name!r:.80} is no name of a certificate")
        try:
            return await work()
        except ForeignFileError as error:
            return Finding.failed(DeliveryReason.CONFLICT, self._named(name, str(error)))
        except OSError as error:
            return Finding.failed(DeliveryReason.REFUSED, self._named(name, error.strerror or type(error).__name__))

    async def _reloaded(self, wanted: Wanted, reason: WriteReason) -> Finding:
        if self._reload is not None:
            problem = await run_reload(self._reload, timeout_s=self._reload_timeout_s)
            if problem is not None:
                await asyncio.to_thread(self._turn_back, wanted)
                return Finding.failed(DeliveryReason.RELOAD_FAILED, self._named(wanted.name, problem))
        await asyncio.to_thread(self._finish, wanted)
        log.info(
            "files_written",
            store=self._name,
            certificate=wanted.name,
            generation=wanted.generation,
            revision=wanted.revision,
            reason=str(reason),
            reloaded=self._reload is not None,
        )
        return Finding.of([reason])

    def _look(self, wanted: Wanted) -> WriteReason | Held | None:
        with CertificateFolder.opened(self._directory, wanted.name, create=False) as folder:
            return self._judged(folder, wanted) if folder else WriteReason.MISSING

    def _judged(self, folder: CertificateFolder, wanted: Wanted) -> WriteReason | Held | None:
        name = folder.current_name()
        if name is None:
            return judge_pair(None, wanted)
        stored = folder.placement(name)
        if stored is not None and stored.certificate_id != wanted.certificate_id:
            # Names are unique: the other one is retired, and its generations don't apply to this one.
            return WriteReason.OLDER
        pair = folder.pair(name)
        reloaded = self._reload is None or folder.reloaded() == name
        seen = _seen(pair, stored, reloaded=reloaded) if pair else None
        return judge_pair(seen, wanted) if seen else WriteReason.EDITED

    def _write(self, wanted: Wanted, bundle: Bundle) -> WriteReason | Held | None:
        # The engine delivers no bundle without a key to a target that makes none.
        assert bundle.key_pem is not None
        with CertificateFolder.opened(self._directory, wanted.name, create=True) as folder:
            assert folder is not None
            reason = self._judged(folder, wanted)
            stored = StoredPlacement(wanted.certificate_id, wanted.generation)
            current = folder.current_name()
            if reason is WriteReason.OLDER and current and self._is_right(folder.pair(current), wanted):
                # The same revision for a later order: the files are as they should be.
                folder.set_placement(current, stored)
                reason = self._judged(folder, wanted)
            if isinstance(reason, WriteReason) and reason is not WriteReason.NOT_ACTIVE:
                files = {
                    "tls.crt": bundle.chain_pem,
                    "tls.key": bundle.key_pem,
                    "tls.pem": _combined(bundle.chain_pem, bundle.key_pem),
                }
                name = folder.write(wanted.revision, files)
                folder.set_placement(name, stored)
                folder.turn(name)
            return reason

    def _is_right(self, pair: StoredPair | None, wanted: Wanted) -> bool:
        seen = _seen(pair, None, reloaded=True) if pair else None
        return seen is not None and seen.whole and seen.fingerprint_sha256 == wanted.fingerprint_sha256

    def _turn_back(self, wanted: Wanted) -> Held | None:
        with CertificateFolder.opened(self._directory, wanted.name, create=False) as folder:
            name = folder.current_name() if folder else None
            if not folder or not name:
                return None
            previous = folder.previous(name)
            folder.turn(previous)
            log.warning("files_turned_back", store=self._name, certificate=wanted.name, to=previous)
            pair = folder.pair(previous) if previous else None
            seen = _seen(pair, folder.placement(pair.folder), reloaded=True) if pair else None
            return seen.held if seen else None

    def _finish(self, wanted: Wanted) -> None:
        with CertificateFolder.opened(self._directory, wanted.name, create=False) as folder:
            name = folder.current_name() if folder else None
            if folder and name:
                if self._reload is not None:
                    folder.set_reloaded(name)
                folder.tidy(name)

    def _remove(self, withdrawal: Withdrawal) -> WriteReason | Held | None:
        with CertificateFolder.opened(self._directory, withdrawal.name, create=False) as folder:
            if folder is None:
                return None
            name = folder.current_name()
            stored = folder.placement(name) if name else None
            if stored is not None and stored.certificate_id != withdrawal.certificate_id:
                return None
            pair = folder.pair(name) if name else None
            seen = _seen(pair, stored, reloaded=True) if pair else None
            if seen is not None and (seen.held.order or 0) > withdrawal.generation:
                return seen.held
            folder.clear()
        with suppress(OSError):
            # A folder with files of others in it is not removed.
            (self._directory / withdrawal.name).rmdir()
        log.info("files_removed", store=self._name, certificate=withdrawal.name, generation=withdrawal.generation)
        return WriteReason.WITHDRAWN

    def _named(self, name: str, what: str) -> str:
        return f"{self._name}/{name}: {what}"


def _seen(pair: StoredPair, stored: StoredPlacement | None, *, reloaded: bool) -> PairSeen | None:
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
        generation=stored.generation if stored else None,
        fingerprint_sha256=leaf.fingerprint_sha256,
        not_after=leaf.not_after,
        whole=fits and pair.private,
        reloaded=reloaded,
    )


def _combined(chain_pem: bytes, key_pem: bytes) -> bytes:
    return chain_pem + (b"" if chain_pem.endswith(b"\n") else b"\n") + key_pem
