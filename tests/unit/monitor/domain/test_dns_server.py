import pytest

from monitor.domain.dns_server import DnsServer


@pytest.mark.parametrize(
    ("text", "expected"), [("127.0.0.1:8053", DnsServer("127.0.0.1", 8053)), ("[::1]:53", DnsServer("::1", 53))]
)
def test_an_address_and_a_port_are_read(text: str, expected: DnsServer) -> None:
    assert DnsServer.parse(text) == expected


@pytest.mark.parametrize("text", ["", "dns.example.org:53", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "::1"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not address:port"):
        DnsServer.parse(text)
