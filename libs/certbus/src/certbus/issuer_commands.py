"""What is asked of the issuer that is installed beside this command, with its own configuration."""

from typing import Annotated, Final

import typer

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode

__all__ = ["app"]

_ISSUER: Final = "certbus.issuer"
"""Entry points of the issuer's package."""

app = typer.Typer(no_args_is_help=True, help="Prove the configuration of the issuer on this host.")


@app.callback()
def _group() -> None:
    """A group also with one command."""


@app.command("test")
def prove(
    name: Annotated[str, typer.Argument(metavar="NAME|ZONE", help="A DNS name, a wildcard, or a zone.")],
    *,
    ca: Annotated[str | None, typer.Option(metavar="CA", help="This one instead of the policy's.")] = None,
    exposure: Annotated[str | None, typer.Option(metavar="internal|public", help="By default by the name.")] = None,
) -> None:
    """Prove the issuer's configuration for a name, without an order at the CA that would issue.

    It reads the issuer's own settings (CERTBUS_CONFIG_FILE, CERTBUS_ISSUER_*), so it runs on the issuer's host.
    Leaves with 0 where nothing failed, with 1 where a step failed, with 2 where a setting is wrong.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 # the other commands don't need it

    found = list(entry_points(group=_ISSUER, name="test"))
    if not found:
        raise CommandError(
            "the issuer is not installed here",
            exit_code=ExitCode.INVALID,
            next_step=f"run on the issuer's host, with its settings: python -m issuer test {name}",
        )
    arguments = [name, *(["--ca", ca] if ca else []), *(["--exposure", exposure] if exposure else [])]
    raise typer.Exit(found[0].load()(arguments))
