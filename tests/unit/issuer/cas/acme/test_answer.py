from datetime import timedelta

import pytest

from tests.unit.issuer.cas.acme.answers import an_answer

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("told", "waited"),
    [
        ("120", timedelta(seconds=120)),
        ("Sun, 06 Nov 1994 08:51:37 GMT", timedelta(seconds=120)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", timedelta()),
        ("soon", None),
    ],
)
def test_both_forms_of_retry_after_count_from_the_answers_own_date(told: str, waited: timedelta | None) -> None:
    assert an_answer(retry_after=told, date=DATE).retry_after == waited


@pytest.mark.parametrize(
    ("told", "url"),
    [
        ("https://ca.test/order/7", "https://ca.test/order/7"),
        ("/order/7", "https://ca.test/order/7"),
        ("7", "https://ca.test/acme/7"),
        ("", None),
    ],
)
def test_a_location_may_be_a_path(told: str, url: str | None) -> None:
    assert an_answer(location=told).location == url


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ('<https://ca.test/c/1/1>;rel="alternate"', ("https://ca.test/c/1/1",)),
        ("</c/1/1>; rel=alternate", ("https://ca.test/c/1/1",)),
        (
            '<a/1>; rel="alternate", <a/2>; title="x"; rel="alternate"',
            ("https://ca.test/acme/a/1", "https://ca.test/acme/a/2"),
        ),
        ('<https://ca.test/dir>; rel="index", <c/2>; rel="up alternate"', ("https://ca.test/acme/c/2",)),
        ("nothing; rel=alternate", ()),
        ('<https://ca.test/dir>;rel="index"', ()),
    ],
)
def test_links_are_found_by_their_relation(link: str, found: tuple[str, ...]) -> None:
    assert an_answer(link=link).linked("alternate") == found
