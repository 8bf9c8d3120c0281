"""What lists show of a rollout, as columns: the wanted revision and its end, and at how many places it is."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_COUNTS = ("targets_done", "targets_total", "endpoints_done", "endpoints_total")

_CERTIFICATE = sa.table(
    "certificate",
    sa.column("id", sa.String),
    sa.column("shown_revision", sa.Integer),
    sa.column("shown_not_after", sa.DateTime(timezone=True)),
    *(sa.column(name, sa.Integer) for name in _COUNTS),
)
_LEAF = sa.table(
    "revision",
    sa.column("certificate_id", sa.String),
    sa.column("number", sa.Integer),
    sa.column("variant", sa.String),
    sa.column("fingerprint_sha256", sa.String),
    sa.column("not_after", sa.DateTime(timezone=True)),
)
_PLACEMENT = sa.table(
    "placement",
    sa.column("certificate_id", sa.String),
    sa.column("target", sa.String),
    sa.column("variant", sa.String),
    sa.column("action", sa.String),
    sa.column("generation", sa.BigInteger),
    sa.column("wanted", sa.Integer),
    sa.column("held", sa.Integer),
    sa.column("held_generation", sa.BigInteger),
)
_ENDPOINT = sa.table(
    "endpoint",
    sa.column("certificate_id", sa.String),
    sa.column("target", sa.String),
    sa.column("verdict", sa.String),
    sa.column("served_fingerprint_sha256", sa.String),
)


def upgrade() -> None:
    op.add_column("certificate", sa.Column("shown_revision", sa.Integer()))
    op.add_column("certificate", sa.Column("shown_not_after", sa.DateTime(timezone=True)))
    for name in _COUNTS:
        op.add_column("certificate", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    placement, endpoint = _PLACEMENT.c, _ENDPOINT.c
    held = sa.and_(placement.held_generation == placement.generation, placement.held == placement.wanted)
    op.execute(
        sa.update(_CERTIFICATE).values(
            shown_revision=_shown(_LEAF.c.number),
            shown_not_after=_shown(_LEAF.c.not_after),
            targets_done=_count(_PLACEMENT, placement.action == "hold", held),
            targets_total=_count(_PLACEMENT),
            endpoints_done=_count(_ENDPOINT, endpoint.verdict == "wanted", _wanted_there()),
            endpoints_total=_count(_ENDPOINT),
        )
    )


def downgrade() -> None:
    for name in ("shown_revision", "shown_not_after", *_COUNTS):
        op.drop_column("certificate", name)


def _is_wanted() -> sa.ColumnElement[bool]:
    """Whether the leaf is what the placement should hold."""
    leaf, placement = _LEAF.c, _PLACEMENT.c
    return sa.and_(
        placement.certificate_id == leaf.certificate_id,
        placement.wanted == leaf.number,
        placement.variant == leaf.variant,
        placement.action == "hold",
    )


def _shown(column: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    """Of the newest leaf that a target should hold, and of that number the platform's variant first."""
    leaf = _LEAF.c
    return (
        sa.select(column)
        .join_from(_LEAF, _PLACEMENT, _is_wanted())
        .where(leaf.certificate_id == _CERTIFICATE.c.id)
        .order_by(leaf.number.desc(), leaf.variant == _PLACEMENT.c.target, leaf.variant)
        .limit(1)
        .correlate(_CERTIFICATE)
        .scalar_subquery()
    )


def _count(of: sa.TableClause, *such: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    own = of.c.certificate_id == _CERTIFICATE.c.id
    return sa.select(sa.func.count()).select_from(of).where(own, *such).correlate(_CERTIFICATE).scalar_subquery()


def _wanted_there() -> sa.ColumnElement[bool]:
    """Whether the endpoint serves what a placement should hold that it proves: the one that it names, or all."""
    leaf, endpoint = _LEAF.c, _ENDPOINT.c
    return (
        sa.select(sa.literal(1))
        .join_from(_LEAF, _PLACEMENT, _is_wanted())
        .where(
            leaf.certificate_id == endpoint.certificate_id,
            leaf.fingerprint_sha256 == endpoint.served_fingerprint_sha256,
            sa.or_(endpoint.target.is_(None), endpoint.target == _PLACEMENT.c.target),
        )
        .correlate(_ENDPOINT)
        .exists()
    )
