"""Run a program that is killed when its parent ends: `python parent_guard.py PARENT_PID PROGRAM [ARGUMENT…]`.

A file of its own, run without site packages, since it stands between fork and exec of every server. Doing the same
in `preexec_fn` would run Python between fork and exec of a process that has threads.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main() -> None:
    parent, program, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have ended before the call above: then nobody would ever send the signal.
        if os.getppid() != int(parent):
            sys.exit(1)
    try:
        os.execv(program, [program, *arguments])  # noqa: S606 # to become the program is its purpose
    except OSError as error:
        print(f"{program}: {error.strerror}", file=sys.stderr, flush=True)
        sys.exit(127)


if __name__ == "__main__":
    main()
