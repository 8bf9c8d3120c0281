"""NKeys of the identities on the bus: seeds in files for their owners, public keys for the broker."""

import os
from collections.abc import Iterable
from pathlib import Path

import nkeys

from certlocal.private_file import write_private

__all__ = ["NatsIdentities"]


class NatsIdentities:
    """A folder with one seed a file. A seed is made when its identity is first asked for, and kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def seed_file(self, identity: str) -> Path:
        """The file, mode 0600, that the identity's own process is given."""
        path = self._folder / f"{identity}.nk"
        if not path.exists():
            seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)  # type: ignore[no-untyped-call] # no types
            write_private(path, seed)
        return path

    def public_keys(self, identities: Iterable[str]) -> dict[str, str]:
        return {identity: self._public_key(identity) for identity in identities}

    def _public_key(self, identity: str) -> str:
        seed = bytearray(self.seed_file(identity).read_bytes())
        pair = nkeys.from_seed(seed)  # type: ignore[no-untyped-call] # nkeys has no types
        try:
            return str(pair.public_key.decode())
        finally:
            pair.wipe()
