"""The body of a request, from options or from a file, checked here as the registry will check it again."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.target_option import read_endpoint, read_targets
from certcore.certificate import CertificateSpec
from certcore.rejection import MAX_BODY_BYTES, RejectedError, read_request

__all__ = ["body_of_options", "read_body", "read_file"]


def body_of_options(
    given: Mapping[str, str | Sequence[str] | None], *, targets: Iterable[str], endpoints: Iterable[str]
) -> bytes:
    """Options that were not given are left out, so that the request's defaults hold.

    Raises:
        CommandError: a target doesn't follow the notation.
    """
    body = {field: value for field, value in given.items() if value is not None}
    return json.dumps(
        {**body, "targets": read_targets(targets), "endpoints": [read_endpoint(text) for text in endpoints]}
    ).encode()


def read_file(file: Path) -> bytes:
    """Read a file, or stdin where it is `-`.

    Raises:
        CommandError: it can't be read.
    """
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(MAX_BODY_BYTES + 1)
        with file.open("rb") as body:
            return body.read(MAX_BODY_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}", exit_code=ExitCode.INVALID) from None


def read_body(body: bytes) -> CertificateSpec:
    """Check a body.

    Raises:
        CommandError: with every field at fault.
    """
    try:
        return read_request(body)
    except RejectedError as error:
        raise CommandError(
            "the request is invalid and was not sent",
            exit_code=ExitCode.INVALID,
            fields=[(rejection.field, rejection.message) for rejection in error.rejections],
        ) from None
