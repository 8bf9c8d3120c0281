from datetime import UTC, datetime, timedelta

import pytest

from registry.domain.attempts import Attempts, Noted, delay_after, place_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_wait_begins_after_a_few_mistakes_and_grows_to_its_bound() -> None:
    waits = [delay_after(failures, longest_s=5.0) for failures in range(1, 12)]
    assert waits == [0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert delay_after(10**9, longest_s=5.0) == 5.0
    assert delay_after(10**9, longest_s=0.0) == 0.0


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        (None, "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_a_place_is_an_address_or_a_host_s_network(address: str | None, place: str) -> None:
    assert place_of(address) == place


def test_failures_of_one_place_are_counted_apart_and_forgotten_when_it_is_quiet() -> None:
    attempts = Attempts()
    assert [attempts.failed("a", "unknown", NOON) for _ in range(3)] == [1, 2, 3]
    assert attempts.failed("b", "unknown", NOON) == 1
    assert attempts.failed("a", "unknown", NOON + timedelta(minutes=15)) == 4
    assert attempts.failed("a", "unknown", NOON + timedelta(minutes=31)) == 1


def test_what_failed_is_told_once_one_row_a_place() -> None:
    attempts = Attempts()
    for reason in ("unknown", "expired", "unknown"):
        attempts.failed("a", reason, NOON)
    attempts.failed("b", "code", NOON)
    told = attempts.take(NOON)
    assert told == [Noted("a", {"unknown": 2, "expired": 1}), Noted("b", {"code": 1})]
    assert told[0].detail == "3 failed: 1 expired, 2 unknown"
    assert attempts.take(NOON) == []
    # It is still known how often it failed.
    assert attempts.failed("a", "unknown", NOON) == 4


def test_a_flood_from_everywhere_fills_neither_memory_nor_audit() -> None:
    attempts = Attempts()
    for number in range(5000):
        attempts.failed(f"place-{number}", "unknown", NOON)
    attempts.failed("place-4999", "unknown", NOON)
    told = attempts.take(NOON)
    assert len(told) == 17
    assert (told[0].place, told[0].count) == ("place-4999", 2)
    assert (told[-1].place, told[-1].places) == ("others", 4984)
    assert sum(noted.count for noted in told) == 5001
    # Whoever failed long ago is forgotten.
    assert attempts.failed("place-0", "unknown", NOON) == 1
