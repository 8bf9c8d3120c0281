"""Programs of Debian's packages."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from certlocal.errors import PartMissingError
from certlocal.tools import Tell

__all__ = ["debian_program"]

# Where Debian has its daemons; an ordinary user's PATH often lacks them, and PostgreSQL's are in nobody's.
_DAEMONS: Final = ("/usr/local/sbin", "/usr/sbin")
_POSTGRESQL: Final = Path("/usr/lib/postgresql")
# Seconds. Another launcher may be installing something.
_LOCK_TIMEOUT: Final = "DPkg::Lock::Timeout=300"


def debian_program(program: str, *, package: str, tell: Tell) -> Path:
    """The program's path; its package is installed where it is missing, apt-get is there and we are root.

    Raises:
        PartMissingError: it is missing, and can't be installed from here.
    """
    found = _find(program)
    if found is not None:
        return found
    by_hand = f"install it with: apt-get install {package} (or give a {program} on PATH)"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PartMissingError(f"{program} is missing: {by_hand}")
    tell(f"installing {package} with apt-get")
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        done = subprocess.run(
            ["apt-get", "--quiet", "-o", _LOCK_TIMEOUT, *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        # An update that fails for one of many sources is no reason to give up yet.
        if done.returncode != 0 and arguments[0] == "install":
            told = "\n".join(done.stdout.splitlines()[-8:])
            raise PartMissingError(f"{program} is missing, and apt-get could not install it:\n{told}\n{by_hand}")
    found = _find(program)
    if found is None:
        raise PartMissingError(f"{package} is installed, and yet there is no {program}: {by_hand}")
    return found


def _find(program: str) -> Path | None:
    versions = sorted(map(str, _POSTGRESQL.glob("*/bin")), reverse=True)
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_DAEMONS, *versions))
    found = shutil.which(program, path=path)
    return Path(found) if found else None
