"""What a caller may do now: as the token says, or, of whom the provider signed in, as policy says of their groups."""

from registry.adapters.store import Transaction
from registry.domain.access import LOCAL, Principal
from registry.domain.entitlement import entitled
from registry.handlers.policies import Policies

__all__ = ["Rights"]


class Rights:
    """`issuer` is the provider's; without one nobody's session counts but those of the registry's own tokens."""

    def __init__(self, *, policies: Policies, issuer: str | None) -> None:
        self._policies = policies
        self._issuer = issuer

    def of(self, transaction: Transaction, caller: Principal) -> Principal | None:
        """None for somebody of a provider that is no longer asked."""
        if caller.issuer == LOCAL:
            return caller
        if caller.issuer != self._issuer:
            return None
        present = self._policies.present(transaction)
        return entitled(caller, present[1] if present is not None else None)
