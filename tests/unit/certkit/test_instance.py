import pytest

from certkit.instance import instance_headers


def test_what_the_starter_chose_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERTBUS_INSTANCE", "issuer-7d9c.4_f")
    assert instance_headers() == {"certbus-instance": "issuer-7d9c.4_f"}


@pytest.mark.parametrize("value", ["", "a b", "a\r\nset-cookie: x", "ü", "x" * 129])
def test_what_is_no_value_of_a_header_is_not_answered(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CERTBUS_INSTANCE", value)
    assert instance_headers() == {}


def test_without_a_starter_nothing_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CERTBUS_INSTANCE", raising=False)
    assert instance_headers() == {}
