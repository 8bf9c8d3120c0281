"""Replay nonces: each is good once. A share of good ones is refused where a test asks for it."""

import itertools
import random

from tests.acme_ca.jws import text

__all__ = ["Nonces"]


class Nonces:
    """`refused` is the share of good nonces that is refused."""

    def __init__(self) -> None:
        self.refused = 0.0
        self.chance = random.Random(0)
        self._good: set[str] = set()
        self._numbers = itertools.count(1)

    def make(self) -> str:
        nonce = text(f"nonce-{next(self._numbers):09}".encode())
        self._good.add(nonce)
        return nonce

    def take(self, nonce: object) -> bool:
        """Whether it is good; it is so only once."""
        if nonce not in self._good:
            return False
        self._good.discard(str(nonce))
        return self.chance.random() >= self.refused
