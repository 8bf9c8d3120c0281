"""Copies of the database: made while the registry runs, looked at, and put back while it doesn't."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from certcore.audit_proof import AuditProof
from certcore.clock import Clock
from certcore.events import RegistryAnchored
from certkit.database import schema_versions
from certkit.database_copies import CopyError, DatabaseCopies, Staged, UnreadableError
from registry.adapters.copied_state import State, audit_of, begin_epoch, state_of
from registry.adapters.copy_folder import CopyFolder, described, read_manifest
from registry.domain.copy import (
    Manifest,
    Place,
    RestoreDecision,
    copy_name,
    decide_restore,
    mismatch,
    next_epoch,
    surplus,
)

__all__ = ["Backups", "Made", "Restored", "Verified"]


@dataclass(frozen=True)
class Made:
    """`removed` are older copies."""

    copy: Path
    manifest: Manifest
    removed: list[str]


@dataclass(frozen=True)
class Verified:
    """`audit` is None where the copy's schema isn't this program's: then only its file was looked at."""

    manifest: Manifest
    audit: AuditProof | None


@dataclass(frozen=True)
class Restored:
    """`kept` is what the database that was there is called now; None where there was none, or it is still there.
    `epoch` is the one that begins.
    """

    manifest: Manifest
    decision: RestoreDecision
    kept: str | None = None
    epoch: int | None = None


class Backups:
    """Of one database, whose schema the `migrations` folder brings up; `program` is the version of this one."""

    def __init__(self, copies: DatabaseCopies, *, migrations: Path, program: str, clock: Clock) -> None:
        self._copies = copies
        self._migrations = migrations
        self._schema_versions = schema_versions(migrations)
        self._program = program
        self._clock = clock

    def make(self, folder: CopyFolder, *, keep: int | None = None) -> Made:
        """Copy what is committed now; of the folder's copies the newest `keep` stay.

        Raises:
            CopyError: no copy was made.
            InUseError: another one is being made in this folder.
        """
        now = self._clock()
        with folder.draft() as draft:
            file, state = self._copies.copy(draft, partial(state_of, now=now))
            manifest = Manifest(
                program=self._program,
                made_at=now,
                kind=self._copies.kind,
                schema_version=state.schema_version,
                position=state.position,
                file=described(file),
            )
            copy = folder.keep(draft, copy_name(now), manifest)
            removed = surplus(folder.names(), keep) if keep is not None else []
            for name in removed:
                folder.remove(name)
        return Made(copy, manifest, removed)

    def verify(self, copy: Path) -> Verified:
        """Read all of a copy.

        Raises:
            CopyError: it is damaged, or not what its manifest says.
        """
        manifest = read_manifest(copy)
        if manifest.schema_version not in self._schema_versions:
            raise CopyError(f"{copy} has the schema {manifest.schema_version}, which this program doesn't know")
        with self._copies.opened(copy / manifest.file.name) as engine, engine.begin() as connection:
            self._compare(manifest, state_of(connection, self._clock()))
            newest = manifest.schema_version == max(self._schema_versions)
            return Verified(manifest, audit_of(connection, self._clock()) if newest else None)

    def restore(self, copy: Path, *, anchor: RegistryAnchored | None, older: bool, other: bool) -> Restored:
        """Put a copy in the database's place, if that may be. `anchor` is the one in the state folder.

        Where it may lack something, its next epoch begins: the registry that is started on it orders nothing before
        it knows what that is.

        Raises:
            InUseError: a registry runs on the database.
            CopyError: the copy is damaged, or can't be put there.
        """
        with self._copies.alone():
            manifest = read_manifest(copy)
            place = self._place(anchor)
            decision = decide_restore(manifest, place, older=older, other=other)
            if not decision.allowed:
                return Restored(manifest, decision)
            with self._copies.staged(copy / manifest.file.name) as staged:
                epoch = next_epoch(manifest, place) if decision.begins_epoch else None
                self._prepare(manifest, staged, epoch, decision.detail)
                return Restored(manifest, decision, staged.put(self._clock()), epoch)

    def _prepare(self, manifest: Manifest, staged: Staged, epoch: int | None, why: str) -> None:
        now = self._clock()
        with staged.engine.begin() as connection:
            self._compare(manifest, state_of(connection, now))
            if epoch is not None:
                reason = f"the copy of {manifest.made_at:%Y-%m-%dT%H:%M:%SZ} was put back: {why}"
                begin_epoch(connection, self._migrations, epoch, reason, now)

    @staticmethod
    def _compare(manifest: Manifest, found: State) -> None:
        wrong = mismatch(manifest, found.position)
        if found.schema_version != manifest.schema_version:
            wrong = f"its schema is {found.schema_version}, and its manifest says {manifest.schema_version}"
        if wrong is not None:
            raise CopyError(f"the copy is not what it says: {wrong}")

    def _place(self, anchor: RegistryAnchored | None) -> Place:
        state, unreadable = None, None
        try:
            state = self._copies.there(partial(state_of, now=self._clock()))
        except UnreadableError as error:
            unreadable = str(error)
        return Place(
            kind=self._copies.kind,
            schema_versions=self._schema_versions,
            position=state.position if state is not None else None,
            unreadable=unreadable,
            anchor=anchor,
        )
