from pathlib import Path

import pytest

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.request_body import body_of_options, read_body, read_file
from certcore.certificate import KeyAlgorithm
from tests.unit.certbus.samples import spec


def test_options_make_the_request_that_they_name() -> None:
    body = body_of_options(
        {"name": "shop", "dns_names": ["shop.example.org"], "exposure": "public", "owner": None},
        targets=[
            "files:site=site1,name=web",
            "kubernetes:site=site2,namespaces=web+shop,secret=shop-tls,name=pods",
        ],
        endpoints=["https://shop.example.org=web"],
    )
    assert read_body(body) == spec()
    assert read_body(body).key_algorithm is KeyAlgorithm.EC_P256


def test_every_field_at_fault_is_named() -> None:
    body = body_of_options(
        {"dns_names": ["*.*.org"], "exposure": "public"}, targets=["ftp:site=a"], endpoints=["http://x"]
    )
    with pytest.raises(CommandError) as refused:
        read_body(body)
    assert refused.value.exit_code is ExitCode.INVALID
    assert {field for field, _ in refused.value.fields} == {
        "name",
        "dns_names.0",
        "targets.0.kind",
        "endpoints.0.url",
    }


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(spec().model_dump_json())
    assert read_body(read_file(file)) == spec()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"missing\.json can't be read: No such file") as refused:
        read_file(tmp_path / "missing.json")
    assert refused.value.exit_code is ExitCode.INVALID


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(CommandError) as refused:
        read_body(read_file(Path("/dev/zero")))
    assert refused.value.fields == (("body", "is larger than 65536 bytes"),)
