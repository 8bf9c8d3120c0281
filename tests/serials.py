"""Serial numbers of test certificates: spread as a CA's are, and the same in every run."""

import hashlib
import itertools
from collections.abc import Iterator

__all__ = ["serials"]


def serials(issuer: str) -> Iterator[int]:
    """Each number once, 127 bits long at most; another issuer's differ."""
    for count in itertools.count():
        yield int.from_bytes(hashlib.sha256(f"{issuer} {count}".encode()).digest()[:16]) >> 1
