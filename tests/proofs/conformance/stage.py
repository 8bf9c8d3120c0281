"""A certificate on its way through a CA that misbehaves, and what must be true at the end."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from certcore.events import MustAct, RevisionFailed, RevisionIssued
from certcore.placements import PLATFORM
from tests.acme_ca.calls import Call, Endpoint
from tests.acme_ca.conduct import Conduct
from tests.acme_ca.orders import Order
from tests.acme_ca.script import Act, Rule
from tests.acme_ca.server import ScriptedCa
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.recipients import opened
from tests.integration.issuer.scene import IssuerScene, until

__all__ = ["PATIENCE_S", "Stage"]

PATIENCE_S: Final = 3.0
"""For how long a CA that answers otherwise may leave an order unanswered, or deny it."""


@dataclass
class Stage:
    """One certificate of its own for each test, with one name."""

    scene: IssuerScene
    ca: ScriptedCa
    test: str
    certificate: str = field(init=False)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.certificate = f"c{hashlib.sha256(self.test.encode()).hexdigest()[:12]}"
        self.name = f"{self.certificate}.example.org"

    def conduct(self, **fields: Any) -> None:
        self.ca.books.conduct[self.name] = Conduct(**fields)

    def misbehave(self, act: Act, *at: Endpoint, after_finalize: bool = False, **fields: Any) -> Rule:
        """Only towards this certificate; `after_finalize` counts only what is asked after its order was finalized."""
        if after_finalize:
            fields["when"] = self._is_finalized
        return self.ca.script.add(act, *at, name=self.name, **fields)

    def _is_finalized(self, call: Call) -> bool:
        return call.order is not None and self.ca.books.orders[call.order].finalized_at is not None

    async def order(self, *more_names: str, revision: int = 1, **fields: Any) -> None:
        ordered = an_order(self.certificate, self.name, *more_names, revision=revision, **fields)
        await self.scene.peer.order(ordered)

    async def issued(self, revision: int = 1) -> None:
        """Wait until the registry has the bundle, and check that it can be opened."""

        def there() -> bool:
            return (self.certificate, revision, PLATFORM) in self.scene.registry.issued

        await self.until(there, what=f"revision {revision} is issued")
        await self.until(lambda: self._reported(revision), what=f"revision {revision} is reported")
        opened(self.scene.registry.issued[self.certificate, revision, PLATFORM], self.certificate, revision)
        assert self.scene.registry.differing == []

    def _reported(self, revision: int) -> bool:
        return any(one.revision == revision for one in self.scene.peer.reports(RevisionIssued, self.certificate))

    async def failed(self) -> RevisionFailed:
        await self.until(lambda: self.failures, what="it is reported as failed")
        return self.failures[-1]

    @property
    def failures(self) -> list[RevisionFailed]:
        return self.scene.peer.reports(RevisionFailed, self.certificate)

    @property
    def orders(self) -> list[Order]:
        """All orders for its name alone, the oldest first."""
        return self.ca.books.orders_for(self.name)

    @property
    def finalized(self) -> list[Order]:
        return self.ca.finalized(self.name)

    def count(self, endpoint: Endpoint) -> int:
        return len(self.ca.asked(endpoint, self.name))

    async def until(self, condition: Callable[[], object], *, what: str) -> None:
        try:
            await until(condition, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}; the issuer said: {self.told()}") from None

    def told(self) -> list[str]:
        """What the issuer logged about it, shortly."""
        lines = [line for line in self.scene.log() if line.get("certificate_id") == self.certificate]
        return [f"{line['event']} {line.get('reason', '')} {line.get('detail', '')}".strip() for line in lines][-8:]

    async def issued_with_one_order(self, rule: Rule | None = None) -> None:
        """It must get well by itself: one order, finalized, one revision, and nobody told to act. The rule must have
        hit.
        """
        await self.order()
        await self.issued()
        if rule is not None:
            assert rule.hits > 0, "the CA never misbehaved"
        assert len(self.finalized) == 1, self.told()
        assert len(self.orders) == 1, self.told()
        assert {one.must_act for one in self.failures} <= {MustAct.NOBODY}, self.failures
