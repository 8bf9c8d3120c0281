import pytest

from cdn_pusher.domain.probe_names import ProbeAddress, probe_names


def test_a_wildcard_is_tried_by_one_of_its_names() -> None:
    names = probe_names(["*.example.org", "example.org"])
    assert names == ("certbus-probe.example.org", "example.org")


def test_every_name_is_tried() -> None:
    names = [f"n{number}.example.org" for number in range(100)]
    assert probe_names(names) == tuple(names)


@pytest.mark.parametrize(("text", "host", "port"), [("127.0.0.1:443", "127.0.0.1", 443), ("[::1]:8443", "::1", 8443)])
def test_an_address_is_read_and_written(text: str, host: str, port: int) -> None:
    address = ProbeAddress.parse(text)
    assert address == ProbeAddress(host, port)
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "host", "host:", ":443", "host:0", "host:65536", "host:x", "host:٤٤٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        ProbeAddress.parse(text)
