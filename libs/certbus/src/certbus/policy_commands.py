"""`certbus policy …`: who may have which name where, read and tried without asking for anything."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.output import print_facts, print_json, say
from certbus.session import GLOBAL_OPTIONS_HINT, Output, connect

if TYPE_CHECKING:
    from certcore.policy.document import Policy

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="Check a policy file; try what policy says of a request.", epilog=GLOBAL_OPTIONS_HINT
)

PolicyFile = Annotated[Path, typer.Argument(metavar="FILE", help="A policy file; - is stdin.")]


@app.command()
def check(file: PolicyFile) -> None:
    """Check a policy file, without a server. Prints its digest.

    Leaves with 0 where it can be used, with 2 where it can't: then each field at fault is named. What can be used
    and may be meant otherwise is told.
    """
    from certcore.policy.file import policy_digest  # noqa: PLC0415 # imports long
    from certcore.policy.windows import doubts  # noqa: PLC0415 # as above

    policy = _read(file)
    for doubt in doubts(policy.windows, policy.freeze):
        say(f"{doubt.field}: {doubt.message}")
    say(f"{len(policy.teams)} teams, {len(policy.rules)} rules, {len(policy.groups)} groups")
    print_facts([("digest", policy_digest(policy))])


@app.command("test", epilog=GLOBAL_OPTIONS_HINT)
def try_request(
    context: typer.Context,
    request: Annotated[Path, typer.Argument(metavar="FILE", help="A request as JSON; - is stdin.")],
    *,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="This policy instead of the registry's; asks no server.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option(metavar="TEAM", help="For whom; by default the request's owner, or who asks.")
    ] = None,
    output: Output = "table",
) -> None:
    """Say for a request what would be asked of whom, and why; nothing is stored.

    Leaves with 0 where policy allows it, with 2 where it doesn't.
    """
    from certbus.policy_views import verdict_facts  # noqa: PLC0415 # imports long
    from certbus.request_body import installed_kinds, read_file, read_request  # noqa: PLC0415 # as above
    from certcore.policy.file import policy_digest  # noqa: PLC0415 # as above
    from certcore.policy.judgement import judge  # noqa: PLC0415 # as above
    from certcore.policy.verdict import verdict_of  # noqa: PLC0415 # as above

    body = read_file(request)
    if policy is None:
        with connect(context) as registry:
            verdict = registry.try_policy(body, owner=owner)
    else:
        spec, read = read_request(body, installed_kinds()), _read(policy)
        team = owner or spec.owner
        if team is None:
            raise CommandError(
                "the request names no owner", exit_code=ExitCode.INVALID, next_step="say for which team: --owner TEAM"
            )
        verdict = verdict_of(judge(read, spec, owner=team), spec, digest=policy_digest(read))
    if output == "json":
        print_json(verdict)
    else:
        print_facts(verdict_facts(verdict))
    raise typer.Exit(ExitCode.OK if verdict.allowed else ExitCode.INVALID)


@app.command(epilog=GLOBAL_OPTIONS_HINT)
def show(context: typer.Context) -> None:
    """Print the policy that the registry holds, and its digest, as JSON."""
    with connect(context) as registry:
        print_json(registry.policy())


def _read(file: Path) -> "Policy":
    from certbus.request_body import installed_kinds, read_file  # noqa: PLC0415 # imports long
    from certcore.policy.file import read_policy  # noqa: PLC0415 # as above
    from certcore.policy.text import MAX_POLICY_BYTES, parse_policy_text  # noqa: PLC0415 # as above
    from certcore.rejection import RejectedError  # noqa: PLC0415 # as above

    text = read_file(file, most=MAX_POLICY_BYTES)
    try:
        return read_policy(parse_policy_text(text), installed_kinds())
    except RejectedError as error:
        raise CommandError(
            f"{file} is no policy that can be used",
            exit_code=ExitCode.INVALID,
            fields=[(rejection.field, rejection.message) for rejection in error.rejections],
        ) from None
