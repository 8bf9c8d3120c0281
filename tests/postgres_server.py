"""PostgreSQL of this machine for tests, in a folder of its own and on a port that nobody else has."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from certlocal.debian import debian_program
from certlocal.process import ChildProcess
from tests.ports import free_port

__all__ = ["PostgresServer", "database", "postgres"]


@dataclass(frozen=True)
class PostgresServer:
    port: int

    async def database(self, name: str) -> str:
        """Make an empty database; returns its URL."""
        async with await self._connected() as connection:
            await connection.set_autocommit(True)
            await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://certbus@127.0.0.1:{self.port}/{name}"

    async def answers(self) -> bool:
        """Whether it takes statements: it listens before that."""
        try:
            connection = await self._connected()
        except psycopg.OperationalError:
            return False
        await connection.close()
        return True

    async def _connected(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(
            host="127.0.0.1", port=self.port, user="certbus", dbname="postgres"
        )


@asynccontextmanager
async def postgres(*, durable: bool = False) -> AsyncIterator[PostgresServer]:
    """A `durable` one waits for the disk at each commit, as an operator's does."""
    # Found first, or installed: the user comes with it.
    initdb, program = _program("initdb"), _program("postgres")
    folder = Path(tempfile.mkdtemp(prefix="certbus-postgres-"))
    data, port = folder / "data", free_port()
    # It refuses to run as root.
    as_user: list[str] = []
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = [
            "setpriv",
            *(f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig=KILL"),
        ]
    made = [*as_user, initdb, "--pgdata", str(data), "--username=certbus", "--auth=trust", "--no-sync"]
    subprocess.run([*made, "--encoding=UTF8", "--locale=C"], check=True, capture_output=True, cwd=folder)  # noqa: ASYNC221 # once, and there is nothing else to do
    child = ChildProcess(
        name="postgres",
        argv=[
            *as_user,
            program,
            "-D",
            str(data),
            "-p",
            str(port),
            "-h",
            "127.0.0.1",
            "-k",
            str(folder),
            *(() if durable else ("-F",)),
        ],
        log_path=folder / "postgres.log",
        cwd=folder,
    )
    try:
        child.start()
        server = PostgresServer(port)
        await child.wait_ready(server.answers)
        yield server
    finally:
        await child.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str:
    return str(debian_program(name, package="postgresql", tell=print))


@asynccontextmanager
async def database(kind: str, folder: Path, *, durable: bool = False) -> AsyncIterator[str]:
    """The URL of an empty database of either kind; SQLite's is a file in the folder, and durable anyway."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'registry.db'}"
        return
    async with postgres(durable=durable) as server:
        yield await server.database("registry")
