"""`certbus event …`: what happens, as it happens."""

from typing import Annotated, Literal

import typer

from certbus.session import GLOBAL_OPTIONS_HINT, Output, connect, present

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Follow and repeat what happens.", epilog=GLOBAL_OPTIONS_HINT)


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def follow(
    context: typer.Context,
    *,
    since: Annotated[Literal["now", "start"], typer.Option(help="Where to begin.")] = "now",
    kind: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Only these, such as issued or live; may be repeated."),
    ] = None,
    certificate: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this certificate's, by name or id.")
    ] = None,
    output: Output = "table",
) -> None:
    """Print each event on a line, until Ctrl-C. With -o json each line is a CloudEvent."""
    from certbus.event_lines import Wanted, event_line, read_event  # noqa: PLC0415 # imports long
    from certbus.following import follow_events  # noqa: PLC0415 # as above
    from certbus.output import forget_the_reader, print_json_line, print_line, say  # noqa: PLC0415 # as above

    wanted = Wanted(types=frozenset(kind or ()), certificate=certificate)
    with connect(context) as registry:
        try:
            for message in follow_events(registry.events, since_now=since == "now", tell=say):
                event = read_event(message)
                if event is None or not wanted.takes(event):
                    continue
                if output == "json":
                    print_json_line(event)
                else:
                    print_line(event_line(event))
        except KeyboardInterrupt:
            raise typer.Exit from None
        except BrokenPipeError:
            # The reader has seen enough, as `| head` does.
            forget_the_reader()


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def replay(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Events, by their ids.")] = None,
    *,
    certificate: Annotated[
        str | None, typer.Option(metavar="NAME", help="Those about this certificate, by name or id.")
    ] = None,
    stream: Annotated[str | None, typer.Option(metavar="STREAM", help="Those of a stream, such as CERTS.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Those since a time, such as 2h or 2026-03-01T12:00:00Z.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which they are.")] = False,
    output: Output = "table",
) -> None:
    """Publish stored events again, for consumers that lost them. Those who have them know them by their ids.

    Several conditions must all hold. Of the deployments of a certificate only the newest is published.
    """
    from certbus.output import print_json, print_table, say  # noqa: PLC0415 # imports long
    from certbus.replay_views import read_time, replay_summary, replay_table  # noqa: PLC0415 # as above
    from certcore.replay import ReplayOrder  # noqa: PLC0415 # as above

    order = ReplayOrder(
        ids=tuple(ids or ()),
        certificate=certificate,
        stream=stream,
        since=read_time(since, present()) if since is not None else None,
    )
    with connect(context) as registry:
        answer = registry.replay(order, dry_run=dry_run)
    if output == "json":
        print_json(answer)
    else:
        print_table(replay_table(answer))
        say(*replay_summary(answer, dry_run=dry_run))
