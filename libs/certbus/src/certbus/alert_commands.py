"""`certbus alert …`: what is wrong now, with certificates and with the system itself."""

from typing import Annotated, Literal

import typer

from certbus.output import print_page, print_table
from certbus.session import GLOBAL_OPTIONS_HINT, Output, connect, present

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="See alerts.", epilog=GLOBAL_OPTIONS_HINT)


@app.command("list", epilog=GLOBAL_OPTIONS_HINT)
def list_alerts(
    context: typer.Context,
    *,
    state: Annotated[Literal["open", "resolved", "all"], typer.Option(help="Only alerts in this state.")] = "open",
    owner: Annotated[str | None, typer.Option(metavar="TEAM", help="Only this team's.")] = None,
    output: Output = "table",
) -> None:
    """List alerts, newest first; those about the system itself belong to the team platform."""
    from certbus.alert_views import alert_table  # noqa: PLC0415 # imports long

    with connect(context) as registry:
        alerts = list(registry.alerts(state=None if state == "all" else state, owner=owner))
    if output == "json":
        print_page(alerts)
    else:
        print_table(alert_table(alerts, present()))
