from alembic import context

from certkit.database import run_migrations
from monitor.adapters.tables import metadata

run_migrations(context.config, metadata, context.configure, context.run_migrations)
