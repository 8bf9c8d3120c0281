"""`certbus cert …`: what there is, where it is served, and renewal now."""

from typing import Annotated

import typer

from certbus.cert_filters import (
    CaOption,
    DnsOption,
    DomainOption,
    ExpiresOption,
    ExposureOption,
    HealthOption,
    KeyOption,
    LabelOption,
    OwnerOption,
    RenewsOption,
    SearchOption,
    SerialOption,
    SiteOption,
    SortOption,
    SpkiOption,
    StateOption,
    TargetOption,
    read_query,
)
from certbus.exit_codes import ExitCode
from certbus.output import print_facts, print_json, print_page, print_table, say
from certbus.session import GLOBAL_OPTIONS_HINT, Output, Timeout, connect, present
from certbus.time_spans import read_span

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="See and renew certificates.", epilog=GLOBAL_OPTIONS_HINT)

CertificateArgument = Annotated[str, typer.Argument(metavar="NAME", help="As `certbus cert list` shows it.")]


@app.command("list", epilog=GLOBAL_OPTIONS_HINT)
def list_certificates(
    context: typer.Context,
    *,
    owner: OwnerOption = None,
    state: StateOption = None,
    health: HealthOption = None,
    search: SearchOption = None,
    dns: DnsOption = None,
    domain: DomainOption = None,
    label: LabelOption = None,
    exposure: ExposureOption = None,
    ca: CaOption = None,
    site: SiteOption = None,
    target: TargetOption = None,
    key: KeyOption = None,
    serial: SerialOption = None,
    spki: SpkiOption = None,
    expires: ExpiresOption = None,
    renews: RenewsOption = None,
    sort: SortOption = None,
    output: Output = "table",
) -> None:
    """List certificates, soonest expiry first.

    EXPIRES is the end of what is served, or of what will be; RENEWS is when renewals do something about it. REASON is
    that of the state or of the health, whichever is worse.
    """
    query = read_query(
        {
            "owner": owner,
            "state": state,
            "health": health,
            "q": search,
            "dns": dns,
            "domain": domain,
            "label": label,
            "exposure": exposure,
            "ca": ca,
            "site": site,
            "target": target,
            "key": key,
            "serial": serial,
            "spki": spki,
            "sort": sort,
        },
        expires=expires,
        renews=renews,
        now=present(),
    )
    with connect(context) as registry:
        certificates = list(registry.certificates(query))
    if output == "json":
        print_page(certificates)
        return
    from certbus.certificate_views import certificate_table, soonest_first  # noqa: PLC0415 # imports long

    now = present()
    print_table(certificate_table(certificates if sort else soonest_first(certificates), now))


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def show(context: typer.Context, name: CertificateArgument, *, output: Output = "table") -> None:
    """Show a certificate: facts, conditions, and where it is wanted, delivered and served."""
    with connect(context) as registry:
        view = registry.certificate(name)
    if output == "json":
        print_json(view)
        return
    from certbus.certificate_views import (  # noqa: PLC0415 # imports long
        certificate_facts,
        condition_table,
        endpoint_grid,
        target_grid,
        variant_table,
    )

    now = present()
    print_facts(certificate_facts(view, now))
    tables = [condition_table(view, now), target_grid(view, now), endpoint_grid(view, now)]
    if len(view.variants) > 1:
        tables.insert(1, variant_table(view.variants, now))
    for table in tables:
        print()
        print_table(table)


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def reapprove(context: typer.Context, name: CertificateArgument, *, output: Output = "table") -> None:
    """Ask for a new approval of a certificate as it is, before the present one ends."""
    from certbus.request_views import next_step, request_line  # noqa: PLC0415 # imports long

    with connect(context) as registry:
        request = registry.reapprove(name)
    if output == "json":
        print_json(request)
    else:
        say(request_line(request), next_step(request))


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def renew(
    context: typer.Context,
    name: CertificateArgument,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it is live and its health is ok.")] = False,
    even_in_freeze: Annotated[
        bool, typer.Option("--even-in-freeze", help="Also where a freeze of the policy holds it; for operators.")
    ] = False,
    timeout: Timeout = "5m",
    output: Output = "table",
) -> None:
    """Renew a certificate now. The old revision is served until the new one is there.

    In a freeze of the policy it is refused, until the last sixth of its lifetime begins.
    With --wait it ends as soon as the new revision is live with health ok, or live and degraded.
    """
    from certbus.waiting import watch_roll_out  # noqa: PLC0415 # imports long

    span = read_span(timeout)
    ended = ExitCode.OK
    with connect(context) as registry:
        answer = registry.renew(name, even_in_freeze=even_in_freeze)
        say(f"{answer.name}: {answer.state}, revision {answer.revision} ({answer.reason})")
        if wait:
            ended = watch_roll_out(registry, answer.name, revision=answer.revision, timeout=span)
            view = registry.certificate(answer.name)
            answer = answer.model_copy(update={"state": view.state, "reason": view.reason})
    if output == "json":
        print_json(answer)
    raise typer.Exit(ended)
