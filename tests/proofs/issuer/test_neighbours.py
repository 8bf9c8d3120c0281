"""1,000 jobs at a CA that says nothing, beside a good one."""

from pathlib import Path

from certlocal.tools import Tell
from tests.acme_proofs.neighbours import silent_neighbour
from tests.holds.figures import hold


async def test_silent(tmp_path: Path, tell: Tell) -> None:
    hold(await silent_neighbour(tmp_path, tell=tell, silent=1000, good=100, rounds=3))
