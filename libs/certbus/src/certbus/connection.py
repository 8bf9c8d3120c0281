"""Which registry, and as whom: options first, then the environment, then the folder of a local system."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certcore.bearer import is_bearer
from certcore.loopback import is_loopback

__all__ = ["DEFAULT_HOME", "Connection", "Options", "find_connection", "find_registry", "session_file"]

DEFAULT_HOME: Final = ".certbus"
_DEFAULT_NAME: Final = "admin"
_TOKEN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Options:
    """What was said on the command line, before the noun."""

    url: str | None = None
    token_file: Path | None = None
    name: str | None = None


@dataclass(frozen=True)
class Connection:
    """With an `instance`, the token is for the one process that was started with it: see `certcore.instance`."""

    url: str
    token: str = field(repr=False)
    ca_file: Path | None = None
    instance: str | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True)
class _Defaults:
    url: str | None = None
    ca_file: Path | None = None
    instance: str | None = None


def find_connection(options: Options, environment: Mapping[str, str]) -> Connection:
    """Resolve the registry's URL and the token.

    Raises:
        CommandError: there is no URL or no token, or one of them can't be used.
    """
    registry = find_registry(options, environment)
    return replace(registry, token=_read_token(_token_file(options, environment, registry.url)))


def find_registry(options: Options, environment: Mapping[str, str]) -> Connection:
    """Likewise without a token.

    Raises:
        CommandError: there is no URL, or one that can't be used.
    """
    home = _home(environment)
    defaults = _read_defaults(home / "client.json")
    named = options.url or environment.get("CERTBUS_URL")
    url = named or defaults.url
    if not url:
        raise CommandError(
            "no registry is known here",
            exit_code=ExitCode.INVALID,
            next_step=f"give --url, set CERTBUS_URL, or start a local system with `certbus run` ({home} holds none)",
        )
    if named:
        defaults = _Defaults()
    return Connection(
        url=_checked_url(url, plain_text=environment.get("CERTBUS_PLAIN_TEXT") in {"1", "true"}),
        token="",
        ca_file=_path(environment, "CERTBUS_CA_FILE") or defaults.ca_file,
        instance=defaults.instance,
        certificate_file=_path(environment, "CERTBUS_CERTIFICATE_FILE"),
        key_file=_path(environment, "CERTBUS_KEY_FILE"),
    )


def session_file(environment: Mapping[str, str], url: str) -> Path:
    """Where `certbus login` puts the session with the registry at this URL: it is shown to no other."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    return _home(environment) / "sessions" / f"{urlsplit(url).hostname}-{digest}"


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("CERTBUS_HOME") or DEFAULT_HOME)


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    return Path(value) if (value := environment.get(name)) else None


def _token_file(options: Options, environment: Mapping[str, str], url: str) -> Path:
    if options.token_file is not None and options.name is not None:
        raise CommandError(
            "--token-file and --as contradict each other", exit_code=ExitCode.INVALID, next_step="give one of them"
        )
    if options.token_file is not None:
        return options.token_file
    if options.name is None and (file := environment.get("CERTBUS_TOKEN_FILE")):
        return Path(file)
    session, home = session_file(environment, url), _home(environment)
    if options.name is None and session.exists():
        return session
    name = _DEFAULT_NAME if options.name is None else options.name
    if not _TOKEN_NAME.fullmatch(name):
        raise CommandError(
            f"--as {name!r} is no name of a token",
            exit_code=ExitCode.INVALID,
            next_step=f"give the name of a file in {home / 'tokens'}",
        )
    return home / "tokens" / name


def _read_token(file: Path) -> str:
    try:
        token = file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise CommandError(
            f"no token in {file}: {error.strerror}",
            exit_code=ExitCode.INVALID,
            next_step="give --token-file or --as, set CERTBUS_TOKEN_FILE, or sign in with `certbus login`",
        ) from None
    except UnicodeDecodeError:
        token = ""
    if not is_bearer(token):
        raise CommandError(
            f"{file} doesn't hold a token",
            exit_code=ExitCode.INVALID,
            next_step="it must hold one line as the registry gave it",
        )
    return token


def _checked_url(url: str, *, plain_text: bool) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise CommandError(
            f"{url!r} is no URL of a registry",
            exit_code=ExitCode.INVALID,
            next_step="give one such as https://certbus.example.org",
        )
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        # Not quoted: a password may stand there.
        raise CommandError(
            "the registry's URL holds credentials, a query or a fragment",
            exit_code=ExitCode.INVALID,
            next_step="give only https://host[:port][/path]; the token has its own file",
        )
    if parts.scheme == "http" and not (plain_text and is_loopback(parts.hostname or "")):
        raise CommandError(
            f"{url} would send the token in plain text",
            exit_code=ExitCode.INVALID,
            next_step="give an https:// URL; only for a loopback address, CERTBUS_PLAIN_TEXT=1 allows http://",
        )
    return url.rstrip("/")


def _read_defaults(file: Path) -> _Defaults:
    try:
        read = json.loads(file.read_bytes())
        url, ca_file, instance = read["url"], read.get("ca_file"), read.get("instance")
    except FileNotFoundError:
        return _Defaults()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(
            f"{file} can't be read: {type(error).__name__}",
            exit_code=ExitCode.INVALID,
            next_step='it must hold {"url": "…"}; `certbus run` writes it anew',
        ) from None
    return _Defaults(
        url=str(url), ca_file=Path(ca_file) if ca_file else None, instance=str(instance) if instance else None
    )
