"""Commands that need no server: a local system, a look at any endpoint, and the version."""

from pathlib import Path
from typing import Annotated, Final

import typer

from certbus.connection import DEFAULT_HOME
from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.output import print_json, print_table
from certbus.session import Output, present

__all__ = ["add_to"]

_LOCAL: Final = "certbus.local"
"""Entry points of the package that starts a local system, an extra of this one."""


def add_to(app: typer.Typer) -> None:
    app.command("run")(run_local)
    app.command("check")(check_targets)
    app.command()(version)


def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of  # noqa: PLC0415 # `--help` doesn't need it

    print(version_of("certbus-cli"))


def check_targets(
    targets: Annotated[list[str], typer.Argument(metavar="HOST[:PORT]", help="Where to look, by default at 443.")],
    *,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Trust these roots (PEM) instead of the system's.")
    ] = None,
    min_days: Annotated[
        int, typer.Option(min=0, max=36500, metavar="DAYS", help="Fewer days left than these are a finding.")
    ] = 14,
    output: Output = "table",
) -> None:
    """Shake hands with every address of each host and tell what is wrong there; needs no server.

    Leaves with 1 where anything was found.
    """
    import asyncio  # noqa: PLC0415 # imports long

    from certbus.check import TargetError, check, exit_code, parse_target  # noqa: PLC0415 # as above
    from certbus.check_views import check_table  # noqa: PLC0415 # as above
    from certprobe.handshake import Prober, TrustRootsError  # noqa: PLC0415 # as above

    try:
        read = [parse_target(target) for target in targets]
        results = asyncio.run(check(read, prober=Prober(ca_file=ca_file), clock=present, min_days=min_days))
    except TargetError as error:
        raise CommandError(
            str(error), exit_code=ExitCode.INVALID, next_step="give hosts such as example.org or 127.0.0.1:8443"
        ) from None
    except TrustRootsError as error:
        raise CommandError(str(error), exit_code=ExitCode.INVALID, next_step="give --ca-file a PEM file") from None
    if output == "json":
        print_json(results)
    else:
        print_table(check_table(results, present()))
    raise typer.Exit(exit_code(results))


def run_local(
    *,
    once: Annotated[bool, typer.Option("--once", help="Play the story, print its table, stop everything.")] = False,
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="Give both sites a real API server.")] = False,
    without: Annotated[
        str | None,
        typer.Option(metavar="SERVICE", help="Leave this one to you: print how to run it, and wait for it."),
    ] = None,
    knot: Annotated[
        bool,
        typer.Option(
            "--knot/--no-knot", help="Prove the names inside by a Knot DNS, where it is there or apt-get brings it."
        ),
    ] = True,
    home: Annotated[
        Path, typer.Option(envvar="CERTBUS_HOME", metavar="FOLDER", help="Where its state is kept.")
    ] = Path(DEFAULT_HOME),
) -> None:
    """Start the whole system on this machine, loopback only, and play its story; Ctrl-C stops it."""
    from importlib.metadata import entry_points  # noqa: PLC0415 # the other commands don't need it

    found = list(entry_points(group=_LOCAL, name="run"))
    if not found:
        raise CommandError(
            "the local system is not installed",
            exit_code=ExitCode.INVALID,
            next_step="install the command with its extra: certbus-cli[local]",
        )
    raise typer.Exit(found[0].load()(home, once=once, kubernetes=kubernetes, without=without, knot=knot))
