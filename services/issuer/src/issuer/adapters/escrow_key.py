"""The escrow's private key: in the state folder of the escrow's process, and nowhere else."""

from pathlib import Path
from typing import Final

import structlog

from certcore.identities import ESCROW
from certcore.sealing import RecipientKey, generate_recipient_key
from certkit.readiness import Check, Finding

__all__ = ["escrow_key", "escrow_key_left_in"]

log = structlog.get_logger()

_FILE: Final = "escrow.key"


def escrow_key(state_folder: Path) -> RecipientKey:
    """The key of the escrow, made at the first call.

    Raises:
        SealingError: the file that is there holds none.
    """
    return generate_recipient_key(ESCROW, state_folder / _FILE)


def escrow_key_left_in(state_folder: Path) -> Check:
    """Tells where the issuer's own folder holds the escrow's key, as it did in an earlier version. The issuer doesn't
    use it and works on; but who steals its host opens every key.
    """
    path = state_folder / _FILE
    warning = (
        f"{path} opens every key that this issuer keeps sealed: move it to the state folder of the escrow"
        " (python -m issuer escrow), on another host, and give the issuer its public half as escrow_public_key"
    )
    if path.exists():
        log.warning("escrow_key_beside_the_journal", told=warning)

    def check() -> list[Finding]:
        return [Finding(check="escrow key", detail=warning if path.exists() else "it is not here")]

    return check
