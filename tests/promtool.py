"""Prometheus' own judge of rules, unpacked from Debian's package: installing that would start a server."""

import fcntl
import shutil
import subprocess
import tempfile
from pathlib import Path

from certlocal.tools import cache_folder

__all__ = ["promtool"]


def promtool() -> Path:
    """The program's path; its package is fetched where it is missing.

    Raises:
        CalledProcessError: apt-get or dpkg-deb failed: give a promtool on PATH.
    """
    found = shutil.which("promtool")
    if found is not None:
        return Path(found)
    folder = cache_folder() / "promtool"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "promtool"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _unpack(program)
    return program


def _unpack(program: Path) -> None:
    with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
        subprocess.run(["apt-get", "--quiet", "download", "prometheus"], cwd=scratch, check=True, capture_output=True)
        [package] = Path(scratch).glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "--extract", package, scratch], check=True, capture_output=True)
        (Path(scratch) / "usr" / "bin" / "promtool").rename(program)
