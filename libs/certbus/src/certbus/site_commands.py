"""`certbus site …`: the sites, and every TLS Secret that was found there."""

from typing import Annotated

import typer

from certbus.output import print_json, print_page, print_table, say
from certbus.session import GLOBAL_OPTIONS_HINT, Output, connect, present

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="See sites and what is found there.", epilog=GLOBAL_OPTIONS_HINT)


@app.command("list", epilog=GLOBAL_OPTIONS_HINT)
def list_sites(context: typer.Context, *, output: Output = "table") -> None:
    """List sites, and which of their services are silent."""
    from certbus.site_views import site_table  # noqa: PLC0415 # imports long

    with connect(context) as registry:
        sites = list(registry.sites())
    if output == "json":
        print_page(sites)
    else:
        print_table(site_table(sites, present()))


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def review(
    context: typer.Context,
    site: Annotated[str, typer.Argument(metavar="SITE", help="As `certbus site list` shows it.")],
    *,
    output: Output = "table",
) -> None:
    """Show every TLS Secret of a site's clusters: who manages it, when it expires, what is wrong with it."""
    from certbus.site_views import review_table, review_warnings  # noqa: PLC0415 # imports long

    with connect(context) as registry:
        found = registry.review(site)
    if output == "json":
        print_json(found)
    else:
        say(*review_warnings(found, present()))
        print_table(review_table(found, present()))
