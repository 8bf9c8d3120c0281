"""The command's part in signing in without a browser, at a registry that answers without a network."""

import httpx
import pytest

from certbus.connection import Connection
from certbus.device_login import device_login
from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.sign_in_client import SignInRegistry
from certcore.api import Problem

VERIFIER = "v" * 43
OFFER = {
    "handle": "h" * 43,
    "user_code": "WDJB-MJHT",
    "url": "https://id.example.test/device",
    "url_with_code": "https://id.example.test/device?c=WDJB-MJHT",
    "interval_s": 5,
    "expires_s": 60,
}


class Registry:
    """`answers` are given one after the other, the last one always."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.now = 0.0
        self.slept: list[float] = []
        self.told: list[str] = []
        self.client = SignInRegistry(
            Connection("http://registry.test", ""), transport=httpx.MockTransport(self._answer)
        )

    def _answer(self, call: httpx.Request) -> httpx.Response:
        if call.url.path == "/oidc/device":
            return httpx.Response(201, json=OFFER)
        assert VERIFIER in call.content.decode()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def login(self, patience_s: float = 300.0) -> str | None:
        with self.client as client:
            made = device_login(
                client,
                verifier=VERIFIER,
                patience_s=patience_s,
                tell=self.told.append,
                sleep=self.sleep,
                clock=lambda: self.now,
            )
        return made.token if made is not None else None


def wait(seconds: float) -> httpx.Response:
    return httpx.Response(202, json={"wait_s": seconds})


def test_it_shows_what_to_type_where_and_asks_as_seldom_as_it_is_told() -> None:
    registry = Registry(wait(5), wait(10), wait(0), httpx.Response(201, json={"subject": "u-1", "token": "cb_x"}))
    assert registry.login() == "cb_x"
    assert registry.slept == [5, 5, 10, 1]
    assert registry.told[0] == "Open https://id.example.test/device on any machine, and type WDJB-MJHT there."
    assert VERIFIER not in " ".join(registry.told)
    assert OFFER["handle"] not in registry.told


@pytest.mark.parametrize(("patience_s", "asked"), [(300.0, 11), (12.0, 2), (3.0, 0)])
def test_it_gives_up_when_nobody_comes_in_time(patience_s: float, asked: int) -> None:
    registry = Registry(wait(5))
    assert registry.login(patience_s) is None
    assert len(registry.slept) == asked


def test_who_says_no_ends_it() -> None:
    problem = Problem(type="/problems/unauthorized", title="Who are you?", status=401, detail="somebody said no")
    registry = Registry(wait(5), httpx.Response(401, content=problem.model_dump_json()))
    with pytest.raises(CommandError, match="somebody said no") as ended:
        registry.login()
    assert ended.value.exit_code is ExitCode.NOT_ALLOWED
    assert registry.slept == [5, 5]
