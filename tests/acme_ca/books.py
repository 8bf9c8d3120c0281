"""All that the CA holds, and finds again by the paths of its resources."""

import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from josepy.jwk import JWK

from tests.acme_ca.calls import Endpoint, RefusedError
from tests.acme_ca.conduct import Conduct
from tests.acme_ca.jws import text, thumbprint
from tests.acme_ca.orders import Account, Authorization, Challenge, Order
from tests.acme_ca.signing import ari_id

__all__ = ["Books"]

T = TypeVar("T")
_OF_ORDER: Final = frozenset({Endpoint.ORDER, Endpoint.FINALIZE, Endpoint.CERTIFICATE})


class Books:
    """`conduct` is by DNS name, `usual` that of all others. `shares_authorizations`: pending ones are given to
    several orders of an account.
    """

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.orders: dict[str, Order] = {}
        self.authorizations: dict[str, Authorization] = {}
        self.revoked: dict[int, int] = {}
        self.conduct: dict[str, Conduct] = {}
        self.usual = Conduct()
        self.shares_authorizations = False
        self._numbers = itertools.count(1)
        self._by_challenge: dict[str, str] = {}
        self._order_of: dict[str, str] = {}

    def number(self) -> str:
        return str(next(self._numbers))

    def conduct_of(self, names: Iterable[str]) -> Conduct:
        return next((self.conduct[name] for name in names if name in self.conduct), self.usual)

    def orders_for(self, *names: str) -> list[Order]:
        """The orders for exactly these names, the oldest first."""
        return [order for order in self.orders.values() if set(order.names) == set(names)]

    def account_with(self, key: JWK) -> Account | None:
        wanted = thumbprint(key)
        return next((one for one in self.accounts.values() if thumbprint(one.key) == wanted), None)

    def forget_accounts(self) -> None:
        self.accounts.clear()

    def add_account(self, key: JWK, contact: Iterable[str], customer: str | None) -> Account:
        account = Account(f"a{self.number()}", key, tuple(contact), customer)
        self.accounts[account.id] = account
        return account

    def add_order(self, account: str, names: tuple[str, ...], *, profile: str | None, replaces: str | None) -> Order:
        conduct = self.conduct_of(names)
        order = Order(
            id=f"o{self.number()}",
            account=account,
            names=names,
            authorizations=[self._authorization(account, name, conduct) for name in names],
            nth=len(self.orders_for(*names)),
            opened_at=time.monotonic(),
            profile=profile,
            replaces=replaces,
        )
        self.orders[order.id] = order
        for authorization in order.authorizations:
            self._order_of[authorization.id] = order.id
        order.settle()
        return order

    def order_at(self, endpoint: Endpoint, item: str) -> Order | None:
        """The order that a resource belongs to; where several share it, the newest."""
        if endpoint in _OF_ORDER:
            return self.orders.get(item)
        if endpoint is Endpoint.CHALLENGE:
            item = self._by_challenge.get(item, "")
        return self.orders.get(self._order_of.get(item, ""))

    def authorization_of_challenge(self, challenge: str) -> tuple[Authorization, Challenge]:
        authorization = found(self.authorizations.get, self._by_challenge.get(challenge, ""))
        return authorization, next(one for one in authorization.challenges if one.id == challenge)

    def orders_with(self, authorization: Authorization) -> list[Order]:
        return [order for order in self.orders.values() if authorization in order.authorizations]

    def order_of_leaf(self, identifier: str) -> Order | None:
        """The order whose leaf has that identifier of RFC 9773."""
        leaves = (order for order in self.orders.values() if order.leaf is not None)
        return next((order for order in leaves if order.leaf and ari_id(order.leaf) == identifier), None)

    def replacement_of(self, identifier: str) -> Order | None:
        """The order, pending or done, that already replaces it."""
        replacing = (order for order in self.orders.values() if order.replaces == identifier)
        return next((order for order in replacing if order.status != "invalid"), None)

    def _authorization(self, account: str, name: str, conduct: Conduct) -> Authorization:
        wildcard, base = name.startswith("*."), name.removeprefix("*.")
        if self.shares_authorizations:
            for known in self.authorizations.values():
                same = (known.account, known.name, known.wildcard) == (account, base, wildcard)
                if same and known.status == "pending":
                    return known
        offers = [kind for kind in conduct.offers if kind == "dns-01" or not wildcard]
        challenges = [self._challenge(kind) for kind in offers]
        authorization = Authorization(f"z{self.number()}", account, base, wildcard, challenges)
        if name in conduct.valid_already:
            authorization.status = "valid"
            for challenge in challenges[:1]:
                challenge.status = "valid"
        self.authorizations[authorization.id] = authorization
        for challenge in challenges:
            self._by_challenge[challenge.id] = authorization.id
        return authorization

    def _challenge(self, kind: str) -> Challenge:
        number = self.number()
        # 128 bits and more (RFC 8555 §8.3), and the same in every run.
        return Challenge(f"c{number}", kind, text(f"token-{number}".encode().ljust(32, b".")))


def found(get: Callable[[str], T | None], item: str) -> T:
    one = get(item)
    if one is None:
        raise RefusedError("malformed", 404, f"there is no {item}")
    return one


def names_in(payload: Any) -> tuple[str, ...]:
    """The DNS names of a newOrder."""
    try:
        return tuple(str(one["value"]) for one in payload["identifiers"])
    except (TypeError, KeyError):
        return ()
