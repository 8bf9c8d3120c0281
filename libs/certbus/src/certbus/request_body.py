"""The body of a request, from options or from a file, checked here as the registry will check it again."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.target_option import read_endpoint, read_labels, read_targets
from certcore.certificate import CertificateSpec, Proof
from certcore.door import MAX_BODY_BYTES, RequestDoor
from certcore.plugins import PluginError, load_target_kinds
from certcore.rejection import RejectedError
from certcore.targets import TargetKinds

__all__ = ["body_of_options", "check_body", "installed_kinds", "read_file", "read_request"]


def installed_kinds() -> TargetKinds:
    """The kinds of targets that are installed beside this command.

    Raises:
        CommandError: a package brings one that can't be used.
    """
    try:
        return load_target_kinds()
    except PluginError as error:
        raise CommandError(
            str(error), exit_code=ExitCode.INVALID, next_step="mend or remove the package that brings it"
        ) from None


def body_of_options(
    given: Mapping[str, str | Sequence[str] | None],
    *,
    targets: Iterable[str],
    endpoints: Iterable[str],
    labels: Iterable[str] = (),
    proof: Proof | None = None,
    kinds: TargetKinds,
) -> bytes:
    """Options that were not given are left out, so that the request's defaults hold.

    Raises:
        CommandError: a target or a label doesn't follow the notation.
    """
    body: dict[str, object] = {field: value for field, value in given.items() if value is not None}
    body["targets"] = read_targets(targets, kinds)
    body["endpoints"] = [read_endpoint(text) for text in endpoints]
    if read := read_labels(labels):
        body["labels"] = read
    if proof is not None:
        body["proof"] = proof
    return json.dumps(body).encode()


def read_file(file: Path, *, most: int = MAX_BODY_BYTES) -> bytes:
    """Read a file, or stdin where it is `-`: one byte more than may be, at most.

    Raises:
        CommandError: it can't be read.
    """
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(most + 1)
        with file.open("rb") as body:
            return body.read(most + 1)
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}", exit_code=ExitCode.INVALID) from None


def check_body(body: bytes, kinds: TargetKinds) -> list[str]:
    """Check a body as the registry will check it again.

    Returns the kinds of its targets that aren't installed here. If there are any, only the registry can tell whether
    the request is valid, and nothing was checked.

    Raises:
        CommandError: with every field at fault.
    """
    if unknown := _unknown_kinds(body, kinds):
        return unknown
    read_request(body, kinds)
    return []


def read_request(body: bytes, kinds: TargetKinds) -> CertificateSpec:
    """Read a request, as the registry will read it.

    Raises:
        CommandError: with every field at fault.
    """
    try:
        return RequestDoor(kinds).read(body)
    except RejectedError as error:
        raise CommandError(
            "the request is invalid and was not sent",
            exit_code=ExitCode.INVALID,
            fields=[(rejection.field, rejection.message) for rejection in error.rejections],
        ) from None


def _unknown_kinds(body: bytes, kinds: TargetKinds) -> list[str]:
    """Empty also for a body of another form: what is wrong with that is for the door to tell."""
    if len(body) > MAX_BODY_BYTES:
        return []
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return []
    targets = read.get("targets") if isinstance(read, dict) else None
    items = targets if isinstance(targets, list) else []
    found = {kind for target in items if isinstance(target, dict) and isinstance(kind := target.get("kind"), str)}
    return sorted(kind for kind in found if kind not in kinds)
