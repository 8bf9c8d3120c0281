"""A token in a file that may be replaced while its service runs."""

from contextlib import suppress
from pathlib import Path

import structlog

from certcore.bearer import is_bearer

__all__ = ["TokenFile"]

log = structlog.get_logger()

_Stamp = tuple[int, int, int]


class TokenFile:
    """Reads the file again when it has changed. What can't be read, or holds no token, leaves the one before."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            OSError: the file can't be read.
        """
        self._path = path
        self._stamp = _stamp(path)
        self._token = path.read_text(encoding="ascii", errors="replace").strip()

    @property
    def token(self) -> str:
        # While it is being replaced, or gone, the next call looks again.
        with suppress(OSError):
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._take(self._path.read_text(encoding="ascii", errors="replace").strip())
                self._stamp = stamp
        return self._token

    def _take(self, token: str) -> None:
        if not is_bearer(token):
            log.warning("token_file_unreadable", path=str(self._path))
        elif token != self._token:
            log.info("token_replaced", path=str(self._path))
            self._token = token


def _stamp(path: Path) -> _Stamp:
    found = path.stat()
    return (found.st_mtime_ns, found.st_ino, found.st_size)
