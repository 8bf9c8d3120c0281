from pathlib import Path

from certlocal.errors import PartMissingError
from certlocal.home import Home
from certlocal.local_dns import LocalDns, make_dns
from certlocal.pebble_ca import ChallengeDns
from certlocal.tools import Tell
from tests.unit.certlocal.programs import program


def _dns(folder: Path, *, told: list[str] | None = None, missing: bool = False, knot: bool = True) -> LocalDns:
    home = Home(folder / "home")

    def find(_: Tell) -> Path:
        if missing:
            raise PartMissingError("knotd is missing: install it with: apt-get install knot")
        return program(folder, "knotd", "exit 0")

    test_server = ChallengeDns(program=folder / "x", folder=home.folder, dns_port=5353, management_port=5354)
    tell = (told if told is not None else []).append
    return make_dns(home, test_server=test_server, tell=tell, knot=knot, find_knot=find)


def test_the_ca_asks_knot_where_that_is_there(tmp_path: Path) -> None:
    dns = _dns(tmp_path)

    assert dns.knot is not None
    assert dns.updated is not None
    assert dns.resolver == dns.knot.address == f"127.0.0.1:{dns.updated.port}"


def test_without_knot_the_ca_asks_its_test_server_and_the_person_is_told_why(tmp_path: Path) -> None:
    told: list[str] = []
    dns = _dns(tmp_path, told=told, missing=True)

    assert (dns.knot, dns.updated, dns.resolver) == (None, None, "127.0.0.1:5353")
    assert told == ["  without Knot: knotd is missing: install it with: apt-get install knot"]


def test_knot_that_is_not_wanted_is_not_looked_for(tmp_path: Path) -> None:
    told: list[str] = []
    dns = _dns(tmp_path, told=told, missing=True, knot=False)

    assert dns.knot is None
    assert told == []


def test_the_key_is_made_once_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    first = _dns(tmp_path).updated
    assert first is not None
    made = first.key_file.read_text()
    again = _dns(tmp_path).updated

    assert first.key_file.stat().st_mode & 0o777 == 0o600
    assert again is not None
    assert again.key_file.read_text() == made
