"""Stand-ins for programs, as shell scripts on a PATH of the test's own."""

import stat
from pathlib import Path

__all__ = ["program"]


def program(folder: Path, name: str, script: str) -> Path:
    """Write an executable that runs a script of /bin/sh."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
