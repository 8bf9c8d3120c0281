"""`python -m tests.benchmarks.http01_responder PORT THUMBPRINTS|FOLDER`: answers http-01 for a benchmark's clients.

What it answers needs only the token and the account's thumbprint: a client needn't tell it anything. THUMBPRINTS is
a file with a line for each account: the domain of its names, and the thumbprint. From a FOLDER it serves what clients
put there.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from certlocal.process import ChildProcess

__all__ = ["main", "responder"]


async def main(port: int, body_of: Callable[[str, str], str]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        host = next(line[5:].strip() for line in head.split("\r\n") if line.lower().startswith("host:"))
        domain = host.partition(":")[0].partition(".")[2]
        body = body_of(domain, path)
        told = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        writer.write(told.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def responder(port: int, *, source: Path, log_path: Path) -> ChildProcess:
    return ChildProcess(
        name="responder",
        argv=[sys.executable, "-m", "tests.benchmarks.http01_responder", str(port), str(source)],
        log_path=log_path,
        ports=(port,),
    )


def _answers_from(source: Path) -> Callable[[str, str], str]:
    if source.is_dir():
        return lambda _, path: (source / path.lstrip("/")).read_text()
    thumbprints = dict(line.split() for line in source.read_text().splitlines())
    return lambda domain, path: f"{path.rsplit('/', 1)[-1]}.{thumbprints.get(domain, '')}"


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), _answers_from(Path(sys.argv[2]))))
