"""The shape of the repository, where a tool can see it."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("cdn-pusher", "issuer", "monitor", "registry", "syncer")
ROOMS = {"__init__", "__main__", "app", "domain", "settings"}
OUTWARD = {"adapters", "targets"}
"""What speaks to the outside: a service that only delivers has drivers instead of adapters."""
MOST_LINES = 400
SAY_NOTHING = {"base", "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}

# Assembled, so that this file doesn't name them.
REGISTRY_HOSTS = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("proxy", "golang", "org"),
            ("sum", "golang", "org"),
            ("registry", "npmjs", "org"),
            ("index", "crates", "io"),
            ("deb", "debian", "org"),
        )
    )
)
LOCK_FILES = {"uv.lock", "go.sum"}


def _tracked() -> list[Path]:
    """The files of the repository, and those that are about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture
def files() -> list[Path]:
    return _tracked()


@pytest.fixture
def modules(files: list[Path]) -> list[Path]:
    return [path for path in files if path.suffix == ".py"]


def _shown(paths: list[Path]) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def test_no_module_is_longer_than_a_person_reads_at_once(modules: list[Path]) -> None:
    assert _shown([path for path in modules if len(path.read_text().splitlines()) > MOST_LINES]) == []


def test_every_module_is_named_by_what_is_in_it(modules: list[Path]) -> None:
    said = [
        path
        for path in modules
        if SAY_NOTHING & set(path.stem.split("_")) or SAY_NOTHING & set(path.relative_to(ROOT).parts[:-1])
    ]
    assert _shown(said) == []


def test_the_services_are_the_known_ones() -> None:
    assert {path.parent.name for path in ROOT.glob("services/*/pyproject.toml")} == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_same_rooms_as_the_others(service: str) -> None:
    package = ROOT / "services" / service / "src" / service.replace("-", "_")

    found = {path.stem for path in package.iterdir()}
    assert found >= ROOMS
    assert found & OUTWARD
    assert (package / "py.typed").exists()
    for room in found & {"adapters", "domain", "handlers", "solvers", "targets"}:
        assert (package / room / "__init__.py").exists()


def test_every_folder_of_tests_is_a_package(modules: list[Path]) -> None:
    folders = {path.parent for path in modules if path.is_relative_to(ROOT / "tests")}

    assert _shown([folder for folder in folders if not (folder / "__init__.py").exists()]) == []


def test_nothing_is_imported_from_a_conftest(modules: list[Path]) -> None:
    importing = re.compile(r"^\s*(from|import)\s+\S*conftest", re.MULTILINE)

    assert _shown([path for path in modules if importing.search(path.read_text())]) == []


def test_tests_mirror_the_sources() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/*/src/*/__init__.py")}
    strays = [
        folder
        for kind in ("unit", "integration")
        for folder in (ROOT / "tests" / kind).iterdir()
        if (folder / "__init__.py").exists() and folder.name not in packages
    ]

    assert _shown(strays) == []


def test_no_package_registry_is_named_outside_lock_files(files: list[Path]) -> None:
    naming = []
    for path in files:
        if path.name in LOCK_FILES:
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if REGISTRY_HOSTS.search(text):
            naming.append(path)

    assert _shown(naming) == []
