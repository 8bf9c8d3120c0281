"""Files of mode 0600 that are there as a whole or not at all, also after a crash or a power cut."""

import os
from pathlib import Path

__all__ = ["make_private", "replace_private"]


def make_private(path: Path, content: bytes) -> bool:
    """Make a new file, and folders where they are missing; False where there is one, which counts."""
    # Several processes may make it at once.
    draft = _write(path.with_name(f".{path.name}.{os.getpid()}.new"), content)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    _sync_folder(path)
    return True


def replace_private(path: Path, content: bytes) -> None:
    """Put it in place of what is there: who reads it meanwhile finds all of the old or all of the new."""
    _write(path.with_name(f".{path.name}.new"), content).replace(path)
    _sync_folder(path)


def _write(draft: Path, content: bytes) -> Path:
    draft.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
