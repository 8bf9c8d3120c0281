"""The policy that holds: read from its file, and kept in the database, so that every replica has the same."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from pydantic import ValidationError

from certcore.audit import Way
from certcore.clock import Clock
from certcore.policy.document import Policy
from certcore.policy.file import policy_digest
from certcore.rejection import RejectedError, Rejection
from certkit.readiness import Finding
from registry.adapters.policy_file import PolicyFile
from registry.adapters.store import Store, Transaction

__all__ = ["NO_POLICY", "Policies"]

log = structlog.get_logger()

NO_POLICY: Final = Rejection(
    field="policy", message="is missing here, or can't be read: nothing is allowed. The operator sets policy_file"
)
_ACTOR: Final = "registry"


class Policies:
    """Without a file the one that was kept last holds; without any, nothing is allowed."""

    def __init__(self, *, store: Store, clock: Clock, file: PolicyFile | None) -> None:
        self._store = store
        self._clock = clock
        self._file = file
        self._read: tuple[str, Policy] | None = None
        self._fault: str | None = None
        self._any = False

    def present(self, transaction: Transaction) -> tuple[str, Policy] | None:
        """The digest and the policy that hold; None where there is none, or none that this version can read."""
        digest = transaction.policies.digest()
        if digest is None:
            return None
        if self._read is None or self._read[0] != digest:
            try:
                self._read = (digest, Policy.model_validate_json(transaction.policies.document(digest)))
            except ValidationError:
                # A later version kept it: what it says beside what is known here may be what it refuses.
                log.warning("policy_not_readable", digest=digest)
                return None
        return self._read

    def document(self, transaction: Transaction) -> Policy | None:
        """The policy that holds, without its digest."""
        present = self.present(transaction)
        return present[1] if present is not None else None

    async def load(self) -> None:
        """Read the file, at the start.

        Raises:
            RejectedError: it is no policy, with every field at fault.
            OSError: it can't be read.
        """
        if self._file is not None:
            await self._take(self._file)
        self._any = await self._store.read(lambda transaction: transaction.policies.digest()) is not None

    async def look(self) -> None:
        """Take over what was written since. A file that can't be used changes nothing and is told by /readyz."""
        if self._file is None:
            return
        try:
            await self._take(self._file)
        except (RejectedError, OSError) as error:
            if str(error) != self._fault:
                log.warning("policy_not_taken", file=str(self._file), error=str(error)[:1000])
            self._fault = str(error)[:300]

    async def _take(self, file: PolicyFile) -> None:
        policy = await asyncio.to_thread(file.read_if_changed)
        if policy is None:
            return
        digest, document = policy_digest(policy), policy.model_dump_json(exclude_defaults=True)

        def work(transaction: Transaction) -> bool:
            transaction.hold("policy")
            if transaction.policies.digest() == digest:
                return False
            now = self._clock()
            transaction.policies.keep(digest, document, now=now)
            transaction.audit.note(_ACTOR, "policy", str(file)[:255], digest, now, way=Way.SYSTEM)
            return True

        if await self._store.write(work):
            log.info("policy_taken", file=str(file), digest=digest, teams=len(policy.teams), rules=len(policy.rules))
        self._fault, self._any = None, True

    def findings(self) -> Sequence[Finding]:
        """A check of readiness: a registry without a policy is ready, and says that it allows nothing."""
        detail = f"{self._file} is not taken: {self._fault}" if self._fault is not None else None
        if detail is None and not self._any:
            detail = "none: no request is allowed"
        return [Finding(check="policy", detail=detail)]
