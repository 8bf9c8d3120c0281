import stat
from pathlib import Path

import pytest

from certcore.errors import PermanentError
from issuer.adapters.account_key import load_account_key

URL = "https://ca.test/directory"


def test_an_account_keeps_its_key(tmp_path: Path) -> None:
    first = load_account_key(tmp_path, ca="a-ca", directory_url=URL)
    assert load_account_key(tmp_path, ca="a-ca", directory_url=URL).to_json() == first.to_json()


def test_only_the_issuer_can_read_the_key(tmp_path: Path) -> None:
    load_account_key(tmp_path, ca="a-ca", directory_url=URL)
    (file,) = (tmp_path / "accounts").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_another_ca_and_another_directory_are_other_accounts(tmp_path: Path) -> None:
    keys = [
        load_account_key(tmp_path, ca=ca, directory_url=url).thumbprint()
        for ca, url in (("a-ca", URL), ("b-ca", URL), ("a-ca", f"{URL}/staging"))
    ]
    assert len(set(keys)) == 3


@pytest.mark.parametrize("content", [b"", b"not a key"])
def test_a_file_that_holds_no_key_is_never_overwritten(tmp_path: Path, content: bytes) -> None:
    load_account_key(tmp_path, ca="a-ca", directory_url=URL)
    (file,) = (tmp_path / "accounts").iterdir()
    file.write_bytes(content)
    with pytest.raises(PermanentError, match="can't be read as a private key"):
        load_account_key(tmp_path, ca="a-ca", directory_url=URL)
    assert file.read_bytes() == content
