"""What `certbus run` does: start a local system, play its story, stay up until Ctrl-C."""

import asyncio
import signal
import time
from contextlib import suppress
from pathlib import Path

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certlocal.errors import LocalError
from certlocal.home import Home
from certlocal.services import SERVICES
from certlocal.story import Story
from certlocal.system import LocalSystem

__all__ = ["run_local_system"]


def run_local_system(
    home: Path, *, once: bool, kubernetes: bool, without: str | None = None, knot: bool = True
) -> int:
    """Run in the foreground; with `once`, leave after the story. The service `without` is left to somebody else, and
    without `knot` the CA's test server is the only DNS.

    Returns the exit code: 0 if every promise of the story held, 130 after Ctrl-C in the middle of it.

    Raises:
        CommandError: INVALID, where there is no service of that name.
    """
    if without is not None and without not in SERVICES:
        raise CommandError(
            f"there is no service {without!r} to leave out",
            exit_code=ExitCode.INVALID,
            next_step=f"give one of {', '.join(SERVICES)}",
        )
    return asyncio.run(_run(home, once=once, kubernetes=kubernetes, without=without, knot=knot))


async def _run(folder: Path, *, once: bool, kubernetes: bool, without: str | None, knot: bool) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    system: LocalSystem | None = None
    try:
        _say(f"certbus: starting a local system in {folder}")
        began = time.monotonic()
        system = LocalSystem(Home(folder), kubernetes=kubernetes, tell=_say, without=without, knot=knot)
        playing = asyncio.create_task(_play(system, began))
        waiting = asyncio.create_task(stopped.wait())
        await asyncio.wait({playing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing
            return 130
        held = playing.result()
        if not once:
            link = await asyncio.to_thread(system.sign_in_link)
            _say(
                f"\nThe page: {link}\n(The link opens once; `certbus cert list` needs none.) Ctrl-C ends everything."
            )
            await waiting
    except LocalError as error:
        _say(f"certbus: {error}")
        return 1
    else:
        return 0 if held else 1
    finally:
        if system is not None:
            _say("certbus: stopping …")
            await system.stop()


async def _play(system: LocalSystem, began: float) -> bool:
    await system.start()
    _say(f"  everything is up after {time.monotonic() - began:.1f} s")
    return await Story(system, tell=_say).play()


def _say(line: str) -> None:
    print(line, flush=True)
