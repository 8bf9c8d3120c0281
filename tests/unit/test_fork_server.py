import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from certcore.sealing import generate_recipient_key
from certlocal.process import ChildProcess
from tests.fork_server import ended, fork_server
from tests.patience import HANG_S


def _syncer(folder: Path, **settings: object) -> ChildProcess:
    return ChildProcess(
        name="syncer",
        argv=[sys.executable, "-m", "syncer"],
        log_path=folder / "log",
        env={f"CERTBUS_{name.upper()}": _text(value) for name, value in settings.items()},
        start=fork_server(),
    )


def lasting_syncer(folder: Path) -> ChildProcess:
    """It waits for its bus."""
    (folder / "token").write_text("none")
    generate_recipient_key("site1-syncer", folder / "key")
    return _syncer(
        folder,
        syncer_place="site1",
        syncer_bus={"url": "nats://127.0.0.1:9", "identity": "site1-syncer", "plain_text": True},
        syncer_http={"port": 0, "plain_text": True},
        syncer_registry={"url": "http://127.0.0.1:9", "token_file": str(folder / "token"), "plain_text": True},
        syncer_recipient={"name": "site1-syncer", "key_file": str(folder / "key")},
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


async def test_a_command_has_its_arguments_input_outputs_and_exit_code(tmp_path: Path) -> None:
    code, out, err = await ended("json.tool", "--indent", "1", env={}, given='{"a": 1}')
    assert (code, out, err) == (0, '{\n "a": 1\n}\n', "")
    code, out, err = await ended("json.tool", str(tmp_path / "none"), env={})
    assert (code != 0, out, "No such file" in err) == (True, "", True)


async def test_a_service_finds_its_environment_and_tells_its_log_what_is_missing(tmp_path: Path) -> None:
    process = _syncer(tmp_path, config_file=str(tmp_path / "none.toml"))
    process.start()
    assert await process.wait(timeout_s=HANG_S) == 2
    assert "none.toml" in process.last_lines()
    assert process.env["CERTBUS_CONFIG_FILE"] not in os.environ.values()


def test_what_is_killed_tells_the_signal_and_may_be_started_again(tmp_path: Path) -> None:
    process = lasting_syncer(tmp_path)
    for _ in range(2):
        process.start()
        assert process.alive
        assert Path(f"/proc/{process.pid}/cmdline").read_bytes().count(b"fork_server") == 1
        process.kill()
        assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("folder", "forked"), [(None, True), ("plugins", False)])
def test_what_python_would_start_with_other_settings_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, folder: str | None, forked: bool
) -> None:
    # As images of containers have it.
    monkeypatch.setenv("PYTHON_VERSION", "3.11")
    process = lasting_syncer(tmp_path)
    if folder is not None:
        process.env["PYTHONPATH"] = folder
    process.start()
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.kill()
    assert (b"fork_server" in arguments) is forked


def test_any_thread_may_ask_for_the_end(tmp_path: Path) -> None:
    process = lasting_syncer(tmp_path)
    process.start()

    def code() -> int | None:
        while process.alive:
            pass
        return process.returncode

    with ThreadPoolExecutor(8) as threads:
        asking = [threads.submit(code) for _ in range(8)]
        process.kill()
        assert {asked.result(HANG_S) for asked in asking} == {-signal.SIGKILL}


def test_what_was_forked_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    script = f"""
import os, pathlib, signal
from tests.unit.test_fork_server import lasting_syncer
process = lasting_syncer(pathlib.Path({str(tmp_path)!r}))
process.start()
print(process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    forked = Path(f"/proc/{int(done.stdout)}")
    while forked.exists():
        time.sleep(0.01)
