from collections.abc import Callable
from pathlib import Path

import pytest

from certcore.plugins import PluginError, load_plugins, load_target_kinds
from certcore.targets import FILES, HAPROXY, KUBERNETES

GROUP = "certbus.test_plugins"
KINDS = "certbus.target_kinds"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A package that lies beside ours: its metadata names entry points, as an installer would write them."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(package: str, group: str, *, source: str = "", **entries: str) -> None:
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))

    return write


SHELF = """
from typing import Literal
from certcore.targets import TargetKind, TargetRequest

class ShelfTarget(TargetRequest):
    kind: Literal["shelf"] = "shelf"

SHELF = TargetKind("shelf", "pusher", ShelfTarget)
"""


def test_where_nothing_is_installed_nothing_is_found() -> None:
    assert load_plugins(GROUP) == {}


def test_what_a_package_brings_is_found_by_name(install: Install) -> None:
    install("plugin-found", GROUP, source="DRIVER = 7", one="plugin_found:DRIVER")
    assert load_plugins(GROUP) == {"one": 7}


def test_two_packages_that_bring_one_name_are_refused(install: Install) -> None:
    install("plugin-first", GROUP, source="DRIVER = 1", one="plugin_first:DRIVER")
    install("plugin-second", GROUP, source="DRIVER = 2", one="plugin_second:DRIVER")
    with pytest.raises(PluginError, match="two packages bring 'one'"):
        load_plugins(GROUP)


@pytest.mark.parametrize(
    ("number", "value", "source"),
    [
        (1, "no_such_module_at_all:DRIVER", ""),
        (2, "plugin_broken_2:MISSING", ""),
        (3, "plugin_broken_3:DRIVER", "import no_such_module_at_all"),
        (4, "plugin_broken_4:DRIVER", "this is no Python"),
        (5, "plugin_broken_5:DRIVER", "DRIVER = {}['missing']"),
    ],
)
def test_an_entry_point_that_can_not_be_imported_is_named(
    install: Install, number: int, value: str, source: str
) -> None:
    install(f"plugin-broken-{number}", GROUP, source=source, one=value)
    with pytest.raises(PluginError, match=rf"{GROUP}: one \({value}\) can't be imported"):
        load_plugins(GROUP)


def test_a_kind_from_another_package_joins_ours(install: Install) -> None:
    install("plugin-shelf", KINDS, source=SHELF, shelf="plugin_shelf:SHELF")
    found = load_target_kinds()
    assert {FILES, HAPROXY, KUBERNETES} <= set(found.values())
    assert found["shelf"].service == "pusher"


@pytest.mark.parametrize(
    ("number", "name", "source"), [(1, "drawer", SHELF), (2, "shelf", "SHELF = 'shelf'"), (3, "files", SHELF)]
)
def test_what_is_no_kind_of_its_own_name_is_refused(install: Install, number: int, name: str, source: str) -> None:
    install(f"plugin-wrong-{number}", KINDS, source=source, **{name: f"plugin_wrong_{number}:SHELF"})
    with pytest.raises(PluginError, match=name):
        load_target_kinds()
