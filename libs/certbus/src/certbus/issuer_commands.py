"""What is asked of the issuer that is installed beside this command, with its own configuration.

The issuer's package has these commands: each is called with what was given here, its options and help are its own.
"""

import shlex
from typing import Final

import typer

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode

__all__ = ["app"]

_ISSUER: Final = "certbus.issuer"
"""Entry points of the issuer's package."""
_AS_GIVEN: Final = {"ignore_unknown_options": True, "allow_extra_args": True}

app = typer.Typer(
    no_args_is_help=True,
    help="Ask the issuer on this host: by its own settings (CERTBUS_CONFIG_FILE, CERTBUS_ISSUER_*).",
)


@app.command("test", context_settings=_AS_GIVEN, add_help_option=False)
def test(context: typer.Context) -> None:
    """Prove its settings for a name, without an order at the CA that would issue."""
    _ask("test", context)


@app.command("forecast", context_settings=_AS_GIVEN, add_help_option=False)
def forecast(context: typer.Context) -> None:
    """Tell when orders could go under the CAs' limits; its journal is only read."""
    _ask("forecast", context)


@app.command("revoke", context_settings=_AS_GIVEN, add_help_option=False)
def revoke(context: typer.Context) -> None:
    """Have a CA revoke a certificate that it issued."""
    _ask("revoke", context)


def _ask(command: str, context: typer.Context) -> None:
    from importlib.metadata import entry_points  # noqa: PLC0415 # the other commands don't need it

    found = list(entry_points(group=_ISSUER, name=command))
    if not found:
        raise CommandError(
            "the issuer is not installed here",
            exit_code=ExitCode.INVALID,
            next_step=f"run on the issuer's host, with its settings: python -m issuer {command}"
            f" {shlex.join(context.args)}".rstrip(),
        )
    raise typer.Exit(found[0].load()(context.args, prog=f"certbus issuer {command}"))
