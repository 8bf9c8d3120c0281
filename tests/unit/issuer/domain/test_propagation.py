from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.challenge import SEEN
from issuer.domain.propagation import Lack, propagation

LACK = Lack("default", "ns1", "lacks the TXT record of", "_acme-challenge.a.test")


def test_nothing_lacking_is_seen() -> None:
    assert propagation([], looks=3) == SEEN


def test_who_lacks_what_is_told_once_a_server() -> None:
    names = [f"_acme-challenge.{letter}.test" for letter in "abcde"]
    lacks = [Lack("default", "ns1", "lacks the TXT record of", name) for name in names]
    found = propagation([*lacks, *lacks], looks=0)
    assert found.detail == f"ns1 lacks the TXT record of {', '.join(names[:3])} and 2 more"


def test_views_are_told_where_there_are_several() -> None:
    found = propagation([LACK, Lack("outside", "ns2", "doesn't answer for", "x")], looks=0)
    assert found.detail == (
        "default: ns1 lacks the TXT record of _acme-challenge.a.test; outside: ns2 doesn't answer for x"
    )


@pytest.mark.parametrize(("looks", "delay_s"), [(0, 1.0), (1, 1.6), (2, 2.56), (100, 60.0)])
def test_looks_get_rarer(looks: int, delay_s: float) -> None:
    assert propagation([LACK], looks=looks).look_again == timedelta(seconds=delay_s)


@given(servers=st.integers(1, 200), looks=st.integers(0, 10**6))
def test_whatever_lacks_is_never_seen_and_is_told_shortly(servers: int, looks: int) -> None:
    lacks = [
        Lack("v", f"ns{number}", "doesn't answer for", "_acme-challenge." + "a" * 60) for number in range(servers)
    ]
    found = propagation(lacks, looks=looks)
    assert not found.seen
    assert len(found.detail) < 1000
    assert timedelta(seconds=1) <= found.look_again <= timedelta(minutes=1)
