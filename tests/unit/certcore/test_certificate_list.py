from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode

import pytest
from pydantic import ValidationError

from certcore.certificate_list import CertificateQuery, Facet, Order, parameters

_QUERY = {
    "q": " Shop ",
    "dns": "WWW.Example.org",
    "label": ["tier=gold", "stage="],
    "state": "live",
    "serial": "00:0A:ff",
    "expires_before": "2026-03-01T13:00:00+01:00",
    "sort": "-expires",
    "facets": "state,health,state",
}


def test_a_query_is_read_as_people_write_it() -> None:
    query = CertificateQuery.model_validate(_QUERY)
    assert (query.q, query.dns, query.serial) == ("shop", "www.example.org", "aff")
    assert query.expires_before == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert (query.sort, query.facets) == (Order.EXPIRES_DOWN, (Facet.STATE, Facet.HEALTH))


def test_its_parameters_are_the_same_query() -> None:
    query = CertificateQuery.model_validate(_QUERY)
    given = parse_qs(urlencode(parameters(query)), keep_blank_values=True)
    several = {"label", "facets"}
    again = {name: values if name in several else values[0] for name, values in given.items()}
    assert CertificateQuery.model_validate(again) == query
    assert parameters(CertificateQuery()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("colour", "red"),
        ("q", " "),
        ("q", "a\x00"),
        ("owner", "\ud800"),
        ("label", ["tier"]),
        ("label", ["=gold"]),
        ("serial", "xyz"),
        ("spki", ":"),
        ("state", "happy"),
        ("expires_before", "2026-03-01T12:00:00"),
        ("expires_after", "0001-01-01T00:00:00+23:59"),
        ("facets", "state,mood"),
        ("sort", "colour"),
    ],
)
def test_what_nothing_can_be_found_by_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        CertificateQuery.model_validate({"owner": "shop", name: value})
    assert {error["loc"][0] for error in refused.value.errors()} == {name}
