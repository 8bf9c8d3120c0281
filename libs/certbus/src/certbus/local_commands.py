"""Commands that need no server: a local system, a look at any endpoint, and the version."""

from pathlib import Path
from typing import Annotated

import typer

from certbus.connection import DEFAULT_HOME

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    app.command("run")(run_local)
    app.command()(version)


def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of  # noqa: PLC0415 # `--help` doesn't need it

    print(version_of("certbus-cli"))


def run_local(
    *,
    once: Annotated[bool, typer.Option("--once", help="Play the story, print its table, stop everything.")] = False,
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="Give both sites a real API server.")] = False,
    home: Annotated[
        Path, typer.Option(envvar="CERTBUS_HOME", metavar="FOLDER", help="Where its state is kept.")
    ] = Path(DEFAULT_HOME),
) -> None:
    """Start the whole system on this machine, loopback only, and play its story; Ctrl-C stops it."""
    from certbus.local.run import run_local_system  # noqa: PLC0415 # imports long

    raise typer.Exit(run_local_system(home, once=once, kubernetes=kubernetes))
