"""What others take of the same limits, and which nobody tells certbus of."""

from datetime import datetime
from random import Random

from tests.budgets.simulated_ca import LIMITS, SimulatedCa, Tokens

__all__ = ["OtherTraffic"]


class OtherTraffic:
    """Clients that take up to `share` of the account's orders, and of the certificates of each domain and set: as
    they come, or saved up and all at once.
    """

    def __init__(self, ca: SimulatedCa, random: Random, *, share: float, names: list[tuple[str, str]]) -> None:
        self._ca = ca
        self._random = random
        self._share = share
        self._names = names
        self._own: dict[tuple[str, str], Tokens] = {}
        self.taken = 0

    def acts(self, now: datetime) -> None:
        """Take from the account, and from a handful of the others."""
        some = self._random.sample(self._names, min(len(self._names), 20))
        for limit, name in [("orders", ""), *some]:
            if self._random.random() < 0.5:
                self._take(limit, name, now)

    def _take(self, limit: str, name: str, now: datetime) -> None:
        seconds = self._ca.seconds(now)
        own = self._own.get((limit, name))
        if own is None:
            whole = LIMITS[limit]()
            capacity = max(1.0, float(int(whole.capacity * self._share)))
            own = self._own[limit, name] = Tokens(capacity, whole.every_s / self._share, capacity, seconds)
        number = int(own.refill(seconds))
        for _ in range(number if self._random.random() < 0.5 else self._random.randint(0, number)):
            # What the CA refuses to them costs nothing.
            if own.take(seconds) and self._ca.bucket(limit, name).take(seconds):
                self.taken += 1
