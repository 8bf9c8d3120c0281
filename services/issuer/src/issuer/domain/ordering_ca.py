"""What a job needs of a CA by which it orders."""

from collections.abc import Sequence
from typing import Protocol

from issuer.domain.ca_order import AuthorizationView, ChallengeKind, OrderView

__all__ = ["OrderingCa"]


class OrderingCa(Protocol):
    """One account at one CA. Its calls raise AcmeProblemError where the CA answers with a problem, or with what is no
    answer of ACME (its type is empty then), and CaUnreachableError where it doesn't answer.
    """

    @property
    def preference(self) -> Sequence[ChallengeKind]: ...

    async def open_order(self, names: tuple[str, ...], *, replaces: str | None, profile: str | None) -> OrderView: ...

    async def order(self, url: str) -> OrderView: ...

    async def authorization(self, url: str) -> AuthorizationView: ...

    async def answer(self, challenge_url: str) -> None:
        """Ask the CA to look at a challenge; one that it has looked at already is no problem."""

    async def finalize(self, finalize_url: str, csr_der: bytes) -> OrderView:
        """The answer has no URL of its own; `url` is empty."""

    async def certificate(self, url: str) -> str:
        """The chain as PEM, leaf first."""

    async def answers(self) -> bool:
        """Whether the CA answers anything at all. Raises nothing."""

    async def account_answers(self) -> bool:
        """Whether the CA answers for the account under our key now. Raises nothing."""

    async def account_url(self) -> str: ...

    async def caa_identities(self) -> tuple[str, ...]:
        """The names by which CAA records mean this CA; none where its directory gives none."""
