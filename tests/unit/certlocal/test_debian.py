from pathlib import Path

import pytest

from certlocal.debian import debian_program
from certlocal.errors import PartMissingError
from tests.unit.certlocal.programs import program


def test_a_program_of_the_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ours = program(tmp_path, "balancer", "exit 0")

    assert debian_program("balancer", package="balancer", tell=print) == ours


def test_without_apt_the_person_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(PartMissingError, match="balancer is missing: install it with: apt-get install the-balancer"):
        debian_program("balancer", package="the-balancer", tell=print)
