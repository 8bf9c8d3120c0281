import pytest

from certcore.loopback import is_loopback


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "::1"])
def test_a_loopback_address_never_leaves_the_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "example.org", "localhost.example.org", "0.0.0.0", "10.0.0.1", "::", "127.1"])  # noqa: S104 # bound by nobody
def test_any_other_name_or_address_may(host: str) -> None:
    assert not is_loopback(host)
