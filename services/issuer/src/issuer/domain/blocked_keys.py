"""Public keys whose private halves are known to others: nothing is issued for them, whoever offers them."""

import re
from typing import Final

__all__ = ["parse_blocked"]

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def parse_blocked(text: str) -> frozenset[str]:
    """The SHA-256 of each blocked public key (SubjectPublicKeyInfo in DER), one in hex a line; `#` begins a comment.

    Raises:
        ValueError: a line holds something else.
    """
    found = set()
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.partition("#")[0].strip().lower().replace(":", "")
        if not entry:
            continue
        if not _SHA256.fullmatch(entry):
            raise ValueError(f"line {number} is no SHA-256 of a public key in hex")
        found.add(entry)
    return frozenset(found)
