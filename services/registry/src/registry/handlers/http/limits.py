"""Budgets of callers, in the memory of this process: who asks for more is told when to come again."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from prometheus_client import CollectorRegistry

from certcore.tokens import TokenKind
from certkit import metric_names
from certkit.metric_names import counter
from registry.domain.access import Principal
from registry.domain.attempts import place_of
from registry.domain.budget import Bucket, Kind, Rate, kind_of, take
from registry.domain.errors import TooManyError

__all__ = ["Limits"]

_MOST: Final = 10_000
"""Buckets; of more, the one that was used longest ago is forgotten, and is full when its caller comes again."""


class Limits:
    def __init__(
        self,
        rates: Mapping[Kind, Rate],
        *,
        metrics: CollectorRegistry,
        now_s: Callable[[], float] = time.monotonic,
        most: int = _MOST,
    ) -> None:
        self._rates = rates
        self._now_s = now_s
        self._most = most
        self._limited = counter(metric_names.LIMITED_REQUESTS, metrics)
        self._buckets: OrderedDict[tuple[Kind, str], Bucket] = OrderedDict()

    def spend(self, caller: Principal, *, method: str, route: str) -> None:
        """Take one request out of the caller's budget.

        Raises:
            TooManyError: there is none left; names when there will be.
        """
        # All open pages have one subject.
        who = caller.token_id if caller.kind is TokenKind.SESSION else f"{caller.issuer}\n{caller.subject}"
        self._take(kind_of(caller.kind, method=method, route=route), who)

    def failed(self, address: str | None) -> None:
        """Take a failed login out of an address's budget. A valid token is never refused for what others do there.

        Raises:
            TooManyError: as `spend`.
        """
        self._take(Kind.STRANGER, place_of(address))

    def _take(self, kind: Kind, who: str) -> None:
        key = (kind, who)
        bucket, wait_s = take(self._buckets.pop(key, None), self._rates[kind], now_s=self._now_s())
        self._buckets[key] = bucket
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        if wait_s > 0:
            self._limited.labels(kind.value).inc()
            raise TooManyError(f"too many requests of the kind {kind}", retry_after=timedelta(seconds=wait_s))
