"""Files that only their owner may read."""

import os
from pathlib import Path

__all__ = ["replace_file", "write_private"]


def write_private(path: Path, content: bytes) -> None:
    """Write with mode 0600, in folders that are made where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Put a whole file in place of what is there: who reads it meanwhile finds all of the old or all of the new."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    new.replace(path)
