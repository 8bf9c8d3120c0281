"""Kills a writer of files again and again, and looks each time at what a reader would get.

A program of its own, as it forks: `python -m tests.integration.syncer.targets.files_killer FOLDER SEED ROUNDS`.
"""

import asyncio
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path

import structlog

from certcore.inspection import check_pair, read_chain
from syncer.targets.files.store import FileStore
from tests.issuing import Authority, Issued, files_target, wanted_for


async def _write_for_ever(store: FileStore, pairs: list[Issued], revision: int, done: int) -> None:
    target = files_target()
    while True:
        issued = pairs[revision % len(pairs)]
        wanted = wanted_for(issued, revision, target)
        await store.deliver(wanted, issued.bundle(revision))
        revision += 1
        os.write(done, b".")


def _check(folder: Path) -> int:
    """The revision that a reader gets, whole; 0 where there is none yet."""
    current = folder / "shop" / "current"
    if not current.is_symlink():
        return 0
    chain = read_chain((current / "tls.crt").read_bytes())
    key = (current / "tls.key").read_bytes()
    check_pair(chain, key)
    if (current / "tls.pem").read_bytes() != (current / "tls.crt").read_bytes() + key:
        raise SystemExit("tls.pem is not what the other two files are")
    return int(current.readlink().name.split("-")[1])


def main(folder: Path, seed: int, rounds: int) -> None:
    rng = random.Random(seed)
    authority = Authority()
    pairs = [authority.issue() for _ in range(8)]
    store = FileStore(name="default", directory=folder, reload=None)
    revision = 0
    for _ in range(rounds):
        wrote, done = os.pipe()
        child = os.fork()
        if child == 0:
            asyncio.run(_write_for_ever(store, pairs, revision + 1, done))
        # The first one whole, and then at any point of those that follow.
        os.read(wrote, 1)
        time.sleep(rng.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(wrote)
        os.close(done)
        reached = _check(folder)
        if reached < revision:
            raise SystemExit(f"revision {reached} is there after {revision}")
        revision = reached
    print(revision)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
