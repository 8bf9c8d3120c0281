from pathlib import Path

from prometheus_client import CollectorRegistry

from certkit.disk import Disks


def test_a_folder_on_a_disk_with_room_is_told_with_its_room(tmp_path: Path) -> None:
    metrics = CollectorRegistry()
    [finding] = Disks([tmp_path, tmp_path], metrics=metrics).findings()
    assert (finding.check, finding.problem) == (f"disk {tmp_path}", None)
    assert finding.detail is not None
    assert finding.detail.endswith("MiB free")
    labels = {"folder": str(tmp_path)}
    assert (metrics.get_sample_value("certbus_disk_free_bytes", labels) or 0) > 0
    assert metrics.get_sample_value("certbus_disk_short", labels) == 0


def test_a_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    metrics = CollectorRegistry()
    [finding] = Disks([tmp_path / "gone"], metrics=metrics).findings()
    assert finding.problem == "can't be looked at: No such file or directory"
    assert metrics.get_sample_value("certbus_disk_short", {"folder": str(tmp_path / "gone")}) == 1
