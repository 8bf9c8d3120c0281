"""`certbus event …`: what happens, as it happens."""

from typing import Annotated, Literal

import typer

from certbus.session import GLOBAL_OPTIONS_HINT, Output, connect

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Follow what happens.", epilog=GLOBAL_OPTIONS_HINT)


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
