"""The one folder of a local system, and the ports that it keeps from start to start."""

import hashlib
import json
import os
from pathlib import Path

from certlocal.ports import PortBook
from certlocal.private_file import write_private

__all__ = ["Home"]


class Home:
    """Everything that outlives a run lies here; deleting the folder is a fresh start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ports = PortBook(self.folder / "ports.json")

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath(*parts)

    @property
    def sockets(self) -> Path:
        """A short folder for unix sockets, whose paths may have at most 107 characters."""
        folder = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108 # private by mode, named by hash
        folder /= f"certbus-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    @property
    def has_kubernetes(self) -> bool:
        """Whether an earlier run put certificates into clusters, which this one must find again."""
        return self.path("kubernetes").exists()

    def token_file(self, name: str) -> Path:
        return self.path("tokens", name)

    def token(self, name: str) -> str | None:
        path = self.token_file(name)
        return path.read_text().strip() if path.exists() else None

    def keep_token(self, name: str, token: str) -> None:
        write_private(self.token_file(name), f"{token}\n".encode())

    def describe_client(self, url: str, *, ca_file: Path, instance: str) -> None:
        """Tell the certbus command where this system's registry is, and by what it is recognised."""
        described = {"url": url, "ca_file": str(ca_file), "instance": instance}
        self.path("client.json").write_text(json.dumps(described) + "\n")
