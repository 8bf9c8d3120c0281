"""What `python -m issuer` says to somebody who tries it."""

import os
import sys

import pytest

from issuer.__main__ import main
from issuer.usage import is_configured

COMMANDS = ("test NAME", "forecast NAMES", "revoke CERTIFICATE", "escrow init")


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    assert not is_configured({"PATH": "/bin", "CERTBUS_HOME": "/srv"})
    for name in filter(lambda name: name.startswith("CERTBUS_"), list(os.environ)):
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("words", [[], ["forcast"], ["escrow", "inti"]])
def test_without_words_or_with_unknown_ones_its_commands_are_told(
    nothing_set: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    nothing_set.setattr(sys, "argv", ["issuer", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert [command for command in COMMANDS if command not in told.err] == []
    # Only who asked for the service is told what it lacks.
    assert ("setting bus: Field required" in told.err) is (words == [])


def test_help_is_no_error(nothing_set: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    nothing_set.setattr(sys, "argv", ["issuer", "--help"])
    main()
    told = capsys.readouterr().out
    assert [command for command in COMMANDS if command not in told] == []


@pytest.mark.parametrize("variable", ["CERTBUS_CONFIG_FILE", "CERTBUS_ISSUER_BUS__URL"])
def test_who_set_something_meant_the_service(
    nothing_set: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    nothing_set.setenv(variable, "tls://127.0.0.1:4222")
    nothing_set.setattr(sys, "argv", ["issuer"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "usage:" not in told
    assert told.startswith(("CERTBUS_CONFIG_FILE tls:", "setting bus"))
