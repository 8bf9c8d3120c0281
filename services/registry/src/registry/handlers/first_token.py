"""The first token: who may read it may do everything, and makes the others."""

import os
from pathlib import Path
from typing import Final

import structlog

from certcore.api import Role
from certcore.audit import Way
from certcore.clock import Clock
from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal
from registry.handlers.http.auth import hash_token, new_token

__all__ = ["make_first_token"]

log = structlog.get_logger()

_FIRST: Final = Principal(
    "admin",
    "platform",
    frozenset({Role.VIEWER, Role.REQUESTER, Role.APPROVER, Role.OPERATOR, Role.AUDITOR, Role.ADMIN}),
)


async def make_first_token(store: Store, folder: Path, *, clock: Clock) -> None:
    """Put a token into the state folder, mode 0600, where none is left by which others can be made."""
    path = folder / "tokens" / "admin"

    def work(transaction: Transaction) -> bool:
        # Also that of a registry which shares its database with the one that has the token.
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        transaction.hold("first token")
        now = clock()
        if transaction.tokens.admins(now):
            return False
        token = new_token()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Written before it is known: after a crash in between, the next start makes another.
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
        transaction.tokens.add(hash_token(token), _FIRST, now=now)
        transaction.audit.note(
            "registry", "make token", _FIRST.subject, "the first: no other can make tokens", now, way=Way.SYSTEM
        )
        return True

    if await store.write(work):
        log.info("first_token_made", path=str(path))
