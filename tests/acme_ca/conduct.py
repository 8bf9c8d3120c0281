"""How the orders for a name fare, where it isn't as it should be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Conduct", "LeafFault"]


class LeafFault(StrEnum):
    """What is wrong with the X.509 certificate that is signed, or with its chain."""

    FOREIGN_KEY = "foreign_key"
    NAME_MISSING = "name_missing"
    NAME_ADDED = "name_added"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    CHAIN_REVERSED = "chain_reversed"
    FOREIGN_INTERMEDIATE = "foreign_intermediate"
    NO_PEM = "no_pem"


@dataclass(frozen=True)
class Conduct:
    """`valid_already` are the names that need no proof: with all of them, an order is ready at once.

    `offers` are the kinds of challenges; `verdict` is the problem that ends their validation, and its order with it,
    `told_in_order` whether the order tells it as well. `validation_s` is how long validation takes; it
    ends only when so many looks (`validation_looks`) found the order pending.

    After finalize the order is `processing` for so many looks (`signing_looks`) or seconds (`signing_s`), told with
    `retry_after`; `url_late_looks` is how often it is `valid` without its certificate's URL; `signing_problem` ends
    it as invalid. `faults` are those of the orders' leaves, the first order's first; beyond them all is well.
    """

    valid_already: frozenset[str] = frozenset()
    offers: tuple[str, ...] = ("dns-01", "http-01", "tls-alpn-01")
    verdict: Mapping[str, Any] | None = None
    told_in_order: bool = True
    validation_s: float = 0.0
    validation_looks: int = 0
    signing_looks: int = 0
    signing_s: float = 0.0
    retry_after: str | None = None
    url_late_looks: int = 0
    signing_problem: Mapping[str, Any] | None = None
    faults: tuple[LeafFault | None, ...] = field(default=())
    strict_challenges: bool = False
    """A challenge that was answered before is answered with `malformed`, as some CAs do."""
