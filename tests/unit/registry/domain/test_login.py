"""What a browser keeps of a login, and what an answer must fit."""

import pytest

from certcore.proof_key import challenge_of, words_of
from registry.domain.login import CommandDoor, Login

SECRET = "s" * 43
DOOR = CommandDoor(40000, challenge_of("v" * 43), "t" * 43)


def test_what_the_browser_keeps_is_read_as_it_was() -> None:
    for login in (Login(SECRET), Login(SECRET, DOOR)):
        assert Login.read(login.kept()) == login


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "short",
        f"{SECRET}.",
        f"{SECRET}.40000",
        f"{SECRET}.22.{'c' * 43}.{'t' * 43}",
        f"{SECRET}.x.{'c' * 43}.{'t' * 43}",
    ],
)
def test_what_is_no_login_is_none(kept: str) -> None:
    assert Login.read(kept) is None


def test_of_a_login_nothing_that_is_sent_tells_the_rest() -> None:
    login, other = Login(SECRET), Login("r" * 43)
    values = {login.state, login.nonce, login.verifier, SECRET}
    assert len(values) == 4
    assert not values & {other.state, other.nonce, other.verifier}
    assert login.is_for(login.state)
    assert not login.is_for(other.state)
    assert not login.is_for("ä")
    assert SECRET not in repr(login)


def test_the_challenge_is_that_of_the_standard() -> None:
    # RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize(
    ("port", "challenge", "state"),
    [
        ("80", "c" * 43, "t" * 43),
        ("65536", "c" * 43, "t" * 43),
        ("40000@evil.example.test:1", "c" * 43, "t" * 43),
        ("\u0664" * 5, "c" * 43, "t" * 43),
        ("40000", "c" * 42, "t" * 43),
        ("40000", "c" * 43, "t&code=mine" + "t" * 20),
        ("40000", "c" * 43, "t"),
    ],
)
def test_a_door_is_on_the_own_machine_and_nowhere_else(port: str, challenge: str, state: str) -> None:
    assert CommandDoor.of(port, challenge, state) is None
    assert DOOR.url("code").startswith("http://127.0.0.1:40000/?code=code&state=")


def test_command_and_page_show_the_same_words() -> None:
    assert words_of(DOOR.challenge) == words_of(DOOR.challenge)
    assert words_of(DOOR.challenge) != words_of("c" * 43)
