import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from certlocal.errors import PartMissingError, PortTakenError, ProcessFailedError
from certlocal.listeners import listeners
from certlocal.ports import is_free
from certlocal.process import ChildProcess
from tests.patience import HANG_S
from tests.ports import free_port

Make = Callable[..., ChildProcess]


@pytest_asyncio.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """A factory of shell scripts as child processes, all gone at the end."""
    made: list[ChildProcess] = []

    def start(script: str, **more: object) -> ChildProcess:
        process = ChildProcess(
            name="script",
            argv=["sh", "-c", script],
            log_path=tmp_path / "script.log",
            **more,  # type: ignore[arg-type]
        )
        made.append(process)
        process.start()
        return process

    yield start
    for process in made:
        process.kill()


def _running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def _until(condition: Callable[[], bool], *, timeout_s: float = HANG_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 # other processes set no event of ours
            await asyncio.sleep(0.01)


async def test_output_of_both_kinds_lands_in_the_log(make: Make) -> None:
    process = make("echo out; echo err >&2")

    assert await process.wait(timeout_s=HANG_S) == 0
    assert process.last_lines() == "out\nerr"


async def test_it_is_ready_when_the_check_says_so(make: Make) -> None:
    process = make("exec sleep 60")
    answers: Iterator[bool | Exception] = iter([False, OSError("not yet"), TimeoutError(), True])

    async def check() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    await process.wait_ready(check, timeout_s=HANG_S)

    assert process.alive


async def test_one_that_ends_before_it_is_ready_is_told_with_its_last_words(make: Make) -> None:
    process = make("echo cannot bind; exit 3")

    with pytest.raises(ProcessFailedError, match=r"(?s)script ended with code 3.*cannot bind"):
        await process.wait_ready(_never, timeout_s=HANG_S)


async def test_one_that_is_never_ready_is_told_with_its_last_words(make: Make) -> None:
    process = make("echo thinking; exec sleep 60")
    await _until(lambda: bool(process.last_lines()))

    with pytest.raises(ProcessFailedError, match=r"(?s)not ready after 0\.1 s.*thinking"):
        await process.wait_ready(_never, timeout_s=0.1)


async def _never() -> bool:
    return False


_LISTENING = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1])), reuse_port=True):
    time.sleep(60)
"""


def _listening_at(port: int) -> str:
    return f"exec {sys.executable} -c '{_LISTENING}' {port}"


async def test_it_is_ready_when_it_listens_at_its_ports(make: Make) -> None:
    port = free_port()

    await make(f"sleep 60 & {_listening_at(port)}", ports=[port]).wait_ready()

    assert not is_free(port)


async def test_a_child_of_the_child_may_hold_the_port(make: Make) -> None:
    port = free_port()

    await make(f"({_listening_at(port)}) & wait", ports=[port]).wait_ready()


async def test_a_stranger_at_its_port_is_named_and_not_asked(make: Make) -> None:
    port = free_port()
    asked = []

    async def check() -> bool:
        asked.append(port)
        return True

    with socket.create_server(("127.0.0.1", port)):
        process = make("exec sleep 60", ports=[port])
        with pytest.raises(PortTakenError, match=rf"port {port} of 127.0.0.1, where .*\(process {os.getpid()}\)"):
            await process.wait_ready(check, timeout_s=0.1)
    assert asked == []


async def test_one_that_ends_since_its_port_was_taken_names_the_stranger(make: Make) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        process = make(_listening_at(port), ports=[port])
        with pytest.raises(PortTakenError, match=rf"(?s)process {os.getpid()}\) listens.*Address already in use"):
            await process.wait_ready()


async def test_a_port_that_it_shares_with_a_stranger_is_not_its_own(make: Make) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port), reuse_port=True):
        process = make(_listening_at(port), ports=[port])
        await _until(lambda: len(listeners(port)) == 2)
        with pytest.raises(PortTakenError):
            await process.wait_ready(timeout_s=0.1)


async def test_each_process_has_an_instance_of_its_own_in_its_environment(make: Make) -> None:
    first, second = make("echo $CERTBUS_INSTANCE; exec sleep 60"), make("exec sleep 60")
    await _until(lambda: first.instance in first.last_lines())

    assert first.instance != second.instance


async def test_only_the_last_start_is_told_of(make: Make) -> None:
    process = make("echo $$")
    await process.wait(timeout_s=HANG_S)
    first = process.last_lines()
    process.start()
    await process.wait(timeout_s=HANG_S)

    assert process.last_lines().strip() not in {"", first}
    assert len(process.log_path.read_text().split()) == 2


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    process = ChildProcess(name="broker", argv=["no-such-program"], log_path=tmp_path / "log")

    with pytest.raises(PartMissingError, match="broker: there is no program no-such-program"):
        process.start()


async def test_stopping_is_asked_first(make: Make) -> None:
    process = make("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done")
    await _until(lambda: "up" in process.last_lines())

    await process.stop()

    assert (process.returncode, process.last_lines().splitlines()[-1]) == (0, "bye")


async def test_one_that_does_not_listen_is_killed(make: Make) -> None:
    process = make("trap '' TERM; echo up; while :; do sleep 0.02; done")
    await _until(lambda: "up" in process.last_lines())

    await process.stop(grace_s=0.1)

    assert process.returncode == -signal.SIGKILL


async def test_what_it_started_ends_with_it(make: Make) -> None:
    process = make("sleep 60 & echo $!; exit 0")
    await process.wait(timeout_s=HANG_S)
    left = int(process.last_lines())
    assert _running(left)

    await process.stop()

    await _until(lambda: not _running(left))


async def test_stopping_twice_and_before_the_start_is_harmless(make: Make, tmp_path: Path) -> None:
    process = make("exec sleep 60")
    await process.stop()
    await process.stop()
    await ChildProcess(name="idle", argv=["true"], log_path=tmp_path / "log").stop()

    assert not process.alive


async def test_it_gets_the_environment_that_it_is_given(make: Make) -> None:
    process = make("echo $FLAVOUR", env={"FLAVOUR": "sweet"})
    await process.wait(timeout_s=HANG_S)

    assert process.last_lines() == "sweet"


async def test_it_is_in_a_session_of_its_own(make: Make) -> None:
    process = make("exec sleep 60")

    assert process.pid is not None
    assert os.getsid(process.pid) == process.pid


async def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from certlocal.process import ChildProcess
process = ChildProcess(name="child", argv=["sleep", "600"], log_path=Path({str(tmp_path / "log")!r}))
process.start()
print(process.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    try:
        assert parent.stdout is not None
        child = int(await asyncio.to_thread(parent.stdout.readline))
        await _until(lambda: b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes())
    finally:
        parent.kill()
        parent.communicate()

    # By itself it would live longer than this waits.
    await _until(lambda: not _running(child))
