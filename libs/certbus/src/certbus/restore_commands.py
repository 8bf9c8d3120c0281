"""`certbus restore …`: put a copy back, and see whether the registry runs on a restored one."""

import typer

from certbus.backup_commands import restore_from
from certbus.output import print_facts, print_json, print_table
from certbus.session import GLOBAL_OPTIONS_HINT, Output, connect, present

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Put a copy of the registry's database back, and see what that lost.",
    epilog=GLOBAL_OPTIONS_HINT,
)


@app.command("show", epilog=GLOBAL_OPTIONS_HINT)
def show(context: typer.Context, *, output: Output = "table") -> None:
    """Show the last restore, and certificates of the issuer that the registry doesn't know."""
    from certbus.restore_views import restore_facts, unknown_table  # noqa: PLC0415 # imports long

    with connect(context) as registry:
        restore = registry.restore()
    if output == "json":
        print_json(restore)
        return
    print_facts(restore_facts(restore, present()))
    if restore.unknown:
        print_table(unknown_table(restore, present()))


app.command("from")(restore_from)
