import json
from dataclasses import replace
from pathlib import Path

import pytest

from cdn_pusher.domain.decision import Noted
from cdn_pusher.targets.haproxy.notes import Notes

NOTED = Noted(certificate_id="c1", generation=2, revision=1, fingerprint_sha256="f" * 64, digest="d")


def test_what_is_noted_is_read_by_the_next_process_and_forgotten_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    Notes(file).write("a.pem", NOTED)
    Notes(file).write("b.pem", replace(NOTED, generation=9))
    assert Notes(file).read("a.pem") == NOTED
    Notes(file).write("a.pem", None)
    assert Notes(file).read("a.pem") is None
    assert Notes(file).read("b.pem") == replace(NOTED, generation=9)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"a.pem": 7}', '{"a.pem": {"generation": 1}}'])
def test_notes_that_can_t_be_read_are_none(tmp_path: Path, content: str) -> None:
    file = tmp_path / "notes.json"
    file.write_text(content)
    assert Notes(file).read("a.pem") is None


def test_one_bad_note_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    Notes(file).write("a.pem", NOTED)
    file.write_text(json.dumps({**json.loads(file.read_text()), "b.pem": "bad"}))
    assert Notes(file).read("a.pem") == NOTED
