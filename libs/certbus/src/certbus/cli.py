"""The command's tree, its global options, and how it ends. Nothing that imports long is imported here."""

import io
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from certbus import (
    alert_commands,
    audit_commands,
    backup_commands,
    cert_commands,
    event_commands,
    issuer_commands,
    local_commands,
    login_commands,
    policy_commands,
    request_commands,
    restore_commands,
    service_commands,
    site_commands,
    token_commands,
)
from certbus.connection import Options
from certbus.errors import CommandError
from certbus.exit_codes import MEANING, ExitCode
from certbus.output import say

__all__ = ["globals_first", "main", "run"]

_GLOBAL_OPTIONS: Final = ("--url", "--token-file", "--as")
_EPILOG: Final = "Exit codes:\n\n\b\n" + "\n".join(f"{code.value}  {meaning}" for code, meaning in MEANING.items())

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    epilog=_EPILOG,
)
app.add_typer(request_commands.app, name="request")
app.add_typer(cert_commands.app, name="cert")
app.add_typer(site_commands.app, name="site")
app.add_typer(service_commands.app, name="service")
app.add_typer(alert_commands.app, name="alert")
app.add_typer(audit_commands.app, name="audit")
app.add_typer(event_commands.app, name="event")
app.add_typer(token_commands.app, name="token")
app.add_typer(backup_commands.app, name="backup")
app.add_typer(restore_commands.app, name="restore")
app.add_typer(policy_commands.app, name="policy")
app.add_typer(issuer_commands.app, name="issuer")
login_commands.add_to(app)
local_commands.add_to(app)


@app.callback()
def certbus(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The registry. [env var: CERTBUS_URL]"),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the token. [env var: CERTBUS_TOKEN_FILE]"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="Use the local system's token of this name; by default admin."),
    ] = None,
) -> None:
    """Certificates from a request to a proven handshake.

    A local system's URL and tokens are found in the folder CERTBUS_HOME (.certbus by default).
    """
    context.obj = Options(url=url, token_file=token_file, name=name)


def globals_first(arguments: Sequence[str]) -> list[str]:
    """Move the global options to the front, so that they may stand anywhere, as kubectl's do."""
    front: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            rest += [argument, *remaining]
        elif argument in _GLOBAL_OPTIONS:
            front += [argument, *_one(remaining)]
        elif argument.startswith(tuple(f"{option}=" for option in _GLOBAL_OPTIONS)):
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest


def _one(remaining: Iterator[str]) -> list[str]:
    following = next(remaining, None)
    return [] if following is None else [following]


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. Failures that a user should expect become lines on stderr."""
    if list(arguments) == ["version"]:
        # Scripts ask for it often. typer would import pydantic first, for the global options that don't matter here.
        local_commands.version()
        return ExitCode.OK
    try:
        app(globals_first(arguments), prog_name="certbus")
    except CommandError as error:
        say(*error.lines())
        return error.exit_code
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ExitCode.OK
    return ExitCode.OK


def main() -> None:
    # Each command promises to leave at Ctrl-C. Under nohup, and behind `&` in a script, SIGINT starts out ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that can't show a character gets its number, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))
