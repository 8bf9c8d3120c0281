"""Where the browser brings the command its code."""

from pathlib import Path

import pytest

from certbus.connection import Options, find_connection, find_registry, session_file
from certbus.errors import CommandError
from certbus.login_door import LoginDoor


@pytest.mark.parametrize(
    ("target", "is_ours"),
    [
        ("/?code=c&state=s", True),
        ("/?state=s&code=c&code=d", True),
        ("/?code=c&state=t", False),
        ("/?code=c", False),
        ("/?code=&state=s", False),
        ("/other?code=c&state=s", False),
        ("/", False),
        ("//?code=c&state=\xe4", False),
    ],
)
def test_only_the_answer_to_this_login_is_taken(target: str, is_ours: bool) -> None:  # noqa: FBT001 # a case
    with LoginDoor(state="s") as door:
        assert door.take(target) is is_ours
        assert door.wait(timeout_s=0.0) == ("c" if is_ours else None)


def test_a_taken_port_is_told() -> None:
    with LoginDoor(state="s") as door, pytest.raises(OSError, match="in use"):
        LoginDoor(state="s", port=door.port)


def test_a_session_is_for_one_registry_and_what_is_named_goes_first(tmp_path: Path) -> None:
    environment = {"CERTBUS_HOME": str(tmp_path), "CERTBUS_URL": "https://one.example.org/"}
    url = find_registry(Options(), environment).url
    with pytest.raises(CommandError, match="no token in"):
        find_connection(Options(), environment)
    session = session_file(environment, url)
    session.parent.mkdir()
    session.write_text("of-the-session")
    named = session.with_name("named")
    named.write_text("of-a-file")
    assert find_connection(Options(), environment).token == "of-the-session"
    assert find_connection(Options(token_file=named), environment).token == "of-a-file"
    assert find_connection(Options(), environment | {"CERTBUS_TOKEN_FILE": str(named)}).token == "of-a-file"
    for other in ("https://two.example.org", "https://one.example.org:8400", "https://one.example.org/prefix"):
        with pytest.raises(CommandError, match="no token in"):
            find_connection(Options(url=other), environment)
    with pytest.raises(CommandError, match="no token in"):
        find_connection(Options(name="admin"), environment)
