from pathlib import Path

import pytest

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.request_body import body_of_options, check_body, installed_kinds, read_file
from certcore.certificate import KeyAlgorithm, Proof
from tests.unit.certbus.samples import DOOR, KINDS, spec


def test_options_make_the_request_that_they_name() -> None:
    body = body_of_options(
        {"name": "shop", "dns_names": ["shop.example.org"], "exposure": "public", "owner": None},
        targets=[
            "files:site=site1,name=web",
            "kubernetes:site=site2,namespaces=web+shop,secret=shop-tls,name=pods",
        ],
        endpoints=["https://shop.example.org=web"],
        kinds=KINDS,
    )
    assert check_body(body, KINDS) == []
    assert DOOR.read(body) == spec()
    assert DOOR.read(body).key_algorithm is KeyAlgorithm.EC_P256


def test_a_request_may_say_whose_it_is_and_that_nobody_can_look() -> None:
    body = body_of_options(
        {
            "name": "shop",
            "dns_names": ["shop.example.org"],
            "exposure": "internal",
            "contact": "shop@example.org",
            "description": "the till",
        },
        targets=["files:site=site1"],
        endpoints=[],
        labels=["app=shop"],
        proof=Proof.NONE,
        kinds=KINDS,
    )
    read = DOOR.read(body)
    assert (read.labels, read.contact, read.description) == ({"app": "shop"}, "shop@example.org", "the till")
    assert (read.proof, read.endpoints) == (Proof.NONE, ())


def test_what_is_installed_is_known() -> None:
    assert installed_kinds().keys() >= {"files", "haproxy", "kubernetes"}


def test_every_field_at_fault_is_named() -> None:
    body = body_of_options(
        {"dns_names": ["*.*.org"], "exposure": "public"},
        targets=["files:site=A"],
        endpoints=["http://x"],
        kinds=KINDS,
    )
    with pytest.raises(CommandError) as refused:
        check_body(body, KINDS)
    assert refused.value.exit_code is ExitCode.INVALID
    assert {field for field, _ in refused.value.fields} == {
        "name",
        "dns_names.0",
        "targets.0.name",
        "targets.0.site",
        "endpoints.0.url",
    }


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(spec().model_dump_json())
    assert read_file(file) == spec().model_dump_json().encode()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"missing\.json can't be read: No such file") as refused:
        read_file(tmp_path / "missing.json")
    assert refused.value.exit_code is ExitCode.INVALID


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(CommandError) as refused:
        check_body(read_file(Path("/dev/zero")), KINDS)
    assert refused.value.fields == (("body", "is larger than 65536 bytes"),)


def test_a_kind_that_is_not_installed_is_left_to_the_registry() -> None:
    body = body_of_options({"name": "Not A Name"}, targets=["cps:enrolment=17"], endpoints=[], kinds=KINDS)
    assert check_body(body, KINDS) == ["cps"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b'{"targets": 3}', b'{"targets": [3, {"kind": 4}]}', b"[" * 60_000]
)
def test_what_is_no_request_is_refused_here(body: bytes) -> None:
    with pytest.raises(CommandError) as refused:
        check_body(body, KINDS)
    assert refused.value.exit_code is ExitCode.INVALID
