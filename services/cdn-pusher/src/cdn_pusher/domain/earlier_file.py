"""What lies where a certificate is to be written: may it be replaced, and could it be put back?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from cdn_pusher.domain.pem import HaproxyPem, read_pem
from certcore.errors import InspectionError
from certcore.names import matches

__all__ = ["READ_WITH_IT", "EarlierFile", "obstacle", "payload"]

READ_WITH_IT: Final = (".key", ".ocsp", ".sctl", ".issuer", ".rsa", ".ecdsa", ".dsa")
"""What HAProxy appends to the name of a PEM file to find more of the same certificate (`ssl-load-extra-files`)."""

_SHOWN: Final = 5


@dataclass(frozen=True)
class EarlierFile:
    """The bytes of the file, None where there is none; `beside` are the names of those that HAProxy reads with it."""

    content: bytes | None = field(repr=False)
    beside: tuple[str, ...] = ()

    @property
    def pem(self) -> HaproxyPem | None:
        """What it holds, where that is a certificate with its key."""
        try:
            return read_pem(self.content or b"")
        except InspectionError:
            return None


def payload(content: bytes) -> bytes:
    """The bytes as a runtime command can carry them: a blank line would end it."""
    return b"".join(line.rstrip() + b"\n" for line in content.splitlines() if line.strip())


def obstacle(earlier: EarlierFile, *, ours: bool, dns_names: Sequence[str]) -> str | None:
    """Why it must not be replaced by a certificate with these names; None where it may be.

    `ours`: this certificate was written there before. What its people approved counts then, also where that is less.
    """
    if ours:
        return None
    if earlier.beside:
        names = ", ".join(earlier.beside)
        return f"{names} lies beside it, and HAProxy reads both: put all into one file, or move it away"
    if earlier.content is None:
        return None
    pem = earlier.pem
    if pem is None:
        return "it is not ours, and no certificate with its key: it could not be put back; move it away"
    if lost := _uncovered(pem.leaf.dns_names, dns_names):
        shown = ", ".join(lost[:_SHOWN]) + (f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else "")
        return f"it is not ours, and serves {shown}, which this certificate does not: ask for these names too"
    return None


def _uncovered(served: Collection[str], dns_names: Collection[str]) -> list[str]:
    names = frozenset(dns_names)
    return [name for name in served if name not in names and not _covered(name, names)]


def _covered(name: str, dns_names: frozenset[str]) -> bool:
    return not name.startswith("*.") and any(matches(name, other) for other in dns_names)
