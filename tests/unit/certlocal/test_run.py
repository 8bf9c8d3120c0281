from pathlib import Path

import pytest

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certlocal.run import run_local_system


def test_a_service_that_is_none_is_refused_with_the_names_of_all(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as refused:
        run_local_system(tmp_path / "home", once=True, kubernetes=False, without="isuer")
    assert refused.value.exit_code is ExitCode.INVALID
    told = refused.value.lines()[0]
    assert "'isuer'" in told
    assert "registry, issuer, escrow, monitor, site1-syncer, site2-syncer, site1-pusher" in told
    assert not (tmp_path / "home").exists()
