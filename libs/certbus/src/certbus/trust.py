"""Whom the command believes to be the registry."""

import ssl

from certbus.connection import Connection
from certbus.errors import CommandError
from certbus.exit_codes import ExitCode

__all__ = ["trust"]


def trust(connection: Connection) -> ssl.SSLContext:
    """The roots, and the command's own certificate where it has one.

    Raises:
        CommandError: one of its files can't be used.
    """
    if connection.url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: loading the roots would cost every start
    try:
        context = ssl.create_default_context(cafile=connection.ca_file)
    except OSError as error:
        raise CommandError(
            f"the trust roots in {connection.ca_file} can't be read: {error.strerror or type(error).__name__}",
            exit_code=ExitCode.INVALID,
            next_step="CERTBUS_CA_FILE must name a file of PEM certificates",
        ) from None
    if connection.certificate_file is not None:
        try:
            context.load_cert_chain(connection.certificate_file, connection.key_file)
        except OSError as error:
            raise CommandError(
                f"the client certificate in {connection.certificate_file} can't be used: "
                f"{error.strerror or type(error).__name__}",
                exit_code=ExitCode.INVALID,
                next_step="CERTBUS_CERTIFICATE_FILE and CERTBUS_KEY_FILE must name a pair in PEM",
            ) from None
    return context
