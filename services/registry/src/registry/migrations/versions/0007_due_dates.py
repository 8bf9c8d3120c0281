"""When renewals must look at a certificate, so that a sweep reads only those; and the age of what was handled.

Every certificate that is managed is looked at once after the upgrade, and gets its date then.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("certificate", sa.Column("due_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE certificate SET due_at = state_since WHERE state NOT IN ('denied', 'revoked', 'retired')")
    op.create_index(op.f("ix_certificate_due_at"), "certificate", ["due_at"])
    op.create_index(op.f("ix_inbox_handled_at"), "inbox", ["handled_at"])
