"""An index that has all that lists test and count of a certificate's row: rows are read for what is shown alone."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_COLUMNS = ("name", "owner", "state", "health", "exposure", "ca", "key_algorithm", "served_until", "renews_at")


def upgrade() -> None:
    op.create_index("ix_certificate_listed", "certificate", [*_COLUMNS])


def downgrade() -> None:
    op.drop_index("ix_certificate_listed", "certificate")
