import pytest

from certcore.instance import instance_headers


def test_what_the_starter_chose_is_answered() -> None:
    assert instance_headers("issuer-7d9c.4_f") == {"certbus-instance": "issuer-7d9c.4_f"}


@pytest.mark.parametrize("value", ["", "a b", "a\r\nset-cookie: x", "a\n", "ü", "x" * 129])
def test_what_is_no_value_of_a_header_is_not_answered(value: str) -> None:
    assert instance_headers(value) == {}
