"""`certbus service …`: every service at every place, and which of them are silent."""

import typer

from certbus.output import print_page, print_table
from certbus.session import GLOBAL_OPTIONS_HINT, Output, connect, present

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="See the services that report.", epilog=GLOBAL_OPTIONS_HINT)


@app.command("list", epilog=GLOBAL_OPTIONS_HINT)
def list_services(context: typer.Context, *, output: Output = "table") -> None:
    """List services by place; silent ones should have sent a heartbeat by now."""
    from certbus.site_views import service_table  # noqa: PLC0415 # imports long

    with connect(context) as registry:
        services = list(registry.services())
    if output == "json":
        print_page(services)
    else:
        print_table(service_table(services, present()))
