"""`pg_dump` and `pg_restore`, by the programs of PostgreSQL that are installed here."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from certkit.database_copies import CopyError

__all__ = ["PostgresqlPrograms", "conninfo", "fitting"]

_DEBIAN: Final = Path("/usr/lib/postgresql")
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")
_LONGEST: Final = 400


def fitting(found: Mapping[str, int], server: int) -> str | None:
    """The path of the program that speaks with a server of this version: of its own, else of the next newer one."""
    able = [(version, path) for path, version in found.items() if version >= server]
    return min(able)[1] if able else None


def conninfo(fields: Mapping[str, object]) -> str:
    """A connection string of libpq."""
    return " ".join(f"{name}={_quoted(str(value))}" for name, value in fields.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class PostgresqlPrograms:
    """`version` is the server's."""

    def __init__(self, version: int) -> None:
        self._version = version

    def run(self, name: str, engine: Engine, arguments: Sequence[str]) -> None:
        """Run one on the database of an engine. Its password goes by a file that nobody else can read.

        Raises:
            CopyError: it is missing, too old, or failed.
        """
        program = self._program(name)
        # Of what the driver is given, the rest is its own.
        given = engine.dialect.create_connect_args(engine.url)[1]
        fields = {name: value for name, value in given.items() if isinstance(value, str | int)}
        password = fields.pop("password", None)
        with tempfile.TemporaryDirectory(prefix="certbus-") as folder:
            if password is not None:
                file = Path(folder, "password")
                escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
                file.touch(mode=0o600)
                file.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
                fields["passfile"] = str(file)
            done = subprocess.run(
                [program, "--no-password", f"--dbname={conninfo(fields)}", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        if done.returncode != 0:
            raise CopyError(f"{name} failed: {' '.join(done.stderr.split())[:_LONGEST]}")

    def _program(self, name: str) -> str:
        found = _installed(name)
        program = fitting(found, self._version)
        if program is None:
            versions = ", ".join(map(str, sorted(found.values()))) or "none"
            raise CopyError(
                f"{name} of PostgreSQL {self._version} or newer is needed, and there is {versions} here: install the"
                f" server's client programs (Debian: postgresql-client-{self._version})"
            )
        return program


def _installed(name: str) -> dict[str, int]:
    on_path = shutil.which(name)
    candidates = [*map(str, _DEBIAN.glob(f"*/bin/{name}")), *([on_path] if on_path else [])]
    return {path: version for path in candidates if (version := _version_of(path)) is not None}


def _version_of(program: str) -> int | None:
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return None
    found = _VERSION.search(told)
    return int(found[1]) if found else None
