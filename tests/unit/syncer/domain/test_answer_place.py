import pytest
from pydantic import ValidationError

from syncer.domain.answer_place import AnswerPlaceSettings, choose_place, overlapping

RULES = {"edge": ("*.example.org",), "shop": ("shop.example.org", "*.shop.example.org"), "rest": ()}


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("www.example.org", "edge"),
        ("shop.example.org", "shop"),
        ("a.shop.example.org", "shop"),
        ("example.org", "rest"),
        ("other.test", "rest"),
    ],
)
def test_the_most_specific_pattern_says_where_a_host_is_answered(host: str, place: str) -> None:
    assert choose_place(host, RULES) == place


def test_a_host_that_nothing_matches_has_no_place() -> None:
    assert choose_place("other.test", {"edge": ("*.example.org",)}) is None
    assert choose_place("other.test", {}) is None
    assert choose_place("other.test", {"only": ()}) == "only"


def test_two_places_never_match_the_same_hosts() -> None:
    assert overlapping(RULES) is None
    assert overlapping({"a": (), "b": ()}) == "a and b both match everything (they have no `match`)"
    assert overlapping({"a": ("x.test",), "b": ("x.test",)}) == "a and b both match x.test"


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1", "127.0.0.1:80", "http://", "http://h/path", "http://h?x=1", "http://u:p@h"]
)
def test_a_server_that_a_ca_would_not_ask_so_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="plain HTTP"):
        AnswerPlaceSettings(kind="file", check_urls=(url,))


def test_a_server_is_kept_without_a_slash_at_its_end() -> None:
    assert AnswerPlaceSettings(kind="file", check_urls=("http://127.0.0.1:8080/",)).check_urls == (
        "http://127.0.0.1:8080",
    )
