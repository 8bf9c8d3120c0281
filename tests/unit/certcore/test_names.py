import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from certcore.names import DnsName, ends_in_number, is_a_label, is_label, matches, subject_token

_DNS_NAME = TypeAdapter(DnsName)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("www.example.org", "www.example.org"),
        ("WWW.Example.ORG", "www.example.org"),
        ("*.example.org", "*.example.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a.b.c.internal.example.test", "a.b.c.internal.example.test"),
    ],
)
def test_a_good_name_is_kept_in_lower_case(given_name: str, kept: str) -> None:
    assert _DNS_NAME.validate_python(given_name) == kept


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("localhost", "fully qualified"),
        ("example.org.", "dot"),
        ("www.*.example.org", "wildcard in the wrong place"),
        ("w*.example.org", "wildcard in the wrong place"),
        ("*.*.example.org", "wildcard in the wrong place"),
        ("*", "fully qualified"),
        ("*.co.uk", "public suffix"),
        ("co.uk", "public suffix"),
        ("*.com", "fully qualified"),
        ("-a.example.org", "not a DNS name"),
        ("a_b.example.org", "not a DNS name"),
        ("a..example.org", "not a DNS name"),
        ("192.0.2.1", "address"),
        ("bücher.example.org", "ASCII"),
        ("a" * 64 + ".example.org", "not a DNS name"),
        (".".join(["a" * 60] * 5) + ".org", "longer than 253"),
        ("evil.example.org\r\nInjected: yes", "not a DNS name"),
        ("a\n.example.org", "not a DNS name"),
        ("", "fully qualified"),
    ],
)
def test_a_bad_name_is_refused_with_its_reason(name: str, word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        _DNS_NAME.validate_python(name)


@given(st.text(max_size=80))
def test_whatever_is_let_in_is_safe_in_subjects_paths_and_commands(name: str) -> None:
    try:
        kept = _DNS_NAME.validate_python(name)
    except ValidationError:
        return
    assert set(kept) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.*")
    assert ".." not in kept


@pytest.mark.parametrize(
    ("host", "dns_name", "fits"),
    [
        ("www.example.org", "www.example.org", True),
        ("www.example.org", "*.example.org", True),
        ("example.org", "*.example.org", False),
        ("a.b.example.org", "*.example.org", False),
        ("WWW.example.org", "www.EXAMPLE.org", True),
        ("www.example.com", "*.example.org", False),
    ],
)
def test_a_wildcard_stands_for_one_label(host: str, dns_name: str, *, fits: bool) -> None:
    assert matches(host, dns_name) is fits


@pytest.mark.parametrize("token", ["a.b", "a*", ">", "a b", "", "a\n", "x" * 65])
def test_what_means_something_to_the_bus_is_no_token(token: str) -> None:
    assert not subject_token(token)


@pytest.mark.parametrize("label", ["-a", "a-", "A", "a.b", "", "a" * 64, "a\n"])
def test_a_label_is_lower_case_letters_digits_and_inner_hyphens(label: str) -> None:
    assert not is_label(label)


@pytest.mark.parametrize("label", ["xn--bcher-kva", "xn--strae-oqa", "xn--wgv71a", "xn--collegi-xma"])
def test_an_a_label_stands_for_letters_that_can_be_seen(label: str) -> None:
    assert is_a_label(label)


@pytest.mark.parametrize(
    "label",
    [
        *("xn--abc-", "xn--", "xn--a", "bcher-kva", "XN--BCHER-KVA", "xn--99999999", "xn--i-7iq", "xn--xn--a-gua"),
        # A joiner, a mark at the start, a ligature, a middle dot between other letters.
        *("xn--ab-j1t", "xn--a-wbb", "xn--x-sy8h", "xn--ab-0ea"),
    ],
)
def test_what_stands_for_nothing_else_or_nothing_that_can_be_seen_is_no_a_label(label: str) -> None:
    assert not is_a_label(label)


@pytest.mark.parametrize(("name", "is_number"), [("a.1", True), ("a.0x", True), ("a.0xf", True), ("a.0xg", False)])
def test_a_name_that_resolvers_take_for_an_address_ends_in_a_number(name: str, *, is_number: bool) -> None:
    assert ends_in_number(name) is is_number
