"""`certbus login`, `logout` and `whoami`: people sign in by their company's provider, in a browser."""

import os
import secrets
import webbrowser
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from certbus.connection import Connection, Options, find_connection, find_registry, session_file
from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.output import print_facts, print_json, say
from certbus.session import GLOBAL_OPTIONS_HINT, Output, present

if TYPE_CHECKING:
    from certbus.sign_in_client import SignInRegistry
    from certcore.tokens import TokenView

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    for command in (login, logout, whoami):
        app.command(epilog=GLOBAL_OPTIONS_HINT)(command)


def login(
    context: typer.Context,
    *,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the address in a browser, or only show it.")
    ] = True,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Where the browser comes back; 0: any free one.")
    ] = 0,
    device: Annotated[
        bool, typer.Option("--device", help="This machine has no browser: type a code at another one's.")
    ] = False,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="How long it waits, such as 90s or 5m.")] = "5m",
) -> None:
    """Sign in by your company's provider.

    The session that the registry gives is kept in CERTBUS_HOME, mode 0600, for this registry alone.
    """
    from certbus.time_spans import read_span  # noqa: PLC0415 # imports long

    registry, patience = find_registry(_options(context), os.environ), read_span(timeout).total_seconds()
    if device:
        made = _by_device(registry, patience_s=patience)
    else:
        made = _by_browser(registry, browser=browser, port=port, patience_s=patience)
    _keep(registry, made)


def _by_browser(registry: Connection, *, browser: bool, port: int, patience_s: float) -> "TokenView":
    from certbus.login_door import LoginDoor  # noqa: PLC0415 # imports long
    from certcore.proof_key import challenge_of, words_of  # noqa: PLC0415 # as above
    from certcore.tokens import SessionOrder  # noqa: PLC0415 # as above

    verifier, state = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    challenge = challenge_of(verifier)
    try:
        door = LoginDoor(state=state, port=port)
    except OSError as error:
        raise CommandError(
            f"port {port} can't be used: {error.strerror}",
            exit_code=ExitCode.INVALID,
            next_step="give another --port",
        ) from None
    with door:
        url = f"{registry.url}/login?{urlencode({'port': door.port, 'challenge': challenge, 'state': state})}"
        say(f"Sign in at {url}", f"The page must show {words_of(challenge)}: go on only then.")
        if browser:
            webbrowser.open(url)
        code = door.wait(timeout_s=patience_s)
    if code is None:
        raise _nobody()
    with _client(registry) as client:
        return client.session(SessionOrder(code=code, verifier=verifier))


def _by_device(registry: Connection, *, patience_s: float) -> "TokenView":
    from certbus.device_login import device_login  # noqa: PLC0415 # imports long

    with _client(registry) as client:
        made = device_login(client, verifier=secrets.token_urlsafe(32), patience_s=patience_s)
    if made is None:
        raise _nobody()
    return made


def _nobody() -> CommandError:
    return CommandError("nobody signed in", exit_code=ExitCode.TIMED_OUT, next_step="say `certbus login` again")


def _keep(registry: Connection, made: "TokenView") -> None:
    from certcore.private_files import replace_private  # noqa: PLC0415 # imports long

    replace_private(session_file(os.environ, registry.url), f"{made.token}\n".encode())
    ends = f" until {made.expires_at.astimezone():%Y-%m-%d %H:%M}" if made.expires_at else ""
    say(f"Signed in as {made.name} ({made.subject}){ends}.")


def logout(context: typer.Context) -> None:
    """End the session that `certbus login` began, at the registry too."""
    options = _options(context)
    registry = find_registry(options, os.environ)
    file = session_file(os.environ, registry.url)
    if not file.exists():
        say(f"You are not signed in at {registry.url}.")
        return
    with _client(find_connection(replace(options, token_file=file, name=None), os.environ)) as client:
        try:
            client.revoke_token(client.who().token_id)
        except CommandError as error:
            if error.exit_code is not ExitCode.NOT_ALLOWED:
                raise
            # It had ended before.
    file.unlink(missing_ok=True)
    say(f"Signed out at {registry.url}.")


def whoami(context: typer.Context, *, output: Output = "table") -> None:
    """Show who you are to the registry, and what you may do by the policy of the moment."""
    from certbus.token_views import who_facts  # noqa: PLC0415 # imports long

    with _client(find_connection(_options(context), os.environ)) as client:
        who = client.who()
    if output == "json":
        print_json(who)
    else:
        print_facts(who_facts(who, present()))


def _options(context: typer.Context) -> Options:
    return context.obj if isinstance(context.obj, Options) else Options()


def _client(connection: Connection) -> "SignInRegistry":
    from certbus.sign_in_client import SignInRegistry  # noqa: PLC0415 # what imports long is imported where it is used

    return SignInRegistry(connection)
