"""The toy, installed into a folder as pip would do it, but for the network: its package, and its metadata."""

import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # So that its types are checked.
    import toy_drop.driver  # noqa: F401 # see above

__all__ = ["TOY", "install"]

TOY = Path(__file__).parent / "toy"


def install(folder: Path) -> Path:
    """A folder for `sys.path` or PYTHONPATH."""
    project = tomllib.loads((TOY / "pyproject.toml").read_text())["project"]
    shutil.copytree(TOY / "toy_drop", folder / "toy_drop", ignore=shutil.ignore_patterns("__pycache__"))
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    return folder
