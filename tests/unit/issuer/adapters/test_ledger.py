"""The ledger on a database in memory."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.pool import StaticPool

from certcore.ca_limits.asked import AskedCa, BucketKey, NewAccount, NewOrder
from certcore.ca_limits.limit import BudgetSettings, LimitKind
from certcore.ca_limits.play import forecast
from issuer.adapters.ledger import Ledger
from issuer.adapters.ledger_tables import bucket, ticket
from issuer.domain.budget_decision import Granted, NotBefore
from issuer.domain.budget_refusal import Lesson, read_refusal
from tests.unit.issuer.domain.budgets import DIRECTORY, LE, ask, ca, refusal, seconds
from tests.unit.issuer.samples import NOON

ResultT = TypeVar("ResultT")
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_LIMITS: Final = {"count": 2, "period": 7200}


class Book:
    """A ledger and its database: each call is a transaction. `sent` are the statements of the last one."""

    def __init__(self, *cas: AskedCa) -> None:
        self.engine: Engine = create_engine("sqlite://", poolclass=StaticPool)
        bucket.metadata.create_all(self.engine)
        self.ledger = Ledger(cas)
        self.sent: list[str] = []
        event.listen(self.engine, "before_cursor_execute", lambda *of: self.sent.append(of[2]))

    def __call__(self, work: Callable[..., ResultT], *arguments: Any) -> ResultT:
        self.sent.clear()
        with self.engine.begin() as connection:
            return work(connection, *arguments)

    def spend(self, asked: Any, now: datetime = NOON) -> Granted | NotBefore:
        return self(self.ledger.spend, asked, now)

    def refuses(
        self, asked: Any, text: str, retry_after: timedelta | None = None, now: datetime = NOON
    ) -> Mapping[BucketKey, datetime]:
        return self(self.ledger.taught, asked, read_refusal(refusal(text, retry_after), now=now), now, now)

    def rows(self) -> tuple[int, int]:
        def counted(connection: Connection) -> tuple[int, int]:
            tables = (select(func.count()).select_from(table) for table in (bucket, ticket))
            first, second = (connection.execute(query).scalar_one() for query in tables)
            return first, second

        return self(counted)


@pytest.fixture
def book() -> Iterator[Book]:
    one = Book(ca(1.0, new_orders=_LIMITS, certificates_per_set=_LIMITS, failures=_LIMITS))
    yield one
    one.engine.dispose()


@pytest.fixture
def documented() -> Iterator[Book]:
    one = Book(LE)
    yield one
    one.engine.dispose()


def waits(answer: Granted | NotBefore) -> timedelta:
    return answer.at - NOON if isinstance(answer, NotBefore) else timedelta()


def test_an_attempt_that_is_repeated_is_granted_again_for_nothing(book: Book) -> None:
    for _ in range(5):
        assert book.spend(ask("job")) == Granted()
    assert len(book.sent) == 1
    assert book.spend(ask("other", "b.example.org")) == Granted()
    assert waits(book.spend(ask("third", "c.example.org"))) == _HOUR


def test_a_spend_takes_at_most_three_statements(documented: Book) -> None:
    many = tuple(f"a{number}.d{number}.org" for number in range(100))
    documented.spend(ask("many", *many))
    assert len(documented.sent) == 3
    documented.spend(ask("many", *many, attempt="2"))
    assert len(documented.sent) == 3
    book = Book(ca(1.0, new_orders=_LIMITS))
    for number in range(3):
        book.spend(ask(f"job-{number}"))
    assert len(book.sent) == 2


@pytest.mark.hypothesis
@given(
    st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 4), st.sampled_from(["again", "next", "refused", "lost"])),
        max_size=20,
    )
)
def test_repeating_any_granted_ask_changes_nothing(moves: list[tuple[int, int, str]]) -> None:
    book, now, attempts = (
        Book(ca(0.9, new_orders=_LIMITS, certificates_per_domain={"count": 3, "period": 9000})),
        NOON,
        0,
    )
    for gap, number, what in moves:
        now += seconds(gap)
        attempts += what == "next"
        asked = ask(f"job-{number}", f"a.d{number % 2}.org", attempt=str(attempts))
        answer = book.spend(asked, now)
        if what == "refused":
            book(book.ledger.taught, asked, Lesson(LimitKind.NEW_ORDERS, (), now + seconds(gap + 1)), now, now)
        if isinstance(answer, Granted):
            before = book(book.ledger.state, ["le"], now)
            assert book.spend(asked, now) == Granted()
            assert book(book.ledger.state, ["le"], now) == before
    book.engine.dispose()


def test_whoever_waits_has_a_place_in_line_and_keeps_it(book: Book) -> None:
    asked = [ask(f"job-{number}", f"a.d{number}.org") for number in range(6)]
    assert [waits(book.spend(one)) for one in asked] == [timedelta(), timedelta(), *(_HOUR * n for n in (1, 2, 3, 4))]
    # Coming too early it is told the same, and loses nothing.
    assert waits(book.spend(asked[4], NOON + _HOUR / 2)) == 3 * _HOUR
    # Whoever comes anew stands behind all of them, also where one is to be had right now.
    assert waits(book.spend(ask("new", "a.new.org"), NOON + _HOUR)) == 5 * _HOUR
    assert book.spend(asked[2], NOON + _HOUR) == Granted()
    assert [waits(book.spend(one, NOON + 2 * _HOUR)) for one in asked[3:5]] == [timedelta(), 3 * _HOUR]


def test_many_that_ask_at_one_moment_are_told_different_times(documented: Book) -> None:
    told = [documented.spend(ask(f"job-{number * 7919 % 400}", f"a.d{number}.org")) for number in range(400)]
    later = [answer.at for answer in told if isinstance(answer, NotBefore)]
    assert later == [NOON + timedelta(seconds=40 * number) for number in range(1, 131)]


def test_who_does_not_come_at_his_time_holds_nobody_up(book: Book) -> None:
    for number in range(5):
        book.spend(ask(f"job-{number}", f"a.d{number}.org"))
    assert book.spend(ask("job-4", "a.d4.org"), NOON + 3 * _HOUR) == Granted()


def test_urgent_ones_wait_only_for_urgent_ones(book: Book) -> None:
    for number in range(6):
        book.spend(ask(f"job-{number}", f"a.d{number}.org"))
    urgent = [ask(f"urgent-{number}", f"a.u{number}.org", urgent=True) for number in range(2)]
    assert [waits(book.spend(one)) for one in urgent] == [_HOUR, 2 * _HOUR]
    assert waits(book.spend(ask("job-2", "a.d2.org"))) == 3 * _HOUR


def test_another_attempt_takes_another_order_but_no_other_certificate(book: Book) -> None:
    assert book.spend(ask("job")) == Granted()
    assert book.spend(ask("job", attempt="2")) == Granted()
    answer = book.spend(ask("job", attempt="3"))
    assert isinstance(answer, NotBefore)
    assert answer.limit is LimitKind.NEW_ORDERS


def test_an_order_that_failed_costs_its_account_but_no_certificate(book: Book) -> None:
    book.spend(ask("job"))
    book(book.ledger.dropped, ask("job"), NOON)
    kinds = {key.kind for key, one in book(book.ledger.state, ["le"], NOON).buckets.items() if one.full_at > NOON}
    assert kinds == {LimitKind.NEW_ORDERS}
    assert book.rows()[1] == 0


def test_a_certificate_counts_from_when_it_is_issued_and_once(book: Book) -> None:
    signed = NOON + _HOUR / 2
    book.spend(ask("job"))
    for _ in range(2):
        book(book.ledger.issued, ask("job"), signed)
    of_set = {key.kind: one for key, one in book(book.ledger.state, ["le"], signed).buckets.items()}
    assert of_set[LimitKind.CERTIFICATES_PER_SET].full_at == signed + _HOUR


def owed(book: Book, now: datetime = NOON) -> dict[LimitKind, timedelta]:
    state = book(book.ledger.state, ["le"], now)
    return {key.kind: one.full_at - now for key, one in state.buckets.items()}


def test_what_is_given_back_is_given_back_once(book: Book) -> None:
    book.spend(ask("job"))
    book.spend(ask("of-the-same-names"))
    for _ in range(3):
        book(book.ledger.dropped, ask("job"), NOON)
    # Of the account what was sent stays counted; of the set that of the other.
    assert owed(book) == {LimitKind.NEW_ORDERS: 2 * _HOUR, LimitKind.CERTIFICATES_PER_SET: _HOUR}


def test_a_job_that_was_dropped_and_gets_its_certificate_after_all_is_counted_once(book: Book) -> None:
    book.spend(ask("job"))
    book(book.ledger.dropped, ask("job"), NOON)
    for _ in range(2):
        book(book.ledger.issued, ask("job"), NOON)
    assert owed(book) == {LimitKind.NEW_ORDERS: _HOUR, LimitKind.CERTIFICATES_PER_SET: _HOUR}


def test_an_order_that_was_never_sent_costs_its_account_nothing_and_is_given_back_once(book: Book) -> None:
    before = book(book.ledger.state, ["le"], NOON)
    book.spend(ask("job"))
    for _ in range(3):
        book(book.ledger.unsent, ask("job"), NOON)
    assert owed(book) == {LimitKind.CERTIFICATES_PER_SET: _HOUR}
    # Whoever tries again takes again, also by the same attempt, and pays the certificate no second time.
    assert book.spend(ask("job")) == Granted()
    assert owed(book) == {LimitKind.NEW_ORDERS: _HOUR, LimitKind.CERTIFICATES_PER_SET: _HOUR}
    book(book.ledger.unsent, ask("job"), NOON)
    book(book.ledger.dropped, ask("job"), NOON)
    assert book(book.ledger.state, ["le"], NOON) == before


def test_who_is_dropped_frees_its_place_in_line(book: Book) -> None:
    for number in range(4):
        book.spend(ask(f"job-{number}", f"a.d{number}.org"))
    book(book.ledger.dropped, ask("job-2", "a.d2.org"), NOON)
    assert waits(book.spend(ask("job-3", "a.d3.org"))) == _HOUR


def test_an_order_after_an_issued_certificate_is_another_certificate(book: Book) -> None:
    book.spend(ask("job"))
    book(book.ledger.issued, ask("job"), NOON)
    assert book.spend(ask("job", attempt="2"), NOON) == Granted()
    answer = book.spend(ask("job-2"), NOON + 1.5 * _HOUR)
    assert isinstance(answer, NotBefore) or answer == Granted()
    state = book(book.ledger.state, ["le"], NOON)
    assert {key.kind: one.full_at for key, one in state.buckets.items()}[
        LimitKind.CERTIFICATES_PER_SET
    ] > NOON + 2 * _HOUR


def test_an_order_that_is_no_renewal_after_all_pays_the_difference(book: Book) -> None:
    renewal = ask("job", window=(NOON - _DAY, NOON + _DAY))
    assert book.spend(renewal) == Granted()
    assert book.spend(replace(renewal, window=None)) == Granted()
    kinds = {key.kind for key in book(book.ledger.state, ["le"], NOON).buckets}
    assert kinds == {LimitKind.NEW_ORDERS, LimitKind.CERTIFICATES_PER_SET}
    set_full_at = [
        one.full_at
        for key, one in book(book.ledger.state, ["le"], NOON).buckets.items()
        if key.kind is LimitKind.CERTIFICATES_PER_SET
    ]
    assert set_full_at == [NOON + _HOUR]


def test_failed_validations_hold_back_orders_for_that_name_only(book: Book) -> None:
    for _ in range(2):
        book(book.ledger.failed, "le", ["a.example.org"], NOON)
    answer = book.spend(ask("job", "*.a.example.org"))
    assert isinstance(answer, NotBefore)
    assert (answer.limit, waits(answer)) == (LimitKind.FAILURES, _HOUR)
    assert answer.reason == "no failed validations of a.example.org are left of the CA's limit"
    assert book.spend(ask("other", "b.example.org")) == Granted()


def test_a_success_ends_the_failures_in_a_row() -> None:
    book = Book(ca(1.0, failures_in_a_row={"count": 1, "period": 86400, "burst": 3}))
    for _ in range(3):
        book(book.ledger.failed, "le", ["a.example.org"], NOON)
    assert waits(book.spend(ask("job"))) == _DAY
    book(book.ledger.issued, ask("earlier"), NOON)
    assert book.spend(ask("job")) == Granted()
    book.engine.dispose()


def test_a_refusal_holds_back_what_it_names_and_nothing_else(documented: Book) -> None:
    asked = ask("job", "a.one.org", "a.two.org")
    documented.spend(asked)
    text = 'too many certificates (50) already issued for "two.org" in the last 168h0m0s'
    held = documented.refuses(asked, text, 3 * _HOUR)
    assert [str(key) for key in held] == ["certificates_per_domain of two.org"]
    assert waits(documented.spend(ask("job-2", "b.two.org"))) == 3 * _HOUR
    assert documented.spend(ask("job-3", "b.one.org")) == Granted()
    # The one that was refused waits as well, whatever it took before.
    assert waits(documented.spend(replace(asked, attempt="2"))) > 3 * _HOUR


@pytest.mark.parametrize(
    ("text", "issued_at"),
    [("come back later", None), ("too many new orders (300) from this account", NOON - _DAY)],
)
def test_where_it_can_not_be_told_what_is_meant_the_account_waits(text: str, issued_at: datetime | None) -> None:
    other = AskedCa("other", DIRECTORY, BudgetSettings())
    book = Book(LE, other)
    asked = ask("job", set_issued_at=issued_at)
    book.spend(asked)
    held = book.refuses(asked, text, _HOUR)
    assert [key.kind for key in held] == [LimitKind.TOLD_TO_WAIT]
    answers = [book.spend(ask(f"job-{number}", f"a.d{number}.org")) for number in range(60)]
    assert {waits(answer) for answer in answers} == {_HOUR}
    assert waits(book.spend(ask("renewal", window=(NOON - _DAY, NOON + _DAY)))) == _HOUR
    assert book.spend(ask("job", ca="other")) == Granted()
    book.engine.dispose()


def test_a_name_that_is_paused_is_held_back_alone(documented: Book) -> None:
    text = "Your account is temporarily prevented from requesting certificates for a.one.org and possibly others."
    asked = ask("job", "a.one.org", "b.one.org")
    documented.refuses(asked, text)
    assert waits(documented.spend(ask("job-2", "a.one.org"))) == _DAY
    assert documented.spend(ask("job-3", "b.one.org")) == Granted()


def test_only_what_has_limits_is_counted() -> None:
    ledger = Ledger([ca(new_orders=_LIMITS), replace(ca(), name="free")])
    assert [ledger.counts(name) for name in ("le", "free", "unknown", None)] == [True, False, False, False]


def test_accounts_are_counted_like_orders() -> None:
    book = Book(ca(1.0, new_accounts={"count": 1, "period": 3600}))
    assert book.spend(NewAccount("le", "1")) == Granted()
    assert waits(book.spend(NewAccount("le", "2"))) == _HOUR
    book.engine.dispose()


def test_a_ca_without_limits_costs_one_statement_and_no_row() -> None:
    book = Book(AskedCa("le", DIRECTORY, BudgetSettings()))
    assert [book.spend(ask(f"job-{number}")) for number in range(500)] == [Granted()] * 500
    assert len(book.sent) == 1
    assert book.rows() == (0, 0)
    book.engine.dispose()


def test_a_ca_without_limits_has_a_ledger_of_lessons_and_nothing_else() -> None:
    book = Book(AskedCa("le", DIRECTORY, BudgetSettings()), AskedCa("other", DIRECTORY, BudgetSettings()))
    text = 'too many certificates (50) already issued for "example.org"'
    book.refuses(ask("job"), text, 2 * _HOUR)
    book.refuses(ask("job"), "busy", _HOUR)
    assert book.rows() == (2, 0)

    def held_back(asked: NewOrder, now: datetime = NOON) -> NotBefore | None:
        return book(book.ledger.held_back, asked, now)

    below = held_back(ask("second", "b.example.org"))
    assert below is not None
    assert below.at == NOON + 2 * _HOUR
    assert below.reason == "the CA refused certificates for example.org until then"
    elsewhere = held_back(ask("third", "a.example.net"))
    assert elsewhere is not None
    assert elsewhere.at == NOON + _HOUR
    # Domains are counted by the directory, whichever account asks; who was told to wait is the account.
    assert held_back(ask("fourth", "c.example.org", ca="other")) == below
    assert held_back(ask("fifth", "a.example.net", ca="other")) is None
    assert held_back(ask("third", "a.example.net"), elsewhere.at) is None
    assert len(book.sent) == 1
    lessons = book(book.ledger.lessons, NOON)
    assert {ca: {str(key): at for key, at in held.items()} for ca, held in lessons.items()} == {
        "le": {"certificates_per_domain of example.org": NOON + 2 * _HOUR, "told_to_wait of le": NOON + _HOUR},
        "other": {"certificates_per_domain of example.org": NOON + 2 * _HOUR},
    }
    assert book.rows() == (2, 0)
    book.engine.dispose()


def test_what_is_full_again_and_what_nobody_asks_for_is_forgotten(book: Book) -> None:
    for number in range(10):
        book.spend(ask(f"job-{number}", f"a.d{number}.org"))
    assert book.rows() == (3, 10)
    assert book(book.ledger.prune, NOON) == 0
    book(book.ledger.prune, NOON + 3 * _HOUR)
    assert book.rows() == (0, 10)
    book(book.ledger.prune, NOON + 40 * _DAY)
    assert book.rows() == (0, 0)


def test_a_forecast_stands_behind_those_that_wait(book: Book) -> None:
    for number in range(4):
        book.spend(ask(f"job-{number}", f"a.d{number}.org"))
    state = book(book.ledger.state, ["le"], NOON)
    (found,) = forecast(state, [ask("new", "a.new.org")], NOON)
    assert found.at == NOON + 3 * _HOUR == NOON + waits(book.spend(ask("new", "a.new.org")))
