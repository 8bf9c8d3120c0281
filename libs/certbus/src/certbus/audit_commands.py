"""`certbus audit …`: who did what, and whether somebody changed the record of it."""

from pathlib import Path
from typing import Annotated

import typer

from certbus.output import print_facts, print_json, print_page, print_table
from certbus.session import GLOBAL_OPTIONS_HINT, Output, connect, present

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Read and prove the audit.", epilog=GLOBAL_OPTIONS_HINT)

Word = Annotated[str | None, typer.Option(metavar="TEXT", help="Only entries with exactly this.")]


@app.command("list", epilog=GLOBAL_OPTIONS_HINT)
def list_entries(
    context: typer.Context,
    *,
    actor: Word = None,
    action: Word = None,
    about: Annotated[str | None, typer.Option("--object", metavar="TEXT", help="Only what was done to it.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From a time on, such as 2h or 2026-03-01T12:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before a time.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="So many at most.")] = 100,
    output: Output = "table",
) -> None:
    """List who did what, newest first. Needs the role auditor."""
    from itertools import islice  # noqa: PLC0415 # only here

    from certbus.audit_views import audit_table  # noqa: PLC0415 # imports long
    from certbus.replay_views import read_time  # noqa: PLC0415 # as above

    now = present()
    with connect(context) as registry:
        found = registry.audit(
            actor=actor,
            action=action,
            about=about,
            since=read_time(since, now) if since is not None else None,
            until=read_time(until, now) if until is not None else None,
            page=min(limit, 500),
        )
        entries = list(islice(found, limit))
    if output == "json":
        print_page(entries)
    else:
        print_table(audit_table(entries))


@app.command("export", epilog=GLOBAL_OPTIONS_HINT)
def export(context: typer.Context) -> None:
    """Write all of it to stdout, as lines of JSON with what proves that none is missing. Needs the role auditor.

    If it breaks off, the exit code says so, and so does `certbus audit verify` of what was written.
    """
    import sys  # noqa: PLC0415 # only here

    from certbus.output import forget_the_reader  # noqa: PLC0415 # as above

    with connect(context) as registry, registry.audit_export() as lines:
        try:
            for line in lines:
                sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # The reader has seen enough, as `| head` does.
            forget_the_reader()


@app.command("verify", epilog=GLOBAL_OPTIONS_HINT)
def verify(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An export; - for stdin. Without it, one is fetched.")
    ] = None,
    *,
    anchors: Annotated[
        list[Path] | None,
        typer.Option(
            "--anchors",
            metavar="FILE",
            help="Anchors that were kept elsewhere: an earlier export, or a registry's anchor.json. May be repeated.",
        ),
    ] = None,
    accept_restores: Annotated[
        bool, typer.Option("--accept-restores", help="Don't fail for what only restores of the database lost.")
    ] = False,
    output: Output = "table",
) -> None:
    """Find out whether an entry was changed, taken out or moved, or the end was cut off. A FILE needs no server.

    Exit code 1 if so, with each place where it shows.
    """
    from certbus.audit_files import known_anchors, opened  # noqa: PLC0415 # imports long
    from certbus.audit_views import finding_table, proof_facts, verdict  # noqa: PLC0415 # as above
    from certbus.exit_codes import ExitCode  # noqa: PLC0415 # as above
    from certbus.output import say  # noqa: PLC0415 # as above
    from certcore.audit_proof import prove  # noqa: PLC0415 # as above

    known = known_anchors(anchors or ())
    if file is None:
        with connect(context) as registry, registry.audit_export() as lines:
            proof = prove(lines, known)
    else:
        with opened(file) as content:
            proof = prove(content, known)
    if output == "json":
        print_json(proof)
    else:
        print_facts(proof_facts(proof))
        if proof.findings:
            print_table(finding_table(proof))
    say(verdict(proof, accept_restores=accept_restores))
    if not proof.holds(accept_restores=accept_restores):
        raise typer.Exit(ExitCode.FAILED)
