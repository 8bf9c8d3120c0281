"""lego's library, which the issuer is measured beside: a Go program of its own, built where that is possible."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certcore.private_files import replace_private
from certlocal.tools import GoTool, Tell, Toolbox

__all__ = ["LegoLibrary", "built_lego", "lego_library"]

_LEGO: Final = GoTool("lego-batch", ".", "about a minute")
_MODULE: Final = Path(__file__).parent / "lego"


class LegoLibrary:
    def __init__(self, process: Process) -> None:
        self._process = process
        self.given_up = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    async def issue(self, names: Sequence[str]) -> None:
        """Until each has its certificate."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{' '.join(names)}\n".encode())
        await stdin.drain()
        told = await stdout.readline()
        if not told:
            raise RuntimeError("lego's library ended: its log tells why")
        self.given_up += int(told)


def built_lego(tell: Tell) -> Path:
    """The program.

    Raises:
        PartMissingError: it can't be built here.
    """
    return Toolbox(tell=tell, module=_MODULE).find(_LEGO)


@asynccontextmanager
async def lego_library(
    program: Path,
    folder: Path,
    *,
    directory_url: str,
    ca_file: Path,
    key: ec.EllipticCurvePrivateKey,
    workers: int,
) -> AsyncIterator[LegoLibrary]:
    key_file = folder / "account.pem"
    replace_private(key_file, key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    with (folder / "lego.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, directory_url, ca_file, key_file, str(workers), stdin=PIPE, stdout=PIPE, stderr=log
        )
    try:
        yield LegoLibrary(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
