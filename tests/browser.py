"""A real browser (Chromium, headless), spoken to over a pipe by its own protocol; it reaches this machine alone."""

import asyncio
import base64
import fcntl
import hashlib
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certlocal.debian import debian_program
from certlocal.tools import Tell
from tests.patience import HANG_S

__all__ = ["Browser", "chromium"]

_FLAGS: Final = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE *.localhost",
)
# It reads at descriptor 3 and writes at 4, whatever those of the test are.
_AT_3_AND_4: Final = (
    "import os, sys; r, w, *run = sys.argv[1:]; os.dup2(int(r), 3); os.dup2(int(w), 4); os.execv(run[0], run)"
)


_PAGE_CHANGED: Final = "Inspected target navigated or closed"


class PageChangedError(Exception):
    """The page that was asked has made room for the next one."""


class Browser:
    """One tab with its cookies."""

    def __init__(self, answers: asyncio.StreamReader, commands: int) -> None:
        self._answers = answers
        self._commands = commands
        self._numbers = itertools.count(1)
        self._session: str | None = None

    async def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol, and its answer."""
        number = next(self._numbers)
        call = {"id": number, "method": method, "params": parameters}
        if self._session is not None and not method.startswith(("Target.", "Storage.")):
            call["sessionId"] = self._session
        os.write(self._commands, json.dumps(call).encode() + b"\0")
        async with asyncio.timeout(HANG_S):
            while True:
                told = json.loads((await self._answers.readuntil(b"\0"))[:-1])
                if told.get("id") == number:
                    if told.get("error", {}).get("message") == _PAGE_CHANGED:
                        raise PageChangedError
                    assert "error" not in told, told
                    return told["result"]

    async def open_tab(self) -> None:
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]

    async def go(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """What the page's script comes to; None while the page changes."""
        try:
            done = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        except PageChangedError:
            return None
        return done["result"].get("value")

    async def shows(self, text: str, *, at: str) -> None:
        """Wait until a whole page whose URL begins so shows the text."""
        script = (
            f"document.readyState === 'complete' && location.href.startsWith({json.dumps(at)})"
            f" && document.body.innerText.includes({json.dumps(text)})"
        )
        try:
            async with asyncio.timeout(HANG_S):
                while await self.run(script) is not True:  # noqa: ASYNC110 # what it waits for is in another process
                    await asyncio.sleep(0.02)
        except TimeoutError:
            found = await self.run("location.href + '\\n' + document.body.innerText")
            raise AssertionError(f"{text!r} isn't shown at {at}, but {found}") from None

    async def cookies(self) -> dict[str, dict[str, Any]]:
        """All that it keeps, by name."""
        return {cookie["name"]: cookie for cookie in (await self.call("Storage.getCookies"))["cookies"]}


@asynccontextmanager
async def chromium(folder: Path, *, trusts: Sequence[x509.Certificate], tell: Tell) -> AsyncIterator[Browser]:
    """It trusts servers with the keys of these certificates, and no other."""
    program = debian_program("chromium", package="chromium", tell=tell)
    (reads, commands), (answers, writes) = (tuple(map(_high, os.pipe())) for _ in range(2))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", _AT_3_AND_4, str(reads), str(writes), str(program), *_FLAGS),
        f"--user-data-dir={folder}",
        f"--ignore-certificate-errors-spki-list={','.join(map(_pin, trusts))}",
        pass_fds=(reads, writes),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(reads)
    os.close(writes)
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answers, "rb", buffering=0)
    )
    try:
        browser = Browser(reader, commands)
        await browser.open_tab()
        yield browser
        await browser.call("Target.getTargets")
    finally:
        os.close(commands)
        transport.close()
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(HANG_S):
            await process.wait()


def _high(descriptor: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


def _pin(certificate: x509.Certificate) -> str:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()
