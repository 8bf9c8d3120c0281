"""A CA for many jobs at once: it opens, proves and signs each order by itself, but where a test wants a fault."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from tests.integration.issuer.scripted_ca import Answer, Asked, ScriptedCa

__all__ = ["Fault", "OrderDesk", "no_fault"]

Fault = Callable[[Asked, int], Answer | None]
"""What is answered instead, to the nth request for this path (from 1)."""

_POLLS_TO_PROVE: Final = 2
"""So many looks after the challenge was answered find the order pending."""


def no_fault(_: Asked, __: int) -> Answer | None:
    return None


class OrderDesk(ScriptedCa):
    """`opened` has when each order was asked for, `finalized` the number of each order that was finalized.

    `proves_after` says after how many seconds an order is proven; None counts the looks at it.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.fault: Fault = no_fault
        self.proves_after: Callable[[int], float] | None = None
        self.opened: list[float] = []
        self.finalized: list[int] = []
        self.names: dict[int, str] = {}
        self._times: Counter[str] = Counter()
        self._chains: dict[int, str] = {}
        self._looks: Counter[int] = Counter()
        self._answered: dict[int, float] = {}
        self._lock = threading.Lock()
        self._answers: dict[str, Callable[[int, Asked], Answer]] = {
            "authorization": lambda number, _: Answer(body=self._authorization(number)),
            "challenge": self._look_at,
            "order": lambda number, _: Answer(body=self._order(number, look=True)),
            "finalize": self._finalize,
            "certificate": lambda number, _: Answer(raw=self._chains[number].encode()),
        }
        self.tell("/account/1", Answer(body={"status": "valid"}))

    def answer(self, asked: Asked) -> Answer:
        with self._lock:
            self._times[asked.path] += 1
            if asked.path == "/newOrder":
                self.opened.append(time.monotonic())
            fault = self.fault(asked, self._times[asked.path])
            if fault is not None:
                return fault
            if asked.path == "/newOrder":
                return self._open(asked)
            _, kind, number = f"{asked.path}/".split("/")[:3]
            answer = self._answers.get(kind)
            return answer(int(number), asked) if answer is not None else super().answer(asked)

    def opened_for(self, asked: Asked) -> Answer:
        """What it answers to a newOrder, for a fault that gives it in another way."""
        return self._open(asked)

    def _open(self, asked: Asked) -> Answer:
        number = len(self.names) + 1
        self.names[number] = asked.payload["identifiers"][0]["value"]
        return Answer(201, self._order(number), headers={"Location": f"{self.url}/order/{number}"})

    def _order(self, number: int, *, look: bool = False) -> dict[str, Any]:
        urls = {
            "finalize": f"{self.url}/finalize/{number}",
            "authorizations": [f"{self.url}/authorization/{number}"],
        }
        if number in self._chains:
            return {"status": "valid", "certificate": f"{self.url}/certificate/{number}", **urls}
        self._looks[number] += look and number in self._answered
        return {"status": "ready" if self._is_proven(number) else "pending", **urls}

    def _is_proven(self, number: int) -> bool:
        answered = self._answered.get(number)
        if answered is None:
            return False
        if self.proves_after is None:
            return self._looks[number] > _POLLS_TO_PROVE
        return time.monotonic() >= answered + self.proves_after(number)

    def _authorization(self, number: int) -> dict[str, Any]:
        challenge = {
            "type": "http-01",
            "url": f"{self.url}/challenge/{number}",
            "token": f"a-token-of-order-{number:06d}",
            "status": "pending",
        }
        identifier = {"type": "dns", "value": self.names[number]}
        return {"identifier": identifier, "status": "pending", "challenges": [challenge]}

    def _look_at(self, number: int, asked: Asked) -> Answer:
        self._answered.setdefault(number, time.monotonic())
        return Answer(body={"type": "http-01", "url": self.url + asked.path, "status": "processing"})

    def _finalize(self, number: int, asked: Asked) -> Answer:
        self.finalized.append(number)
        answer = {**self._order(number), "status": "processing"}
        self._chains[number] = self.sign(asked)
        return Answer(body=answer)
