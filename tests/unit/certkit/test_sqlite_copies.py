"""A copy takes the place of a SQLite database as a whole or not at all, whenever its process is killed."""

import os
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from certkit.database import make_engine
from certkit.database_copies import CopyError, UnreadableError
from certkit.database_lock import InUseError, using
from certkit.sqlite_copies import SqliteCopies

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_STEPS = frozenset({"open", "os.link", "os.remove", "os.rename", "os.truncate", "sqlite3.connect"})
_KILLED = 9


def look(connection: Connection) -> str:
    found: str = connection.execute(text("SELECT word FROM said")).scalar_one()
    return found


def say(path: Path, word: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS said (word TEXT)")
        connection.execute("DELETE FROM said")
        connection.execute("INSERT INTO said VALUES (?)", (word,))


def said(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        found: str = connection.execute("SELECT word FROM said").fetchone()[0]
        return found


@pytest.fixture
def copies(tmp_path: Path) -> SqliteCopies:
    (tmp_path / "copy").mkdir()
    say(tmp_path / "registry.db", "old")
    return SqliteCopies(tmp_path / "registry.db")


@pytest.fixture
def copy(copies: SqliteCopies, tmp_path: Path) -> Path:
    file, seen = copies.copy(tmp_path / "copy", look)
    assert seen == "old"
    say(tmp_path / "registry.db", "new")
    return file


def put(copies: SqliteCopies, file: Path) -> str | None:
    with copies.alone(), copies.staged(file) as staged:
        return staged.put(NOON)


def killed_at(step: int, copies: SqliteCopies, file: Path) -> bool:
    """Whether a process that puts the copy back was killed at this one of its calls to the system."""
    child = os.fork()
    if child == 0:
        seen = 0

        def count(event: str, _: object) -> None:
            nonlocal seen
            if event in _STEPS:
                seen += 1
                if seen == step:
                    os._exit(_KILLED)

        sys.addaudithook(count)
        put(copies, file)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, _KILLED}
    return status == _KILLED


def test_a_copy_is_one_file_that_only_its_owner_reads(copies: SqliteCopies, copy: Path) -> None:
    assert [path.name for path in copy.parent.iterdir()] == ["database.sqlite"]
    assert copy.stat().st_mode & 0o777 == 0o600
    # Its header asks for no log: it can be read where nothing can be written.
    assert copy.read_bytes()[18:20] == b"\x01\x01"
    assert said(copy) == "old"
    assert copies.there(look) == "new"


def test_what_was_there_is_kept_beside_it(copies: SqliteCopies, copy: Path, tmp_path: Path) -> None:
    kept = put(copies, copy)

    assert said(tmp_path / "registry.db") == "old"
    assert kept == str(tmp_path / "registry.db.before-20260301T120000Z")
    assert said(Path(kept)) == "new"
    assert (tmp_path / "registry.db").stat().st_mode & 0o777 == 0o600


def test_killed_at_any_step_it_leaves_the_old_or_the_new_one(
    copies: SqliteCopies, copy: Path, tmp_path: Path
) -> None:
    path, step, found = tmp_path / "registry.db", 1, []
    while killed_at(step, copies, copy):
        found.append(said(path))
        for left in tmp_path.glob("registry.db.before-*"):
            left.unlink()
        say(path, "new")
        step += 1

    assert len(found) > 5
    assert set(found) <= {"old", "new"}
    assert found[0] == "new"
    assert said(path) == "old"
    # What the killed ones left was in nobody's way.
    assert not list(tmp_path.glob(".registry.db.restoring*"))


def test_nobody_puts_a_copy_beneath_a_process_that_uses_the_database(
    copies: SqliteCopies, copy: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    with using(url), using(url), pytest.raises(InUseError, match="a process uses it"):
        put(copies, copy)
    # Of a version that didn't lock it, too.
    engine = make_engine(url)
    with engine.connect() as idle:
        idle.execute(text("SELECT 1"))
        with pytest.raises(InUseError, match="has it open"):
            put(copies, copy)
    engine.dispose()
    with copies.alone(), pytest.raises(InUseError, match="being put in its place"), using(url):
        pass
    assert said(tmp_path / "registry.db") == "new"


def test_a_damaged_database_gives_way(copies: SqliteCopies, copy: Path, tmp_path: Path) -> None:
    (tmp_path / "registry.db").write_bytes(b"no database " * 1000)
    with pytest.raises(UnreadableError):
        copies.there(look)

    kept = put(copies, copy)

    assert said(tmp_path / "registry.db") == "old"
    assert kept is not None
    assert Path(kept).read_bytes().startswith(b"no database")


def test_the_log_of_a_lost_database_is_not_read_into_the_copy(
    copies: SqliteCopies, copy: Path, tmp_path: Path
) -> None:
    (tmp_path / "registry.db").unlink()
    (tmp_path / "registry.db-wal").write_bytes(b"a log")

    assert copies.there(look) is None
    assert put(copies, copy) is None

    assert said(tmp_path / "registry.db") == "old"
    assert (tmp_path / "registry.db.before-20260301T120000Z-wal").read_bytes() == b"a log"


def test_it_comes_back_where_nothing_is_left(copy: Path, tmp_path: Path) -> None:
    elsewhere = SqliteCopies(tmp_path / "new-host" / "registry.db")

    assert elsewhere.there(look) is None
    assert put(elsewhere, copy) is None
    assert elsewhere.there(look) == "old"


def test_a_copy_with_a_broken_page_is_not_put(copies: SqliteCopies, copy: Path, tmp_path: Path) -> None:
    content = bytearray(copy.read_bytes())
    content[4096:4200] = b"\xff" * 104
    copy.write_bytes(content)

    with pytest.raises(CopyError, match="is damaged"):
        put(copies, copy)
    assert said(tmp_path / "registry.db") == "new"


def test_without_a_database_there_is_no_copy(tmp_path: Path) -> None:
    with pytest.raises(CopyError, match="there is no database"):
        SqliteCopies(tmp_path / "none.db").copy(tmp_path, look)
    assert list(tmp_path.iterdir()) == []
