"""The escrow's private key is made whole, once, and is told of where it lies beside the journal."""

import stat
import subprocess
import sys
from pathlib import Path

from certcore.sealing import RecipientKey
from issuer.adapters.escrow_key import escrow_key, escrow_key_left_in


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    made = escrow_key(tmp_path / "escrow")
    file = tmp_path / "escrow" / "escrow.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["escrow.key"]
    assert (
        escrow_key(tmp_path / "escrow").public_key == made.public_key == RecipientKey.load("escrow", file).public_key
    )


def test_init_prints_the_public_half_and_nothing_of_the_other(tmp_path: Path) -> None:
    environment = {"CERTBUS_ESCROW_STATE_FOLDER": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    argv = [sys.executable, "-m", "issuer", "escrow", "init"]
    runs = [subprocess.run(argv, env=environment, capture_output=True, check=True, text=True) for _ in range(2)]
    assert [run.stdout.strip() for run in runs] == [escrow_key(tmp_path).public_key] * 2
    assert [run.stderr for run in runs] == ["", ""]


def test_a_key_beside_the_journal_is_told_with_the_way_out(tmp_path: Path) -> None:
    (nothing,) = escrow_key_left_in(tmp_path)()
    assert (nothing.problem, nothing.detail) == (None, "it is not here")
    escrow_key(tmp_path)
    (found,) = escrow_key_left_in(tmp_path)()
    # The issuer goes on: a home of an earlier version must start.
    assert found.problem is None
    assert "move it to the state folder of the escrow" in (found.detail or "")
