"""What is still to be published is found in turns, by steps through an index: however much of it there is."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, event, insert, update

from certkit.database import make_engine
from registry.adapters import tables
from registry.adapters.store import Transaction
from registry.adapters.unsent import Room, find_unsent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{tmp_path_factory.mktemp('events') / 'registry.db'}")
    tables.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(tables.epoch).values(database_id="d", number=0, waiting=False, reason=""))
        _add(connection, "CERTS", "loud", 5_000)
        _add(connection, "CERTS", "quiet", 1)
        _add(connection, "DEPLOY_gone", "loud", 5_000)
        _add(connection, "CERTS", "done", 5_000, sent=True)
        _add(connection, "DEPLOY_fra1", "late", 3)
        connection.exec_driver_sql("ANALYZE")
    yield engine
    engine.dispose()


def _add(connection: Connection, stream: str, owner: str, count: int, *, sent: bool = False) -> None:
    rows = [
        {
            "id": f"{stream}-{owner}-{number}",
            "type": "certbus.certificate.live.v1",
            "source": "certbus/hub/registry",
            "stream": stream,
            "subject": f"certs.ev.live.{owner}-{number}",
            "about": f"{owner}-{number}",
            "time": NOON,
            "data": "{}",
            "traceparent": None,
            "sent_at": NOON if sent else None,
            "owner": owner,
            "repeats": 0,
        }
        for number in range(count)
    ]
    connection.execute(insert(tables.event), rows)


def test_a_read_has_something_of_every_owner_in_every_lane(engine: Engine) -> None:
    with engine.begin() as connection:
        found, unfinished = find_unsent({}, set(), 256, Transaction(connection))
    owners = {stream: {item.owner for item in events} for stream, events in found.items()}
    assert owners == {"CERTS": {"loud", "quiet"}, "DEPLOY_gone": {"loud"}, "DEPLOY_fra1": {"late"}}
    assert unfinished == {"CERTS", "DEPLOY_gone"}
    assert len(found["CERTS"]) == 128 + 1


def test_nothing_is_read_for_a_lane_that_is_parked_and_nothing_twice(engine: Engine) -> None:
    with engine.begin() as connection:
        transaction = Transaction(connection)
        first, _ = find_unsent({}, {"DEPLOY_gone"}, 256, transaction)
        assert "DEPLOY_gone" not in first
        known = frozenset((item.sequence, 0) for item in first["CERTS"] if item.owner == "loud")
        stored_but_unmarked = Room(held={}, known={"loud": known})
        second, unfinished = find_unsent({"CERTS": stored_but_unmarked}, {"DEPLOY_gone"}, 256, transaction)
    assert unfinished == {"CERTS", "DEPLOY_gone"}
    sequences = [item.sequence for item in second["CERTS"] if item.owner == "loud"]
    assert len(sequences) == 128
    assert min(sequences) > max(sequence for sequence, _ in known)


def test_a_restored_registry_that_waits_keeps_its_orders(engine: Engine) -> None:
    with engine.begin() as connection:
        _add(connection, "ANSWERS", "late", 1)
        connection.execute(update(tables.epoch).values(waiting=True))
        found, unfinished = find_unsent({}, set(), 256, Transaction(connection))
        connection.rollback()
    assert (set(found), unfinished) == ({"ANSWERS"}, set())


def test_what_is_marked_and_not_forgotten_yet_hides_nothing_that_is_left(engine: Engine) -> None:
    with engine.begin() as connection:
        transaction = Transaction(connection)
        keys = transaction.events.unsent("CERTS", "loud", limit=5_000)
        # All but forty are stored, and marked; thirty of those find room.
        marked = Room(held={"loud": 98}, known={"loud": frozenset(keys[:-40])})
        transaction.events.mark_sent(keys[:-40], NOON)
        found, unfinished = find_unsent({"CERTS": marked}, {"DEPLOY_gone"}, 256, transaction)
        connection.rollback()
    assert len([item for item in found["CERTS"] if item.owner == "loud"]) == 30
    assert "CERTS" in unfinished


def test_no_query_walks_through_the_events_that_wait(engine: Engine) -> None:
    statements: list[tuple[str, object]] = []

    def note(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        with engine.begin() as connection:
            find_unsent({}, set(), 256, Transaction(connection))
    finally:
        event.remove(engine, "before_cursor_execute", note)
    selects = [(text, values) for text, values in statements if "event" in text]
    (look, values), *selects = selects
    with engine.begin() as connection:
        [step] = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {look}", values)  # type: ignore[arg-type]
    assert ("LIMIT" in look, "USING INDEX ix_event_unsent" in step[3]) == (True, True), step[3]
    # The streams, their owners, what each has, and the rows.
    assert len(selects) == 1 + 3 + 4 + 1
    with engine.begin() as connection:
        for text, values in selects:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]  # type: ignore[arg-type]
            steps = [line for line in plan if " event" in line]
            assert steps
            assert all(line.startswith("SEARCH event USING") for line in steps), plan


def test_an_event_that_was_ordered_again_before_it_was_marked_stays_unsent(engine: Engine) -> None:
    with engine.begin() as connection:
        events = Transaction(connection).events
        [(sequence, _)] = events.unsent("CERTS", "quiet", limit=5)
        events.publish_again([sequence])
        events.mark_sent([(sequence, 0)], NOON)
        assert events.unsent("CERTS", "quiet", limit=5) == [(sequence, 1)]
        assert events.backlog()["CERTS"].unsent == 5_001
        events.mark_sent([(sequence, 1)], NOON)
        assert events.unsent("CERTS", "quiet", limit=5) == []
        connection.rollback()
