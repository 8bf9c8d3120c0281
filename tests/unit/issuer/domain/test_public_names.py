import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.public_names import PrivateReason, private_names

LABELS = st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True)
PUBLIC = st.sampled_from(
    ["example.org", "example.co.uk", "shop.example.com", "local.example.org", "xn--bcher-kva.example.net"]
)
SPECIAL = st.sampled_from(
    ["alt", "corp", "home.arpa", "internal", "invalid", "lan", "local", "localhost", "onion", "test"]
)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("printer.local", PrivateReason.SPECIAL_USE),
        ("*.site1.internal", PrivateReason.SPECIAL_USE),
        ("LOCALHOST", PrivateReason.SPECIAL_USE),
        ("nas.home.arpa", PrivateReason.SPECIAL_USE),
        ("wallet.alt", PrivateReason.SPECIAL_USE),
        ("db1", PrivateReason.BARE),
        ("*", PrivateReason.BARE),
        ("10.1.2.3", PrivateReason.ADDRESS),
        ("[2001:db8::1]", PrivateReason.ADDRESS),
        ("10.1.300", PrivateReason.ADDRESS),
        ("3.2.1.10.in-addr.arpa", PrivateReason.REVERSE),
    ],
)
def test_a_name_that_no_public_ca_certifies_is_told_with_its_reason(name: str, reason: PrivateReason) -> None:
    (found,) = private_names([name])
    assert (found.name, found.reason) == (name, reason)
    assert name in str(found)


@pytest.mark.parametrize(
    "name",
    ["www.example.org", "local.example.org", "a.notlocal", "a.nothome.arpa", "mylocal.example", "arpa.example.org"],
)
def test_only_whole_labels_make_a_suffix(name: str) -> None:
    expected = [PrivateReason.SPECIAL_USE] if name.endswith(".example") else []
    assert [found.reason for found in private_names([name])] == expected


def test_the_reason_names_the_suffix_and_who_reserved_it() -> None:
    assert str(private_names(["a.local"])[0]) == "a.local is under .local, which is for private use (RFC 6762)"


def test_a_certificate_for_clients_alone_is_private_whatever_its_names() -> None:
    assert [found.reason for found in private_names(["agent.example.org"], profile="client")] == [
        PrivateReason.CLIENT_ONLY
    ]
    assert private_names(["agent.example.org"], profile="shortlived") == ()


@given(st.sampled_from(["", "*."]), st.lists(LABELS, min_size=1, max_size=4), SPECIAL)
def test_nothing_under_a_special_suffix_is_public(wildcard: str, labels: list[str], suffix: str) -> None:
    name = wildcard + ".".join([*labels, suffix])
    for spelled in (name, name.upper(), f"{name}."):
        assert [found.reason for found in private_names([spelled])] == [PrivateReason.SPECIAL_USE]


@given(st.lists(LABELS, max_size=3), PUBLIC)
def test_a_name_under_a_registered_domain_is_public(labels: list[str], domain: str) -> None:
    assert private_names([".".join([*labels, domain])]) == ()


@given(st.ip_addresses())
def test_no_address_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert [found.reason for found in private_names([str(address)])] == [PrivateReason.ADDRESS]


@given(st.lists(st.sampled_from(["a.example.org", "b.local", "c", "10.0.0.1", "d.example.com"]), max_size=6))
def test_of_many_names_exactly_the_private_ones_are_told_in_their_order(names: list[str]) -> None:
    assert [found.name for found in private_names(names)] == [name for name in names if private_names([name])]
