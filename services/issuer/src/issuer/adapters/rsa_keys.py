"""RSA keys that are made ahead: one takes a tenth of a second and more, and then no order waits for it."""

import threading
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from issuer.domain.key_material import new_rsa_key

__all__ = ["RsaKeys"]


class RsaKeys:
    """At most so many of each size lie in memory, and nowhere else; each is given out once. Only sizes that were
    asked for are made ahead. It may be called from any thread; use it as a context manager.
    """

    def __init__(self, *, ahead: int) -> None:
        self._ahead = ahead
        self._ready: defaultdict[int, deque[RSAPrivateKey]] = defaultdict(deque)
        self._being_made: defaultdict[int, int] = defaultdict(int)
        self._lock = threading.Lock()
        # One thread: what is asked for now has the other cores.
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="rsa")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._maker.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._ready.clear()

    def take(self, bits: int) -> RSAPrivateKey:
        """A key that nobody else has; made now where none is ready."""
        with self._lock:
            ready = self._ready[bits]
            key = ready.popleft() if ready else None
            lacking = self._ahead - len(ready) - self._being_made[bits]
            self._being_made[bits] += lacking
        for _ in range(lacking):
            self._maker.submit(self._make, bits)
        return key if key is not None else new_rsa_key(bits)

    def ready(self, bits: int) -> int:
        """How many lie ready."""
        with self._lock:
            return len(self._ready[bits])

    def _make(self, bits: int) -> None:
        key = new_rsa_key(bits)
        with self._lock:
            self._being_made[bits] -= 1
            self._ready[bits].append(key)
