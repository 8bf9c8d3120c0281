"""`certbus request …`: asking for certificates, and deciding about what others ask for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.output import Format, print_facts, print_json, print_page, print_table, say
from certbus.session import GLOBAL_OPTIONS_HINT, Output, Timeout, connect, present
from certbus.time_spans import read_span

if TYPE_CHECKING:
    from certcore.api import RequestView

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Ask for certificates; approve or deny.", epilog=GLOBAL_OPTIONS_HINT)

_SPECS: Final = (
    "A SPEC is KIND:FIELD=VALUE,FIELD=VALUE, where + stands between the items of a list. Every kind has name=NAME; "
    "kinds from other packages have fields of their own. Such as:\n\n\b\n"
    "kubernetes:site=SITE,namespaces=ONE+TWO,secret=SECRET[,clusters=ONE+TWO]\n"
    "files:site=SITE[,store=STORE]\n"
    "haproxy:site=SITE[,instance=INSTANCE]\n\n"
)

RequestId = Annotated[str, typer.Argument(metavar="ID", help="As `certbus request list` shows it.")]


@app.command(epilog=_SPECS + GLOBAL_OPTIONS_HINT)
def create(
    context: typer.Context,
    *,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Unique name of the certificate.")] = None,
    dns: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A DNS name; may be repeated.")] = None,
    exposure: Annotated[
        Literal["internal", "public"] | None, typer.Option(help="Decides the CA, and who has to approve.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="A place that must get it, as below; may be repeated.",
        ),
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL[=TARGET]",
            help="https://host[:port] where it is used, watched from then on; may be repeated. "
            "With the name of a target it proves that target alone, else every target.",
        ),
    ] = None,
    no_proof: Annotated[
        bool, typer.Option("--no-proof", help="No monitor can reach an endpoint: the delivery itself is the proof.")
    ] = False,
    owner: Annotated[str | None, typer.Option(metavar="TEAM", help="By default, who asks.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="To find it by; may be repeated.")
    ] = None,
    contact: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Whom to ask about it, such as a mail address.")
    ] = None,
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.")] = None,
    issuer: Annotated[str | None, typer.Option(metavar="CA", help="By default, policy chooses.")] = None,
    key_algorithm: Annotated[
        Literal["ec-p256", "ec-p384", "rsa-2048", "rsa-3072"] | None, typer.Option(help="By default ec-p256.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("-f", "--file", metavar="FILE", help="The whole request as JSON instead; - is stdin."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Have it checked; store nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it is live and its health is ok.")] = False,
    timeout: Timeout = "5m",
    output: Output = "table",
) -> None:
    """Ask for a certificate.

    Prints what the request waits for. With --wait it goes on until the certificate is live and its health is ok, or
    it is live and degraded; tells on stderr how far it is, and leaves with the exit code of what was reached.
    """
    from certbus.request_body import body_of_options, check_body, installed_kinds, read_file  # noqa: PLC0415 # imports long
    from certbus.waiting import watch_roll_out  # noqa: PLC0415 # as above
    from certcore.certificate import Proof  # noqa: PLC0415 # as above

    span = read_span(timeout)
    given = {
        "name": name,
        "dns_names": dns,
        "exposure": exposure,
        "owner": owner,
        "issuer": issuer,
        "key_algorithm": key_algorithm,
        "contact": contact,
        "description": description,
    }
    if dry_run and wait:
        raise _contradiction("--dry-run and --wait contradict each other")
    if no_proof and endpoint:
        raise _contradiction("--no-proof and --endpoint contradict each other")
    if file and (target or endpoint or label or no_proof or any(given.values())):
        raise _contradiction("a request comes from --file or from options, not from both")
    kinds = installed_kinds()
    body = (
        read_file(file)
        if file
        else body_of_options(
            given,
            targets=target or [],
            endpoints=endpoint or [],
            labels=label or [],
            proof=Proof.NONE if no_proof else None,
            kinds=kinds,
        )
    )
    if unknown := check_body(body, kinds):
        say(f"not checked here, since the registry alone may know targets of the kind {', '.join(unknown)}")
    ended = ExitCode.OK
    with connect(context) as registry:
        request = registry.create_request(body, dry_run=dry_run)
        if wait:
            _tell(request)
            ended = watch_roll_out(registry, request.name, revision=1, timeout=span)
            request = registry.request(request.id)
        elif dry_run:
            say("dry run: nothing was stored")
        else:
            _tell(request)
    _print(request, output)
    raise typer.Exit(ended)


@app.command("list", epilog=GLOBAL_OPTIONS_HINT)
def list_requests(
    context: typer.Context,
    *,
    state: Annotated[
        Literal["waiting", "approved", "denied", "expired"] | None, typer.Option(help="Only these.")
    ] = None,
    output: Output = "table",
) -> None:
    """List requests."""
    from certbus.request_views import request_table  # noqa: PLC0415 # imports long

    with connect(context) as registry:
        requests = list(registry.requests(state=state))
    if output == "json":
        print_page(requests)
    else:
        print_table(request_table(requests, present()))


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def show(context: typer.Context, request_id: RequestId, *, output: Output = "table") -> None:
    """Show a request, and why it waits."""
    with connect(context) as registry:
        _print(registry.request(request_id), output)


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def approve(
    context: typer.Context,
    request_id: RequestId,
    *,
    reason: Annotated[str, typer.Option(help="Kept with the approval.")] = "",
    output: Output = "table",
) -> None:
    """Approve a request. Renewals cite this approval until the request changes."""
    _decide(context, request_id, "approve", reason, output)


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def deny(
    context: typer.Context,
    request_id: RequestId,
    *,
    reason: Annotated[str, typer.Option(help="Told to whoever asked.")],
    output: Output = "table",
) -> None:
    """Deny a request."""
    _decide(context, request_id, "deny", reason, output)


def _decide(
    context: typer.Context, request_id: str, verdict: Literal["approve", "deny"], reason: str, output: Format
) -> None:
    from certbus.request_views import request_line  # noqa: PLC0415 # imports long
    from certcore.api import Decision  # noqa: PLC0415 # as above

    with connect(context) as registry:
        request = registry.decide(request_id, verdict, Decision(reason=reason))
    if output == "json":
        print_json(request)
    else:
        say(request_line(request))


def _tell(request: "RequestView") -> None:
    from certbus.request_views import next_step, request_line  # noqa: PLC0415 # imports long

    say(request_line(request), next_step(request))


def _print(request: "RequestView", output: Format) -> None:
    from certbus.request_views import request_facts  # noqa: PLC0415 # imports long

    if output == "json":
        print_json(request)
    else:
        print_facts(request_facts(request, present()))


def _contradiction(message: str) -> CommandError:
    return CommandError(message, exit_code=ExitCode.INVALID, next_step="give one of the two")
