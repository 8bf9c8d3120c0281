import pytest

from issuer.domain.server_address import ServerAddress, server_address


@pytest.mark.parametrize(
    ("written", "host", "port", "shown"),
    [
        ("192.0.2.1", "192.0.2.1", 53, "192.0.2.1"),
        ("192.0.2.1:5353", "192.0.2.1", 5353, "192.0.2.1:5353"),
        ("2001:db8::1", "2001:db8::1", 53, "[2001:db8::1]"),
        ("[2001:db8::1]:5353", "2001:db8::1", 5353, "[2001:db8::1]:5353"),
        ("[2001:db8::1]", "2001:db8::1", 53, "[2001:db8::1]"),
        ("ns1.example.org:54", "ns1.example.org", 54, "ns1.example.org:54"),
    ],
)
def test_an_address_is_read_as_people_write_it(written: str, host: str, port: int, shown: str) -> None:
    address = server_address(written)
    assert (address, str(address)) == (ServerAddress(host, port), shown)
    assert address.is_ip == (host[-1].isdigit())


@pytest.mark.parametrize("written", ["", "a b", "192.0.2.1:0", "192.0.2.1:99999", "192.0.2.1:x", "[ns1]:53", "a:1:2"])
def test_what_is_none_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"HOST|address"):
        server_address(written)
