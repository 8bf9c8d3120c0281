"""What all tables share."""

from typing import Final

from sqlalchemy import MetaData, String

from certkit.database import NAMING

__all__ = ["ID", "NAME", "WORD", "metadata"]

metadata: Final = MetaData(naming_convention=NAMING)

ID: Final = String(36)

NAME: Final = String(253)
"""Of things in a cluster."""

WORD: Final = String(253).with_variant(String(253, collation="C"), "postgresql")
"""Compared byte by byte everywhere, so that all that begins with a text stands together."""
