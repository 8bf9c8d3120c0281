"""The scanner is worth nothing unless it finds what is there."""

import base64
from pathlib import Path

import pytest

from tests.authority import Authority
from tests.e2e.key_scan import forms_of, scan

_KEY = Authority().issue("www.example.test").key_pem.encode()


@pytest.mark.parametrize(
    "content",
    [
        _KEY,
        _KEY.replace(b"\n", b"\r\n"),
        _KEY.replace(b"\n", b"\\n"),
        base64.b64encode(_KEY),
        base64.b64encode(b"x" + _KEY),
        base64.b64encode(b"xx" + _KEY),
        forms_of(_KEY)["der-pkcs8"],
        forms_of(_KEY)["scalar"].hex().encode(),
    ],
    # The key is made anew by each worker: it may not name the tests.
    ids=["pem", "crlf", "escaped", "base64", "base64-shifted", "base64-shifted-twice", "der", "scalar-hex"],
)
def test_a_planted_key_is_found(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"something before " + content + b" and after")
    assert scan([tmp_path], forms_of(_KEY))


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(Authority().issue("www.example.test").key_pem.encode())
    assert scan([tmp_path], forms_of(_KEY)) == []
