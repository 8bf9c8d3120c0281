from pathlib import Path

import pytest

from certcore.private_files import make_private, replace_private


def test_a_file_is_made_once_with_its_folder_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "a.key"
    assert make_private(path, b"first")
    assert not make_private(path, b"second")
    assert path.read_bytes() == b"first"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_replaced_as_a_whole_and_what_a_crash_left_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "anchor.json"
    (tmp_path / ".anchor.json.new").write_text("half of")
    for content in (b"old", b"new"):
        replace_private(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_can_not_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        make_private(tmp_path / "file" / "a.key", b"content")
    assert (tmp_path / "file").read_text() == "in the way"
