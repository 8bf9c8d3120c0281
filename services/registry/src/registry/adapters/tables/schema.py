"""What all tables share."""

from typing import Final

from sqlalchemy import MetaData, String

from certkit.database import NAMING

__all__ = ["ID", "NAME", "metadata"]

metadata: Final = MetaData(naming_convention=NAMING)

ID: Final = String(36)

NAME: Final = String(253)
"""Of things in a cluster."""
