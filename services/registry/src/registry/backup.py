"""`python -m registry backup` and `restore`: copies of the database, beside the service and by its settings."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from certcore.audit_proof import read_anchors
from certcore.clock import system_clock
from certcore.errors import CertbusError
from certcore.events import RegistryAnchored
from certkit.database_copies import DatabaseCopies
from certkit.database_lock import database_file
from certkit.postgresql_copies import PostgresqlCopies
from certkit.settings import load_settings
from certkit.sqlite_copies import SqliteCopies
from registry.adapters.copy_folder import CopyFolder
from registry.backup_settings import BackupSettings
from registry.domain.anchor import ANCHOR_FILE
from registry.handlers.backups import Backups, Restored, Verified

__all__ = ["backup", "restore"]

_CODES: Final = "exit codes: 0 done, 1 not done or not whole, 2 wrong usage or a wrong setting"
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def backup(arguments: Sequence[str]) -> int:
    """The exit code."""
    if list(arguments[:1]) == ["verify"]:
        return _verify(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="certbus backup",
        description="Copy the registry's database while it runs. The copy is a folder that holds no key that anybody"
        " but its recipient can open. `certbus backup verify COPY` reads all of one.",
        epilog=_CODES,
    )
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="the folder of all copies")
    parser.add_argument("--keep", type=_positive, metavar="N", help="remove all but the newest N copies there")
    asked = parser.parse_args(arguments)
    return _told(lambda: _make(asked.to, asked.keep))


def restore(arguments: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="certbus restore from",
        description="Put a copy in the place of the registry's database, which nobody may use meanwhile. What was"
        " there is kept beside it.",
        epilog=_CODES,
    )
    parser.add_argument("copy", type=Path, metavar="COPY", help="a copy that `certbus backup` made")
    parser.add_argument("--older", action="store_true", help="also where the database there is newer")
    parser.add_argument("--other-database", action="store_true", help="also where another database was there")
    asked = parser.parse_args(arguments)
    return _told(lambda: _restore(asked.copy, older=asked.older, other=asked.other_database))


def _verify(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="certbus backup verify",
        description="Read all of a copy: its file, its pages, and whether its audit is whole. One of PostgreSQL is"
        " brought into a database of its own on the server of the settings, and removed again.",
        epilog=_CODES,
    )
    parser.add_argument("copy", type=Path, metavar="COPY", help="a copy that `certbus backup` made")
    asked = parser.parse_args(arguments)
    return _told(lambda: _verified(_backups(load_settings(BackupSettings)).verify(asked.copy)))


def _make(folder: Path, keep: int | None) -> int:
    made = _backups(load_settings(BackupSettings)).make(CopyFolder(folder), keep=keep)
    _say(f"{made.copy}: {made.manifest.position.told()}; {made.manifest.file.size:,} bytes")
    for name in made.removed:
        _say(f"removed {name}")
    return 0


def _verified(verified: Verified) -> int:
    manifest = verified.manifest
    _say(f"made at {manifest.made_at:%Y-%m-%dT%H:%M:%SZ} by certbus {manifest.program}: {manifest.position.told()}")
    if verified.audit is None:
        _say(f"its file is whole; its schema {manifest.schema_version} is older: nothing else was looked at")
        return 0
    for finding in verified.audit.findings:
        _say(f"audit: {finding.reason}: {finding.detail}")
    if not verified.audit.holds():
        return 1
    _say(f"whole: its file, its database, and the chain of all {verified.audit.entries} entries of its audit")
    return 0


def _restore(copy: Path, *, older: bool, other: bool) -> int:
    settings = load_settings(BackupSettings)
    anchor = _anchor(settings.state_folder / ANCHOR_FILE)
    restored = _backups(settings).restore(copy, anchor=anchor, older=older, other=other)
    if not restored.decision.allowed:
        way = f": give {restored.decision.way} if that is what you want" if restored.decision.way else ""
        print(f"not restored: {restored.decision.detail}{way}", file=sys.stderr)  # noqa: T201 # why it isn't
        return 1
    for line in _next_steps(restored):
        _say(line)
    return 0


def _next_steps(restored: Restored) -> list[str]:
    lines = [f"restored {restored.manifest.position.told()}", restored.decision.detail]
    if restored.kept is not None:
        lines.append(f"the database that was there is now {restored.kept}: remove it when all is well")
    if restored.epoch is None:
        return [*lines, "start the registry: it goes on as before, unless the bus has a newer anchor"]
    return [
        *lines,
        f"epoch {restored.epoch} begins: start the registry. It reads what the bus still knows",
        "and orders nothing before the issuer has reported what it has (a minute at most)",
        "watch it: certbus restore show; certbus alert list; certbus cert list, until all are ok",
    ]


def _anchor(file: Path) -> RegistryAnchored | None:
    try:
        return read_anchors([file.read_bytes()])[-1]
    except FileNotFoundError:
        return None
    except ValueError:
        # As the registry does at its start: the other places count.
        _say(f"{file} can't be read, and isn't compared")
        return None


def _backups(settings: BackupSettings) -> Backups:
    path = database_file(settings.database_url)
    copies: DatabaseCopies = PostgresqlCopies(settings.database_url) if path is None else SqliteCopies(path)
    return Backups(
        copies,
        migrations=_MIGRATIONS,
        program=version("certbus-registry"),
        clock=system_clock,
    )


def _told(work: Callable[[], int]) -> int:
    try:
        return work()
    except CertbusError as error:
        print(error, file=sys.stderr)  # noqa: T201 # why it isn't done
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)  # noqa: T201 # as above
        return 1


def _say(line: str) -> None:
    print(line)  # noqa: T201 # the answer


def _positive(given: str) -> int:
    number = int(given)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
