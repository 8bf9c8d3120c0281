"""TLS contexts that follow their files: what changes in them is used from the next connection on."""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import structlog

from certcore.errors import CertbusError, InspectionError
from certcore.inspection import check_pair, read_chain

__all__ = ["TlsFileError", "TlsFiles", "client_context", "server_context"]

log = structlog.get_logger()

Role = Literal["certificate_file", "key_file", "ca_file"]
"""What a file is for, by the name of its setting."""

_NO_PASSPHRASE: Final = ""
"""Given for each key: OpenSSL would ask the terminal for that of an encrypted one."""


class TlsFileError(CertbusError):
    """A file can't be used; `role` is the name of its setting. `unread` tells that its content isn't known."""

    def __init__(self, role: Role, file: Path | None, problem: str, *, unread: bool = False) -> None:
        super().__init__(f"{file or 'the system'}: {problem}")
        self.role = role
        self.unread = unread


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: the own certificate with its chain, leaf first; its key; the roots by which the peer is judged.

    A client without `ca` trusts the system's roots, a server without it asks for no client certificate.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """For a server. With roots, each client must show a certificate of theirs.

    Raises:
        TlsFileError: a file can't be used now. One that can't later leaves what was loaded before, and is logged.
    """
    return _FollowingContext(ssl.PROTOCOL_TLS_SERVER, files)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For a client: the server's certificate must be of the roots, and for its name.

    Raises:
        TlsFileError: as `server_context`.
    """
    return _FollowingContext(ssl.PROTOCOL_TLS_CLIENT, files)


class _FollowingContext(ssl.SSLContext):
    """Hands each connection to a context that is made anew when the files have changed.

    A context can be given another certificate, but no root can be taken from it: so it is replaced as a whole.
    """

    _protocol: int
    _files: TlsFiles
    _alpn: tuple[str, ...]
    _seen: tuple[object, ...] | None
    _refused: str
    _inner: ssl.SSLContext

    def __new__(cls, protocol: int, files: TlsFiles) -> Self:
        self = super().__new__(cls, protocol)
        self._protocol = protocol
        self._files = files
        self._alpn = ()
        self._seen = _stamp(files)
        self._refused = ""
        self._inner = _load(protocol, files)
        return self

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return self._newest().wrap_bio(*args, **options)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return self._newest().wrap_socket(*args, **options)

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        self._alpn = tuple(alpn_protocols)
        self._inner.set_alpn_protocols(self._alpn)

    def _newest(self) -> ssl.SSLContext:
        seen = _stamp(self._files)
        if seen == self._seen:
            return self._inner
        # Before they are read: what changes meanwhile is seen at the next connection.
        self._seen = seen
        try:
            inner = _load(self._protocol, self._files)
        except TlsFileError as error:
            if str(error) != self._refused or not error.unread:
                log.error("tls_files_refused", setting=error.role, error=str(error), kept="what was loaded before")  # noqa: TRY400 # the error says it all
            self._refused = str(error)
            if error.unread:
                # What kept it from being read may pass without a change of the file.
                self._seen = None
            return self._inner
        self._refused = ""
        if self._alpn:
            inner.set_alpn_protocols(self._alpn)
        self._inner = inner
        log.info("tls_files_loaded", certificate=str(self._files.certificate), ca=str(self._files.ca))
        return inner


def _stamp(files: TlsFiles) -> tuple[object, ...]:
    return tuple(_state(file) for file in (files.certificate, files.key, files.ca) if file is not None)


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _load(protocol: int, files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.certificate is not None and files.key is not None:
        _load_pair(context, files.certificate, files.key)
    if files.ca is not None:
        _load_roots(context, files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    elif protocol == ssl.PROTOCOL_TLS_CLIENT:
        context.load_default_certs()
    return context


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    # OpenSSL doesn't tell which of the two files it means.
    try:
        chain = read_chain(_read("certificate_file", certificate))
    except InspectionError as error:
        raise TlsFileError("certificate_file", certificate, str(error)) from None
    try:
        check_pair(chain, _read("key_file", key))
    except InspectionError as error:
        raise TlsFileError("key_file", key, str(error)) from None
    try:
        context.load_cert_chain(certificate, key, password=_NO_PASSPHRASE)
    except OSError as error:
        raise TlsFileError("certificate_file", certificate, f"OpenSSL refuses it: {error.strerror}") from None


def _load_roots(context: ssl.SSLContext, ca: Path) -> None:
    # Names in any language stand as comments in bundles of roots.
    roots = _read("ca_file", ca).decode("ascii", errors="ignore")
    try:
        context.load_verify_locations(cadata=roots)
    except (ssl.SSLError, ValueError):
        raise TlsFileError("ca_file", ca, "holds no certificates in PEM, or a broken one") from None


def _read(role: Role, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TlsFileError(role, file, f"can't be read: {error.strerror}", unread=True) from None
