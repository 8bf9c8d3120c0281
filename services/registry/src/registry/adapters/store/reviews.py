"""Rows of the TLS Secrets in a site's clusters, as its syncer reported them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection, bindparam, delete, literal, select, tuple_, update

from certcore.events import DiscoveredSecret
from certkit.database import UtcDateTime
from certkit.upsert import put_all
from registry.adapters import tables
from registry.domain.review import SecretKey, StoredReview, key_of

__all__ = ["Place", "Reviews"]

_NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)

_ROW: Final = tables.site_secret
_DROP: Final = delete(_ROW).where(
    _ROW.c.site == bindparam("its_site"),
    _ROW.c.cluster == bindparam("its_cluster"),
    _ROW.c.namespace == bindparam("its_namespace"),
    _ROW.c.secret == bindparam("its_name"),
)
_ORDER: Final = (_ROW.c.ends, _ROW.c.namespace, _ROW.c.secret, _ROW.c.cluster)


@dataclass(frozen=True)
class Place:
    """Where a Secret stands in its site's list: soonest end first."""

    ends: datetime
    namespace: str
    secret: str
    cluster: str


class Reviews:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, site: str) -> StoredReview | None:
        """Without the Secrets; None where there is no such site."""
        row = tables.site
        query = select(row.c.reviewed_at, row.c.review_digest, row.c.unreachable).where(row.c.name == site)
        found = self._connection.execute(query).one_or_none()
        if found is None:
            return None
        return StoredReview(found.review_digest, found.reviewed_at, tuple(found.unreachable))

    def page(
        self, site: str, *, after: Place | None, limit: int
    ) -> tuple[tuple[DiscoveredSecret, ...], Place | None]:
        """The Secrets of a site that come after a place, and the place to continue after."""
        query = select(_ROW).where(_ROW.c.site == site).order_by(*_ORDER).limit(limit)
        if after is not None:
            ends = literal(after.ends, UtcDateTime)
            query = query.where(tuple_(*_ORDER) > tuple_(ends, after.namespace, after.secret, after.cluster))
        rows = self._connection.execute(query).all()
        secrets = tuple(_readable(row.body for row in rows))
        if len(rows) < limit:
            return secrets, None
        last = rows[-1]
        return secrets, Place(last.ends, last.namespace, last.secret, last.cluster)

    def put(self, site: str, secrets: Sequence[DiscoveredSecret], *, review: str) -> None:
        """Store Secrets as the review of this digest names them."""
        rows = {key_of(secret): _values(site, secret, review) for secret in secrets}
        put_all(self._connection, _ROW, list(rows.values()), ("site", "cluster", "namespace", "secret"))

    def drop(self, site: str, keys: Sequence[SecretKey]) -> None:
        rows = [
            {"its_site": site, "its_cluster": cluster, "its_namespace": namespace, "its_name": name}
            for cluster, namespace, name in keys
        ]
        if rows:
            self._connection.execute(_DROP, rows)

    def drop_others(self, site: str, *, review: str | None) -> None:
        """Drop every Secret that another review named last; all of them, where none is given."""
        query = delete(_ROW).where(_ROW.c.site == site)
        self._connection.execute(query if review is None else query.where(_ROW.c.review != review))

    def save(self, site: str, review: StoredReview) -> None:
        row = tables.site
        values = {
            "review_digest": review.digest,
            "reviewed_at": review.reviewed_at,
            "unreachable": list(review.unreachable),
        }
        self._connection.execute(update(row).where(row.c.name == site).values(values))


def _values(site: str, secret: DiscoveredSecret, review: str) -> dict[str, Any]:
    return {
        "site": site,
        "cluster": secret.cluster,
        "namespace": secret.namespace,
        "secret": secret.secret,
        "ends": secret.not_after or _NEVER,
        "review": review,
        "body": secret.model_dump(mode="json"),
    }


def _readable(stored: Iterable[Any]) -> Iterable[DiscoveredSecret]:
    for item in stored:
        try:
            yield DiscoveredSecret.model_validate(item)
        except ValidationError:
            # The next review replaces it.
            continue
