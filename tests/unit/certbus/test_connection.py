import json
from pathlib import Path

import pytest

from certbus.connection import Connection, Options, find_connection
from certbus.errors import CommandError
from certbus.exit_codes import ExitCode


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "tokens").mkdir()
    for name in ("admin", "bob"):
        (tmp_path / "tokens" / name).write_text(f"token-of-{name}\n")
    (tmp_path / "client.json").write_text(json.dumps({"url": "https://127.0.0.1:8400", "ca_file": "/ca.pem"}))
    return tmp_path


def test_a_local_system_is_found_in_its_folder(home: Path) -> None:
    assert find_connection(Options(), {"CERTBUS_HOME": str(home)}) == Connection(
        "https://127.0.0.1:8400", "token-of-admin", Path("/ca.pem")
    )


def test_instance_and_roots_of_the_folder_go_with_its_url_and_with_no_other(home: Path) -> None:
    described = {"url": "https://127.0.0.1:8400", "ca_file": "/ca.pem", "instance": "one"}
    (home / "client.json").write_text(json.dumps(described))
    environment = {"CERTBUS_HOME": str(home)}
    for connection, found in (
        (find_connection(Options(), environment), ("one", Path("/ca.pem"))),
        (find_connection(Options(url="https://a.example.org"), environment), (None, None)),
        (find_connection(Options(), {**environment, "CERTBUS_URL": "https://b.example.org"}), (None, None)),
    ):
        assert (connection.instance, connection.ca_file) == found


def test_a_client_certificate_comes_from_the_environment(home: Path) -> None:
    environment = {"CERTBUS_HOME": str(home), "CERTBUS_CERTIFICATE_FILE": "/own.pem", "CERTBUS_KEY_FILE": "/own.key"}
    connection = find_connection(Options(), environment)
    assert (connection.certificate_file, connection.key_file) == (Path("/own.pem"), Path("/own.key"))


def test_no_token_goes_over_plain_text_unless_it_is_asked_for_and_stays_on_the_machine(home: Path) -> None:
    environment, allowed = {"CERTBUS_HOME": str(home)}, {"CERTBUS_HOME": str(home), "CERTBUS_PLAIN_TEXT": "1"}
    for url, given in (
        ("http://127.0.0.1:8400", environment),
        ("http://127.0.0.1:8400", {**environment, "CERTBUS_PLAIN_TEXT": "0"}),
        ("http://certbus.example.org", allowed),
        ("http://10.0.0.1", allowed),
    ):
        with pytest.raises(CommandError) as refused:
            find_connection(Options(url=url), given)
        assert refused.value.exit_code is ExitCode.INVALID
        assert "plain text" in refused.value.message
        assert "https://" in refused.value.next_step
    assert find_connection(Options(url="http://127.0.0.1:8400"), allowed).url == "http://127.0.0.1:8400"


def test_as_picks_another_token(home: Path) -> None:
    environment = {"CERTBUS_HOME": str(home), "CERTBUS_TOKEN_FILE": str(home / "tokens" / "admin")}
    assert find_connection(Options(name="bob"), environment).token == "token-of-bob"


def test_options_go_before_the_environment_and_that_before_the_folder(home: Path) -> None:
    other = home / "other"
    other.write_text("another")
    environment = {
        "CERTBUS_HOME": str(home),
        "CERTBUS_URL": "https://b.example.org/",
        "CERTBUS_TOKEN_FILE": str(home / "tokens" / "bob"),
        "CERTBUS_CA_FILE": "/roots.pem",
    }
    assert find_connection(Options(), environment) == Connection(
        "https://b.example.org", "token-of-bob", Path("/roots.pem")
    )
    assert find_connection(Options(url="https://a.example.org", token_file=other), environment) == Connection(
        "https://a.example.org", "another", Path("/roots.pem")
    )


@pytest.mark.parametrize(
    "url",
    ["", "example.org", "ftp://example.org", "https://", "https://[::1", "https://example.org:0", "https://a:b:c"],
)
def test_what_is_no_url_is_refused(home: Path, url: str) -> None:
    (home / "client.json").unlink()
    with pytest.raises(CommandError) as refused:
        find_connection(Options(url=url), {"CERTBUS_HOME": str(home)})
    assert refused.value.exit_code is ExitCode.INVALID


def test_credentials_in_the_url_are_refused_and_not_repeated(home: Path) -> None:
    with pytest.raises(CommandError) as refused:
        find_connection(Options(url="https://ana:hunter2@example.org"), {"CERTBUS_HOME": str(home)})
    assert "hunter2" not in "".join(refused.value.lines())


@pytest.mark.parametrize("name", ["", "..", "../admin", "a/b", "a b", "-a", "a\n"])
def test_as_is_only_ever_a_file_of_the_tokens_folder(home: Path, name: str) -> None:
    with pytest.raises(CommandError, match="is no name of a token"):
        find_connection(Options(name=name), {"CERTBUS_HOME": str(home)})


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"line\nline", b"caf\xc3\xa9", b"a\x00b", b"\xff"])
def test_a_file_without_a_token_is_named_and_its_content_is_not(home: Path, content: bytes) -> None:
    (home / "tokens" / "bob").write_bytes(content)
    with pytest.raises(CommandError) as refused:
        find_connection(Options(name="bob"), {"CERTBUS_HOME": str(home)})
    assert "doesn't hold a token" in refused.value.message
    assert "words" not in "".join(refused.value.lines())


def test_a_token_that_is_not_there_is_told_with_what_to_do(home: Path) -> None:
    with pytest.raises(CommandError) as refused:
        find_connection(Options(name="carol"), {"CERTBUS_HOME": str(home)})
    assert "tokens/carol: No such file" in refused.value.message
    assert "--token-file" in refused.value.next_step


@pytest.mark.parametrize("content", ["", "[]", "{", '{"uri": "x"}', "null", '"x"'])
def test_a_broken_folder_is_told(home: Path, content: str) -> None:
    (home / "client.json").write_text(content)
    with pytest.raises(CommandError, match=r"client\.json can't be read"):
        find_connection(Options(), {"CERTBUS_HOME": str(home)})


def test_a_connection_shows_no_token(home: Path) -> None:
    assert "token-of" not in repr(find_connection(Options(), {"CERTBUS_HOME": str(home)}))
