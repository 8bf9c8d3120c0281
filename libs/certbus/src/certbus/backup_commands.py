"""Copies of the registry's database: asked of the registry that is installed beside this command."""

from typing import Annotated, Final

import typer

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode

__all__ = ["app", "restore_from"]

_REGISTRY: Final = "certbus.registry"
"""Entry points of the registry's package."""

app = typer.Typer(help="Copy the database of the registry on this host, while it runs.")


@app.callback(invoke_without_command=True)
def backup(
    context: typer.Context,
    *,
    to: Annotated[str | None, typer.Option(metavar="FOLDER", help="The folder of all copies.")] = None,
    keep: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Remove all but the newest N copies there.")
    ] = None,
) -> None:
    """Copy the database of the registry on this host, while it runs.

    It reads the registry's own settings (CERTBUS_CONFIG_FILE, CERTBUS_REGISTRY_*), and needs no token. The copy holds
    no key that anybody but its recipient can open. Leaves with 1 where no copy was made, with 2 where a setting is
    wrong.
    """
    if context.invoked_subcommand is not None:
        return
    if to is None:
        raise CommandError("where to?", exit_code=ExitCode.INVALID, next_step="give --to FOLDER")
    _ask("backup", ["--to", to, *(["--keep", str(keep)] if keep is not None else [])])


@app.command("verify")
def verify(copy: Annotated[str, typer.Argument(metavar="COPY", help="A copy that `certbus backup` made.")]) -> None:
    """Read all of a copy: its file, its pages, and whether its audit is whole.

    One of PostgreSQL is brought into a database of its own on the server of the settings, and removed again. Leaves
    with 1 where anything is wrong.
    """
    _ask("backup", ["verify", copy])


def restore_from(
    copy: Annotated[str, typer.Argument(metavar="COPY", help="A copy that `certbus backup` made.")],
    *,
    older: Annotated[bool, typer.Option("--older", help="Also where the database there is newer.")] = False,
    other_database: Annotated[
        bool, typer.Option("--other-database", help="Also where another database was there.")
    ] = False,
) -> None:
    """Put a copy in the place of the database of the registry on this host, which is stopped.

    It reads the registry's own settings. What was there is kept beside it. Leaves with 1 where it is refused or
    fails: then nothing was changed.
    """
    _ask("restore", [copy, *(["--older"] if older else []), *(["--other-database"] if other_database else [])])


def _ask(what: str, arguments: list[str]) -> None:
    from importlib.metadata import entry_points  # noqa: PLC0415 # the other commands don't need it

    found = list(entry_points(group=_REGISTRY, name=what))
    if not found:
        raise CommandError(
            "the registry is not installed here",
            exit_code=ExitCode.INVALID,
            next_step=f"run on its host, with its settings: python -m registry {what} {' '.join(arguments)}",
        )
    raise typer.Exit(found[0].load()(arguments))
