"""The issuer's commands by `certbus issuer`: its own options, help and exit codes."""

import pytest

from certbus.cli import run


@pytest.mark.parametrize(
    ("command", "option"), [("test", "--exposure"), ("forecast", "--file FILE"), ("revoke", "--reason REASON")]
)
def test_help_is_the_issuers_own_under_the_name_that_was_given(
    capsys: pytest.CaptureFixture[str], command: str, option: str
) -> None:
    assert run(["issuer", command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: certbus issuer {command} ")
    assert option in shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["test"], "the following arguments are required: name"),
        (["test", "--", "not a name"], "argument name: 'not a name'"),
        (["forecast"], "give names, or a file"),
        (["forecast", "a.example.org", "-o", "yaml", "--ca", "own"], "'yaml'"),
        (["forecast", "--nonsense", "a.example.org"], "unrecognized arguments: --nonsense"),
        (["revoke", "leaf.pem", "--reason", "no reason"], "'no reason' is no reason that may be given"),
        (["revoke", "--certificate", "c-1", "--reason", "superseded"], "--certificate and --revision go together"),
    ],
)
def test_what_was_given_reaches_the_issuer_as_it_is(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert run(["issuer", *words]) == 2
    shown = capsys.readouterr()
    assert f"certbus issuer {words[0]}: error: " in shown.err
    assert told in " ".join(shown.err.split())
    assert shown.out == ""
