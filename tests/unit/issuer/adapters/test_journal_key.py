import base64
import stat
from pathlib import Path

import pytest

from certcore.errors import PermanentError
from issuer.adapters.journal_key import journal_key


def test_a_journal_of_one_host_gets_a_key_once(tmp_path: Path) -> None:
    first = journal_key(None, state_folder=tmp_path / "state", shared=False)
    assert len(first) == 32
    assert journal_key(None, state_folder=tmp_path / "state", shared=False) == first
    assert stat.S_IMODE((tmp_path / "state" / "journal.key").stat().st_mode) == 0o600


def test_hosts_that_share_a_journal_are_given_a_file_and_make_none(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"journal_key_file.*given the same file"):
        journal_key(None, state_folder=tmp_path, shared=True)
    with pytest.raises(PermanentError, match="journal_key_file"):
        journal_key(tmp_path / "missing", state_folder=tmp_path, shared=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["", "=", "\n"])
def test_the_file_is_base64url_with_or_without_its_padding(tmp_path: Path, end: str) -> None:
    key = bytes(range(224, 256))
    file = tmp_path / "key"
    file.write_text(base64.urlsafe_b64encode(key).decode().rstrip("=") + end)
    assert journal_key(file, state_folder=tmp_path, shared=True) == key


@pytest.mark.parametrize("content", [b"", b"c2hvcnQ", b"\xff\xfe", b"A" * 44, b"A" * 45])
def test_what_is_no_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "journal.key"
    file.write_bytes(content)
    with pytest.raises(PermanentError, match=r"journal_key_file .*journal\.key"):
        journal_key(None, state_folder=tmp_path, shared=False)
    assert file.read_bytes() == content
