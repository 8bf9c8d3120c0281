import pytest

from certcore.links import page_link


@pytest.mark.parametrize("url", ["https://ca.test/why", "http://ca.test/why?a=b#c"])
def test_the_address_of_a_page_is_kept(url: str) -> None:
    assert page_link(url) == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "javascript:alert(1)",
        "ca.test",
        "https://ca.test/\nwhy",
        "https://ca.test/a b",
        "https://" + "a" * 600,
    ],
)
def test_what_is_no_address_of_a_page_is_not(url: str | None) -> None:
    assert page_link(url) is None
