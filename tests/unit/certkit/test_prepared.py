"""Statements that the driver runs itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError

from certkit.database import UtcDateTime
from certkit.prepared import Prepared

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
kept = Table(
    "kept",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("state", String(16)),
    Column("at", UtcDateTime),
    Column("done", Boolean),
    Column("told", JSON),
)
CHANGE = Prepared(update(kept).where(kept.c.id == bindparam("of_id")))
KEEP = Prepared(insert(kept))


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as one:
        kept.metadata.create_all(one)
        yield one
    engine.dispose()


def test_values_are_kept_as_sqlalchemy_would_keep_them(connection: Connection) -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    row = {"id": 1, "state": "new", "at": elsewhere, "done": True, "told": {"a": [1]}}
    KEEP.run(connection, row)
    connection.execute(insert(kept), {**row, "id": 2})
    first, second = connection.execute(select(kept).order_by(kept.c.id)).all()
    assert first[1:] == second[1:] == ("new", NOON, True, {"a": [1]})


def test_each_set_of_columns_writes_just_these(connection: Connection) -> None:
    KEEP.run(connection, {"id": 1, "state": "new", "done": False})
    assert CHANGE.run(connection, {"of_id": 1, "state": "begun"}) == 1
    assert CHANGE.run(connection, {"of_id": 1, "done": True, "at": None}) == 1
    assert CHANGE.run(connection, {"done": False, "of_id": 7}) == 0
    assert connection.execute(select(kept.c.state, kept.c.done)).one() == ("begun", True)


def test_a_value_of_the_statement_itself_stays_what_it_is(connection: Connection) -> None:
    end = Prepared(update(kept).where(kept.c.state == "open", kept.c.id == bindparam("of_id")).values(done=True))
    KEEP.run_all(connection, [{"id": 1, "state": "open"}, {"id": 2, "state": "closed"}])
    assert [end.run(connection, {"of_id": number}) for number in (1, 2)] == [1, 0]
    # What is written may be the column that is asked for.
    move = Prepared(update(kept).where(kept.c.state == "open"))
    assert move.run(connection, {"state": "closed"}) == 1


def test_a_parameter_that_is_missing_is_an_error(connection: Connection) -> None:
    KEEP.run(connection, {"id": 1, "state": "new"})
    with pytest.raises(KeyError):
        CHANGE.run(connection, {"state": "begun"})


def test_errors_are_those_of_sqlalchemy_without_the_values(connection: Connection) -> None:
    KEEP.run(connection, {"id": 1, "state": "a secret"})
    with pytest.raises(IntegrityError) as refused:
        KEEP.run(connection, {"id": 1, "state": "a secret"})
    assert "a secret" not in str(refused.value)
    kept.drop(connection)
    with pytest.raises(OperationalError):
        KEEP.run(connection, {"id": 2, "state": "new"})
