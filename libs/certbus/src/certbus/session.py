"""What every command that asks the registry shares: its options, and the client they lead to."""

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from certbus.connection import Options, find_connection
from certbus.output import Format

if TYPE_CHECKING:
    from certbus.client import Registry

__all__ = ["GLOBAL_OPTIONS_HINT", "Output", "Timeout", "connect", "present"]

Output = Annotated[Format, typer.Option("-o", "--output", help="A table to read, or the API's own models as JSON.")]
Timeout = Annotated[str, typer.Option(metavar="TIME", help="How long --wait waits, such as 90s, 5m or 1h30m.")]

GLOBAL_OPTIONS_HINT = "--url, --token-file and --as may stand anywhere: see `certbus --help`."


def connect(context: typer.Context) -> "Registry":
    """A client of the registry that the options name.

    Raises:
        CommandError: no registry or no token is known.
    """
    from certbus.client import Registry  # noqa: PLC0415 # what imports long is imported where it is used

    options = context.obj if isinstance(context.obj, Options) else Options()
    return Registry(find_connection(options, os.environ))


def present() -> datetime:
    return datetime.now(UTC)
