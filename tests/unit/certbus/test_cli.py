import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbus.cli import globals_first, run
from certbus.exit_codes import MEANING, ExitCode
from tests.unit.certbus.samples import spec

_WORDS = st.sampled_from(["cert", "list", "-o", "json", "--reason=x", "--", "NAME"])
_GLOBALS = st.sampled_from([["--url", "http://x"], ["--as", "bob"], ["--token-file=f"], ["--as=bob"]])


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a local system, in an environment that names none."""
    monkeypatch.chdir(tmp_path)
    for name in ("CERTBUS_URL", "CERTBUS_HOME", "CERTBUS_TOKEN_FILE", "CERTBUS_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@given(st.lists(_WORDS.filter(lambda word: word != "--")), st.lists(_GLOBALS), st.data())
def test_global_options_may_stand_anywhere(
    words: list[str], given_globals: list[list[str]], data: st.DataObject
) -> None:
    mixed: list[str | list[str]] = list(words)
    for option in given_globals:
        mixed.insert(data.draw(st.integers(0, len(mixed))), option)
    flat = [piece for part in mixed for piece in (part if isinstance(part, list) else [part])]
    sorted_out = globals_first(flat)
    front, rest = sorted_out[: len(flat) - len(words)], sorted_out[len(flat) - len(words) :]
    assert rest == words
    assert sorted(front) == sorted(piece for option in given_globals for piece in option)


@given(st.lists(_WORDS))
def test_what_follows_two_hyphens_is_left_alone(words: list[str]) -> None:
    assert globals_first(["cert", "--", *words, "--as", "x"]) == ["cert", "--", *words, "--as", "x"]


@given(st.lists(st.text()))
def test_no_word_gets_lost(words: list[str]) -> None:
    assert sorted(globals_first(words)) == sorted(words)


def test_help_documents_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for code, meaning in MEANING.items():
        assert f"{code.value}  {meaning}" in shown


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["cert"],
        ["nonsense"],
        ["cert", "list", "--nonsense"],
        ["cert", "list", "-o", "yaml"],
        ["cert", "show"],
        ["--as"],
        ["cert", "list", "--as"],
        ["request", "create", "--exposure", "secret"],
        ["request", "deny", "r-1"],
        ["event", "follow", "--since", "yesterday"],
        ["request", "create", "--timeout", "soon"],
        ["request", "create", "--dry-run", "--wait"],
        ["request", "create", "shop", "-f", "-"],
        ["request", "create", "shop"],
        ["request", "create", "shop", "--target", "nonsense"],
        ["request", "create", "shop", "--label", "nonsense"],
        ["request", "create", "--no-proof", "--endpoint", "https://shop.example.org"],
        ["request", "create", "--label", "app=shop", "-f", "-"],
        ["request", "create", "--no-proof", "-f", "-"],
        ["request", "create", "--contact", "ana", "-f", "-"],
        ["request", "create", "-f", "missing.json"],
        ["cert", "renew", "shop", "--timeout", "0"],
        ["cert", "list"],
        ["cert", "list", "-l", "gold"],
        ["cert", "list", "--expires", "soon"],
        ["cert", "list", "--serial", "one"],
        ["cert", "list", "--url", "nonsense"],
        ["cert", "list", "--as", "a", "--token-file", "b"],
        ["site", "list", "--url", "https://127.0.0.1:1"],
    ],
)
@pytest.mark.usefixtures("nowhere")
def test_wrong_usage_ends_with_two_and_a_word_of_what_to_do(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == ExitCode.INVALID
    shown = capsys.readouterr()
    assert shown.out == "" or shown.out.startswith("Usage:")
    assert shown.err or words in ([], ["cert"])
    assert "Traceback" not in shown.err


@pytest.mark.usefixtures("nowhere")
def test_each_field_at_fault_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dns", "com", "--exposure", "public", "--target", "files:site=A", "--endpoint", "https://a.b"]
    assert run(["request", "create", "shop", *words]) == ExitCode.INVALID
    first, *fields = capsys.readouterr().err.splitlines()
    assert first == "error: the request is invalid and was not sent"
    assert [line.split(":")[0] for line in fields] == ["dns_names.0", "targets.0.name", "targets.0.site"]


def test_a_registry_that_is_not_there_ends_with_eight(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nowhere / "token").write_text("cb_secret")
    (nowhere / "request.json").write_text(spec().model_dump_json())
    connection = ["--url", "https://127.0.0.1:1", "--token-file", str(nowhere / "token")]
    for words in (
        ["cert", "list"],
        ["cert", "renew", "shop", "--wait"],
        ["event", "follow"],
        ["service", "list"],
        ["alert", "list"],
        ["request", "create", "-f", str(nowhere / "request.json"), "--wait"],
    ):
        assert run([*words, *connection]) == ExitCode.UNREACHABLE
        shown = capsys.readouterr()
        assert len(shown.err.splitlines()) == 1
        assert "cb_secret" not in shown.err + shown.out
        assert shown.out == ""


@pytest.mark.parametrize("words", [["--help"], ["version"]])
def test_help_and_version_load_nothing_that_takes_long(words: list[str]) -> None:
    program = (
        "import sys; from certbus.cli import run; code = run(sys.argv[1:]); "
        "slow = {'pydantic', 'httpx', 'rich', 'certcore.api', 'certcore.plugins', 'cryptography'}; "
        "print(sorted(slow & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    assert ended.stderr.strip() == "[]"
    assert ended.stdout
