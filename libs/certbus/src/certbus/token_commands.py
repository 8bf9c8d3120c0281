"""`certbus token …`: whose tokens there are; making, rotating and revoking them.

A token itself goes into a file and never to the terminal, whose lines are kept and copied.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.output import print_json, print_page, print_table, say
from certbus.session import GLOBAL_OPTIONS_HINT, Output, connect, present

if TYPE_CHECKING:
    from certcore.tokens import TokenView

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="See, make, rotate and revoke tokens.", epilog=GLOBAL_OPTIONS_HINT)

ChangeId = Annotated[str, typer.Argument(metavar="ID", help="As `certbus token changes` shows it.")]
TokenId = Annotated[str, typer.Argument(metavar="ID", help="As `certbus token list` shows it.")]
OutFile = Annotated[
    Path, typer.Option("--to", metavar="FILE", help="Where the token is put, mode 0600; it is shown nowhere else.")
]


@app.command("list", epilog=GLOBAL_OPTIONS_HINT)
def list_tokens(
    context: typer.Context,
    *,
    ended: Annotated[bool, typer.Option("--ended", help="Those as well that expired or were revoked.")] = False,
    output: Output = "table",
) -> None:
    """List tokens, newest first: an admin sees everybody's, others their own."""
    from certbus.token_views import token_table  # noqa: PLC0415 # imports long

    with connect(context) as registry:
        tokens = list(registry.tokens(ended=ended))
    if output == "json":
        print_page(tokens)
    else:
        print_table(token_table(tokens, present()))


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def make(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Who it stands for.")],
    *,
    owner: Annotated[str, typer.Option(metavar="TEAM", help="The team that they act for.")],
    to: OutFile,
    role: Annotated[list[str] | None, typer.Option(metavar="ROLE", help="What they may do; may be repeated.")] = None,
    kind: Annotated[
        Literal["person", "workload", "service"] | None,
        typer.Option(help="Who stands behind it; a workload never approves. By default as the roles are."),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="To tell several of one subject apart.")] = None,
    days: Annotated[
        int | None, typer.Option(metavar="DAYS", help="How long it lives: by default 90, a service's 366 days.")
    ] = None,
    endless: Annotated[bool, typer.Option("--endless", help="A service's alone: it never expires.")] = False,
    site: Annotated[str | None, typer.Option(metavar="SITE", help="Where a deliverer is.")] = None,
    service: Annotated[Literal["syncer", "pusher"] | None, typer.Option(help="What a deliverer is.")] = None,
    output: Output = "table",
) -> None:
    """Make a token; for admins. Where policy asks a second one, it waits for them, see `certbus token changes`."""
    from pydantic import ValidationError  # noqa: PLC0415 # as above

    from certcore.tokens import TokenOrder  # noqa: PLC0415 # as above

    _check_new(to)
    given = {
        "subject": subject,
        "owner": owner,
        "roles": role or [],
        "kind": kind,
        "name": name,
        "days": days,
        "endless": endless,
        "site": site,
        "service": service,
    }
    try:
        order = TokenOrder.model_validate(given)
    except ValidationError as error:
        fields = ", ".join(dict.fromkeys(str(fault["loc"][0]) for fault in error.errors()))
        raise CommandError(
            f"there can be no such token: {fields}",
            exit_code=ExitCode.INVALID,
            next_step="see `certbus token make --help`",
        ) from None
    with connect(context) as registry:
        made = registry.make_token(order)
    _hand_over(made, to, output)


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def rotate(context: typer.Context, token_id: TokenId, *, to: OutFile, output: Output = "table") -> None:
    """Make a new token in place of one, which ends within an hour; your own, or as an admin anybody's.

    Your own ends when the old one would have; an admin gives it a new life.
    """
    _check_folder(to)
    with connect(context) as registry:
        made = registry.rotate_token(token_id)
    _hand_over(made, to, output)


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def revoke(context: typer.Context, token_id: TokenId) -> None:
    """End a token at once; your own, or as an admin anybody's."""
    with connect(context) as registry:
        registry.revoke_token(token_id)
    say(f"{token_id} opens nothing any more")


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def changes(
    context: typer.Context,
    *,
    ended: Annotated[bool, typer.Option("--ended", help="Also what is done, refused or expired.")] = False,
    output: Output = "table",
) -> None:
    """List changes of rights that wait for a second admin, or to be taken; newest first."""
    from certbus.token_views import change_table  # noqa: PLC0415 # as above

    with connect(context) as registry:
        found = list(registry.rights_changes(ended=ended))
    if output == "json":
        print_page(found)
    else:
        print_table(change_table(found, present()))


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def confirm(context: typer.Context, change_id: ChangeId) -> None:
    """Agree to a change of rights as the second admin; not to what you asked for, nor to what is for yourself."""
    with connect(context) as registry:
        change = registry.decide_rights(change_id, "confirm")
    then = "it is done" if change.act == "revoke" else f"{change.asked_by} takes the token now"
    say(f"confirmed: {then}")


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def refuse(
    context: typer.Context,
    change_id: ChangeId,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with it and in the audit.")] = "",
) -> None:
    """Say no to a change of rights, as any admin."""
    with connect(context) as registry:
        registry.decide_rights(change_id, "refuse", reason)
    say(f"{change_id} comes to nothing")


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def take(context: typer.Context, change_id: ChangeId, *, to: OutFile, output: Output = "table") -> None:
    """Take the token of a change that you asked for and another admin confirmed."""
    _check_new(to)
    with connect(context) as registry:
        made = registry.take_token(change_id)
    _hand_over(made, to, output)


def _check_new(file: Path) -> None:
    if file.exists():
        raise CommandError(
            f"{file} is there already", exit_code=ExitCode.INVALID, next_step="give a file that isn't, or remove it"
        )
    _check_folder(file)


def _check_folder(file: Path) -> None:
    """Before there is a token that would be lost."""
    folder = file.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise CommandError(f"no file can be made in {folder}", exit_code=ExitCode.INVALID)


def _hand_over(made: "TokenView", file: Path, output: Output) -> None:
    from certcore.private_files import replace_private  # noqa: PLC0415 # as above

    try:
        replace_private(file, f"{made.token}\n".encode())
    except OSError as error:
        raise CommandError(
            f"the token was made, and could not be put into {file}: {error.strerror or type(error).__name__}",
            exit_code=ExitCode.INVALID,
            next_step=f"certbus token revoke {made.id}",
        ) from None
    if output == "json":
        print_json(made.model_copy(update={"token": ""}))
    else:
        until = f"until {made.expires_at:%Y-%m-%d %H:%M} UTC" if made.expires_at else "without an end"
        say(f"{made.id} of {made.subject} is in {file}, {until}")
