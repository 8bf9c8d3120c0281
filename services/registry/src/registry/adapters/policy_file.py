"""The policy file: YAML 1.1 or JSON, read without what it doesn't need."""

from pathlib import Path

from certcore.policy.document import Policy
from certcore.policy.file import read_policy
from certcore.policy.text import parse_policy_text
from certcore.targets import TargetKinds

__all__ = ["PolicyFile"]


class PolicyFile:
    """Read again where it was written since."""

    def __init__(self, path: Path, kinds: TargetKinds) -> None:
        self._path = path
        self._kinds = kinds
        self._seen: tuple[int, int, int] | None = None

    def __str__(self) -> str:
        return str(self._path)

    def read_if_changed(self) -> Policy | None:
        """The policy; None where the file is as it was.

        Raises:
            OSError: it can't be read.
            RejectedError: it is no policy, with every field at fault. It is read again at once.
        """
        found = self._path.stat()
        mark = (found.st_ino, found.st_mtime_ns, found.st_size)
        if mark == self._seen:
            return None
        policy = read_policy(parse_policy_text(self._path.read_bytes()), self._kinds)
        self._seen = mark
        return policy
