from pathlib import Path

import pytest

from certkit.database import folder_of, pages_before_checkpoint

MIB = 1024 * 1024


def test_the_log_takes_a_part_of_a_small_disk_and_no_more_than_is_usual_of_a_large_one() -> None:
    assert [pages_before_checkpoint(free) for free in (0, 2 * MIB, 16 * MIB, 10**12)] == [16, 64, 512, 1000]


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("sqlite+aiosqlite:////var/lib/certbus/registry.db", Path("/var/lib/certbus")),
        ("sqlite:////var/lib/certbus/registry.db", Path("/var/lib/certbus")),
        ("sqlite+aiosqlite:///registry.db", Path()),
        ("sqlite+aiosqlite:///:memory:", None),
        ("sqlite+aiosqlite://", None),
        ("postgresql+asyncpg://certbus@db/registry", None),
    ],
)
def test_only_a_database_of_this_machine_has_a_folder(url: str, folder: Path | None) -> None:
    assert folder_of(url) == folder
