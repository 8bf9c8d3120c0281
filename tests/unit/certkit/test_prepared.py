"""Statements that SQLite's driver gets as they are: they find and change what SQLAlchemy's own way does."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from certkit.database import StoredJson, UtcDateTime
from certkit.prepared import Prepared

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
THING: Final = Table(
    "thing",
    MetaData(),
    Column("name", String(20), primary_key=True),
    Column("since", UtcDateTime),
    Column("parts", StoredJson, nullable=False),
    Column("count", Integer, nullable=False),
)
ADD: Final = Prepared(insert(THING))
NAMED: Final = select(THING).where(THING.c.name == bindparam("wanted"))
FIRST: Final[dict[str, object]] = {
    "name": "first",
    "since": NOON + timedelta(microseconds=5),
    "parts": ["a", {"b": 1}],
    "count": 3,
}
SECOND: Final[dict[str, object]] = {"name": "second", "since": None, "parts": [], "count": 0}


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as made:
        THING.metadata.create_all(made)
        for values in (FIRST, SECOND):
            assert ADD.change(made, values) == 1
        yield made
    engine.dispose()


@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_rows_are_those_that_sqlalchemy_finds(connection: Connection, name: str) -> None:
    found = Prepared(NAMED).rows(connection, {"wanted": name})
    assert [tuple(item) for item in found] == [tuple(item) for item in connection.execute(NAMED, {"wanted": name})]
    assert [item._asdict() for item in found] == [item for item in (FIRST, SECOND) if item["name"] == name]


def test_what_is_stored_is_what_sqlalchemy_stores(connection: Connection) -> None:
    elsewhere = (NOON + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=2)))
    for name, add in (("ours", ADD.change), ("own", lambda made, row: made.execute(insert(THING), row))):
        add(connection, {"name": name, "since": elsewhere, "parts": {"ü": None}, "count": 1})
    raw = connection.exec_driver_sql("SELECT since, parts FROM thing WHERE name IN ('ours', 'own')").all()
    assert raw[0] == raw[1]
    assert raw[0][0] == "2026-03-01 12:00:01.000000"


def test_values_of_the_statement_itself_are_kept(connection: Connection) -> None:
    change = update(THING).where(THING.c.name == bindparam("known"), THING.c.count == 3).values(count=4)
    changes = Prepared(change)
    assert changes.change(connection, {"known": "first", "since": None}) == 1
    assert changes.change(connection, {"known": "first"}) == 0
    (found,) = Prepared(NAMED).rows(connection, {"wanted": "first"})
    assert (found.count, found.since) == (4, None)


def test_a_list_of_values_is_found_too(connection: Connection) -> None:
    among = Prepared(select(THING.c.name).where(THING.c.name.in_(bindparam("names", expanding=True))))
    assert {item.name for item in among.rows(connection, {"names": ["first", "second", "third"]})} == {
        "first",
        "second",
    }


def test_an_error_is_sqlalchemys_and_tells_no_value(connection: Connection) -> None:
    with pytest.raises(IntegrityError) as raised:
        ADD.change(connection, FIRST | {"count": 77001})
    assert "77001" not in str(raised.value)


def test_whoever_listens_to_statements_hears_these(connection: Connection) -> None:
    heard: list[str] = []

    def hear(_made: object, _cursor: object, statement: str, *_: object) -> None:
        heard.append(statement)

    event.listen(connection, "before_cursor_execute", hear)
    Prepared(NAMED).rows(connection, {"wanted": "first"})
    assert len(heard) == 1


def test_each_set_of_columns_writes_just_these(connection: Connection) -> None:
    one = Prepared(update(THING).where(THING.c.name == bindparam("wanted")))
    assert one.change(connection, {"wanted": "first", "count": 9}) == 1
    assert one.change(connection, {"since": None, "wanted": "first"}) == 1
    assert one.change(connection, {"wanted": "third", "count": 1}) == 0
    one.change_all(connection, [{"wanted": name, "parts": ["c"]} for name in ("first", "second")])
    changed = connection.execute(select(THING.c.since, THING.c.parts, THING.c.count)).all()
    assert [tuple(row) for row in changed] == [(None, ["c"], 9), (None, ["c"], 0)]


def test_what_is_written_may_be_what_is_asked_for(connection: Connection) -> None:
    empty = Prepared(update(THING).where(THING.c.count == 0))
    assert [empty.change(connection, {"count": 5}) for _ in range(2)] == [1, 0]


def test_a_parameter_that_is_missing_is_an_error(connection: Connection) -> None:
    with pytest.raises(KeyError, match="wanted"):
        Prepared(update(THING).where(THING.c.name == bindparam("wanted"))).change(connection, {"count": 5})


def test_a_default_that_python_makes_is_made(connection: Connection) -> None:
    made = Table("made", MetaData(), Column("id", Integer, primary_key=True), Column("at", UtcDateTime, default=NOON))
    made.create(connection)
    assert Prepared(insert(made)).change(connection, {"id": 1}) == 1
    assert connection.execute(select(made.c.at)).scalar_one() == NOON
