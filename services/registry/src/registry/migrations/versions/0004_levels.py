"""Levels in pages, and the reviews of sites by Secret.

Indexes lead a page straight to its rows. The Secrets of a site, in one column until now, become rows of their own.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
_NAME = sa.String(length=253)


def upgrade() -> None:
    _indexes()
    _secrets()


def _indexes() -> None:
    op.drop_index(op.f("ix_certificate_state"), "certificate")
    op.create_index(op.f("ix_certificate_state_id"), "certificate", ["state", "id"])
    op.create_index(op.f("ix_signing_request_state_certificate_id"), "signing_request", ["state", "certificate_id"])
    op.drop_index("ix_placement_place_service", "placement")
    op.create_index("ix_placement_place_service", "placement", ["place", "service", "certificate_id"])


def _secrets() -> None:
    op.create_table(
        "site_secret",
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.Column("cluster", _NAME, nullable=False),
        sa.Column("namespace", _NAME, nullable=False),
        sa.Column("secret", _NAME, nullable=False),
        sa.Column("ends", _INSTANT, nullable=False),
        sa.Column("review", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["site"], ["site.name"], name=op.f("fk_site_secret_site")),
        sa.PrimaryKeyConstraint("site", "cluster", "namespace", "secret", name=op.f("pk_site_secret")),
    )
    op.create_index(op.f("ix_site_secret_site_ends"), "site_secret", ["site", "ends"])
    op.add_column("site", sa.Column("review_digest", sa.String(length=64)))
    op.add_column("site", sa.Column("unreachable", sa.JSON(), nullable=False, server_default="[]"))
    site = sa.table(
        "site", sa.column("name", sa.String), sa.column("review", sa.JSON), sa.column("unreachable", sa.JSON)
    )
    connection = op.get_bind()
    for name in list(connection.execute(sa.select(site.c.name)).scalars()):
        review = connection.execute(sa.select(site.c.review).where(site.c.name == name)).scalar_one() or {}
        unreachable = [str(cluster) for cluster in review.get("unreachable", ())]
        connection.execute(sa.update(site).where(site.c.name == name).values(unreachable=unreachable))
        rows = {row["cluster"] + "\n" + row["namespace"] + "\n" + row["secret"]: row for row in _rows(name, review)}
        if rows:
            connection.execute(sa.insert(_table()), list(rows.values()))
    op.drop_column("site", "review")


def _table() -> sa.TableClause:
    return sa.table(
        "site_secret",
        sa.column("site", sa.String),
        sa.column("cluster", sa.String),
        sa.column("namespace", sa.String),
        sa.column("secret", sa.String),
        sa.column("ends", _INSTANT),
        sa.column("review", sa.String),
        sa.column("body", sa.JSON),
    )


def _rows(site: str, review: dict[str, Any]) -> list[dict[str, Any]]:
    """What can't be read is left out: the site's next review brings it again."""
    found = []
    for secret in review.get("secrets", ()):
        try:
            names = [str(secret[part]) for part in ("cluster", "namespace", "secret")]
            ends = datetime.fromisoformat(secret["not_after"]) if secret.get("not_after") else _NEVER
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if all(0 < len(name) <= 253 for name in names):
            cluster, namespace, name = names
            row = {"site": site, "cluster": cluster, "namespace": namespace, "secret": name}
            found.append(row | {"ends": ends.astimezone(UTC), "review": "", "body": secret})
    return found
