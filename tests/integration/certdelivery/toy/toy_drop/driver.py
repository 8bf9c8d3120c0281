"""Delivers to targets of kind `drop`."""

import os
from collections.abc import Callable, Collection
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from certcore.bundles import Bundle
from certcore.events import DeliveryReason
from certcore.intent import Target
from certcore.names import is_label
from certcore.reading import ReadModel
from certcore.targets import Capabilities
from certdelivery.model import Failure, Finding, Held, Wanted, Withdrawal, WriteReason
from certdelivery.target import Destinations, DriverContext, TargetDriver, TargetPort
from toy_drop.kind import KIND

__all__ = ["DRIVER"]

_MARK = "# certbus"

_Part = WriteReason | Held | Failure | None
"""What becomes of the one copy that a box has, as `Finding.of` takes it."""


class DropSettings(BaseModel):
    """Of one box."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path


class _Fields(ReadModel):
    """The target as it is read: tolerantly, since a newer registry may say more."""

    box: str = "default"


class DropBox:
    """A TargetPort. The first line of each file says whose it is and for which order it was written, so that one
    rename replaces certificate, key and mark together.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def capabilities(self) -> Capabilities:
        return KIND.capabilities

    async def refresh(self) -> None:
        """Nothing is remembered."""

    async def inspect(self, wanted: Wanted) -> Finding:
        return self._told(wanted.name, lambda path: self._look(path, wanted))

    def plan(self, wanted: Wanted, found: Finding) -> tuple[str, ...]:
        return tuple(f"write {self._folder / wanted.name}.pem ({reason})" for reason in found.writes)

    async def deliver(self, wanted: Wanted, bundle: Bundle) -> Finding:
        def write(path: Path) -> _Part:
            part = self._look(path, wanted)
            if isinstance(part, WriteReason):
                facts = (wanted.certificate_id, wanted.generation, wanted.revision, wanted.fingerprint_sha256)
                mark = " ".join([_MARK, *map(str, facts)]).encode()
                _replace(path, mark + b"\n" + bundle.chain_pem + (bundle.key_pem or b""))
            return part

        return self._told(wanted.name, write)

    async def verify(self, wanted: Wanted) -> Finding:
        found = await self.inspect(wanted)
        if found.writes:
            return Finding.failed(DeliveryReason.NOT_SERVED, f"{wanted.name}.pem isn't what was written")
        return found

    async def roll_back(self, wanted: Wanted, reason: str) -> Held | None:  # noqa: ARG002 # the protocol's
        """The capabilities say that it can't."""
        return None

    async def withdraw(self, withdrawal: Withdrawal) -> Finding:
        def remove(path: Path) -> _Part:
            certificate_id, held = _read(path)
            if held is None or certificate_id != withdrawal.certificate_id:
                return None
            if (held.generation or 0) > withdrawal.generation:
                return held
            path.unlink()
            return WriteReason.WITHDRAWN

        return self._told(withdrawal.name, remove)

    async def close(self) -> None:
        """Nothing is held open."""

    def _look(self, path: Path, wanted: Wanted) -> _Part:
        certificate_id, held = _read(path)
        if held is None and path.exists():
            return Failure(DeliveryReason.CONFLICT, f"{path} is not certbus's")
        if held is None:
            return WriteReason.MISSING
        if certificate_id != wanted.certificate_id:
            return WriteReason.OLDER
        if (held.generation or 0) > wanted.generation:
            return held
        right = held == Held(wanted.revision, wanted.fingerprint_sha256, wanted.generation)
        return None if right else WriteReason.OLDER

    def _told(self, name: str, work: Callable[[Path], _Part]) -> Finding:
        # The engine checked the name; a driver checks again what becomes a path.
        if not is_label(name):
            return Finding.failed(DeliveryReason.UNREADABLE_ORDER, f"{name!r:.80} is no name of a certificate")
        try:
            return Finding.of([work(self._folder / f"{name}.pem")])
        except OSError as error:
            return Finding.failed(DeliveryReason.REFUSED, f"{name}.pem: {error.strerror}")


def _read(path: Path) -> tuple[str | None, Held | None]:
    """Of which certificate a file is, and what it holds; nothing where it isn't ours."""
    try:
        mark = path.read_text().splitlines()[0].split()
    except (FileNotFoundError, IndexError):
        return None, None
    match mark:
        case ["#", "certbus", certificate_id, generation, revision, fingerprint]:
            return certificate_id, Held(int(revision), fingerprint, int(generation))
    return None, None


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


class DropDriver:
    kind = KIND.kind
    settings = DropSettings
    at_once = 4

    def destinations(self, target: Target, configured: Collection[str]) -> Destinations:
        try:
            box = _Fields.model_validate(target.fields).box
        except ValidationError:
            return Destinations((), (Failure(DeliveryReason.UNREADABLE_ORDER, "its box can't be read"),))
        if box not in configured:
            return Destinations((), (Failure(DeliveryReason.UNKNOWN_PLACE, f"there is no box {box[:80]!r}"),))
        return Destinations((box,))

    def build(self, name: str, settings: DropSettings, context: DriverContext) -> TargetPort:  # noqa: ARG002 # the protocol's
        return DropBox(settings.folder)


DRIVER: TargetDriver[DropSettings] = DropDriver()
