from certkit.database import pages_before_checkpoint

MIB = 1024 * 1024


def test_the_log_takes_a_part_of_a_small_disk_and_no_more_than_is_usual_of_a_large_one() -> None:
    assert [pages_before_checkpoint(free) for free in (0, 2 * MIB, 16 * MIB, 10**12)] == [16, 64, 512, 1000]
