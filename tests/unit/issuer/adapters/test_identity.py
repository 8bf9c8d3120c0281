from pathlib import Path

from issuer.adapters.identity import WorkerIdentity


def test_a_worker_is_the_same_after_it_ended(tmp_path: Path) -> None:
    first = WorkerIdentity.take(tmp_path)
    first.release()
    second = WorkerIdentity.take(tmp_path)
    assert second.name == first.name
    second.release()


def test_two_that_live_at_once_are_never_the_same(tmp_path: Path) -> None:
    workers = [WorkerIdentity.take(tmp_path) for _ in range(3)]
    assert len({worker.name for worker in workers}) == 3
    for worker in workers:
        worker.release()


def test_a_name_that_was_cut_short_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "worker").write_text("half a na")
    worker = WorkerIdentity.take(tmp_path)
    assert len(worker.name) == 36
    assert (tmp_path / "worker").read_text() == worker.name
    worker.release()
