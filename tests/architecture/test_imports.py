"""Each import rule holds, and is seen to fail where it is broken: in a copy of the source tree, never in the tree."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / ".importlinter"


@dataclass(frozen=True)
class Breach:
    """A module that breaks one rule, named as in .importlinter."""

    rule: str
    module: str
    source: str


BREACHES = [
    Breach("separate-services", "syncer/targets/files/breach.py", "import issuer.settings"),
    Breach("separate-services", "certdelivery/breach.py", "import syncer.settings"),
    Breach("separate-services", "certkit/breach.py", "import certdelivery.model"),
    Breach("separate-services", "certcore/breach.py", "import registry"),
    Breach("separate-services", "monitor/breach.py", "import certbus"),
    Breach("separate-services", "certkit/breach.py", "import certprobe"),
    Breach("separate-services", "certbus/breach.py", "import certlocal"),
    Breach("layers-of-a-service", "registry/domain/breach.py", "import registry.adapters.store"),
    Breach("layers-of-a-service", "issuer/adapters/breach.py", "import issuer.handlers"),
    Breach("layers-of-a-service", "issuer/adapters/corner.py", "import issuer.breach"),
    Breach("layers-of-a-service", "syncer/targets/files/breach.py", "import syncer.handlers.site_review"),
    Breach("layers-of-a-service", "syncer/domain/breach.py", "import syncer.targets.files.store"),
    Breach("pure-domain", "registry/domain/breach.py", "import structlog"),
    Breach("pure-domain", "issuer/domain/breach.py", "import certkit.bus"),
    Breach("still-domain", "syncer/domain/breach.py", "import asyncio"),
    Breach("sdks-in-adapters", "issuer/breach.py", "import acme.client"),
    Breach("domains-and-the-engine", "syncer/domain/breach.py", "import certdelivery.rollup"),
    Breach("one-driver-each", "syncer/targets/files/breach.py", "import syncer.targets.kubernetes.fields"),
    Breach("the-engine-knows-no-driver", "syncer/app.py", "import syncer.targets.files.driver"),
    Breach("the-engine-knows-no-driver", "cdn_pusher/app.py", "import cdn_pusher.targets.haproxy.driver"),
    Breach("the-engine-knows-no-driver", "issuer/app.py", "import issuer.solvers.http01"),
    Breach("one-driver-each", "issuer/solvers/breach.py", "import issuer.solvers.rfc2136.server"),
    Breach("layers-of-a-service", "issuer/solvers/breach.py", "import issuer.adapters.journal"),
    Breach("sdks-in-adapters", "syncer/breach.py", "from kubernetes.aio import client"),
    Breach("sdks-in-adapters", "syncer/handlers/breach.py", "import aiohttp"),
    Breach("sdks-in-adapters", "cdn_pusher/breach.py", "import httpx"),
    Breach("sdks-in-adapters", "registry/breach.py", "import sqlalchemy"),
    Breach("plain-vocabulary", "certcore/permissions.py", "import nats"),
    Breach("plain-vocabulary", "certcore/names.py", "import structlog"),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """All packages side by side, as they import each other."""
    for package in [*ROOT.glob("libs/*/src/*"), *ROOT.glob("services/*/src/*")]:
        if (package / "__init__.py").exists():
            shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def _broken(tree: Path) -> set[str]:
    """The names of the rules that the tree breaks."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--config", str(RULES), "--no-cache", "--no-logo"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Contracts:" in done.stdout, done.stdout + done.stderr
    broken = set(re.findall(r"^(.+) BROKEN", done.stdout, re.MULTILINE))
    assert done.returncode == (1 if broken else 0)
    return broken


def _names() -> dict[str, str]:
    return dict(re.findall(r"^\[importlinter:contract:(.+)\]\nname = (.+)$", RULES.read_text(), re.MULTILINE))


def test_the_tree_keeps_every_rule(tree: Path) -> None:
    assert _broken(tree) == set()


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: f"{breach.rule}-{breach.module}")
def test_a_breach_of_a_rule_is_found(tree: Path, breach: Breach) -> None:
    if breach.source == "import issuer.breach":
        # Around a corner: an adapter reaches a handler through a module that no layer names.
        (tree / "issuer" / "breach.py").write_text("import issuer.handlers\n")
    module = tree / breach.module
    module.parent.mkdir(parents=True, exist_ok=True)
    before = module.read_text() if module.exists() else ""
    module.write_text(f"{before}\n{breach.source}\n")

    assert _names()[breach.rule] in _broken(tree)


def test_every_rule_has_its_breach() -> None:
    assert {breach.rule for breach in BREACHES} == set(_names())


@pytest.mark.parametrize("service", ["syncer", "cdn_pusher"])
def test_a_service_without_a_database_loads_no_driver_of_one(service: str) -> None:
    """It would cost each start a fifth more."""
    seen = f"import sys, {service}.app; print([name for name in ('sqlalchemy', 'alembic') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
