import httpx
import pytest

from certbus.errors import CommandError
from certcore.api import Decision
from tests.unit.certbus.samples import request
from tests.unit.certbus.test_client import registry

Turn = httpx.Response | httpx.TransportError


def told(status: int, wait: str | None = None) -> httpx.Response:
    return httpx.Response(status, headers={"retry-after": wait} if wait else {})


def done() -> httpx.Response:
    return httpx.Response(200, content=request().model_dump_json())


class Scripted:
    def __init__(self, *turns: Turn) -> None:
        self._turns = list(turns)
        self.keys: list[str | None] = []
        self.slept: list[float] = []

    def __call__(self, call: httpx.Request) -> httpx.Response:
        self.keys.append(call.headers.get("idempotency-key"))
        turn = self._turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return turn

    def decide(self) -> None:
        with registry(self, sleep=self.slept.append) as client:
            assert client.decide("r-1", "approve", Decision()) == request()


def test_a_lost_answer_is_asked_for_again_under_the_same_key() -> None:
    here = Scripted(httpx.ReadTimeout("late"), httpx.ConnectError("starting"), done())
    here.decide()
    assert len(set(here.keys)) == 1
    assert here.keys[0]
    assert here.slept == [0.5, 2.0]
    other = Scripted(done())
    other.decide()
    assert other.keys != here.keys[:1]


def test_what_was_lost_each_time_is_told_as_unknown() -> None:
    here = Scripted(httpx.ReadTimeout("late"), httpx.ConnectError("gone"), httpx.ConnectError("gone"))
    with pytest.raises(CommandError) as error:
        here.decide()
    assert "unknown" in error.value.next_step


def test_what_was_never_sent_is_told_at_once() -> None:
    here = Scripted(httpx.ConnectError("refused"))
    with pytest.raises(CommandError):
        here.decide()
    assert here.slept == []


@pytest.mark.parametrize("status", [409, 429, 503])
def test_a_wait_that_the_registry_names_is_kept_to(status: int) -> None:
    here = Scripted(told(status, "7"), told(status, "0"), done())
    here.decide()
    assert here.slept == [7.0, 0.5]


@pytest.mark.parametrize(
    "answer", [told(409), told(429), told(503), told(503, "soon"), told(503, "3600"), told(500, "1")]
)
def test_a_refusal_without_a_wait_or_with_a_long_one_is_told(answer: httpx.Response) -> None:
    here = Scripted(answer)
    with pytest.raises(CommandError):
        here.decide()
    assert here.slept == []


def test_a_registry_that_is_busy_for_long_is_given_up() -> None:
    here = Scripted(*(told(503, "20") for _ in range(4)))
    with pytest.raises(CommandError):
        here.decide()
    assert here.slept == [20.0] * 3


def test_a_secret_is_asked_for_once() -> None:
    for turn in (httpx.ReadTimeout("late"), told(503, "1")):
        here = Scripted(turn)
        with registry(here, sleep=here.slept.append) as client, pytest.raises(CommandError):
            client.rotate_token("t-1")
        assert (here.keys, here.slept) == ([None], [])


def test_reading_waits_too() -> None:
    here = Scripted(told(503, "2"), done())
    with registry(here, sleep=here.slept.append) as client:
        assert client.request("r-1") == request()
    assert (here.keys, here.slept) == ([None, None], [2.0])
