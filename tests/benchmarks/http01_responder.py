"""`python -m tests.benchmarks.http01_responder PORT THUMBPRINTS`: answers http-01 for every token, and is told none.

What it answers needs only the token and the account's thumbprint. THUMBPRINTS is a file with a line for each account:
the domain of its names, and the thumbprint.
"""

import asyncio
import sys
from pathlib import Path

__all__ = ["main"]


async def main(port: int, thumbprints: dict[str, str]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        host = next(line[5:].strip() for line in head.split("\r\n") if line.lower().startswith("host:"))
        domain = host.partition(":")[0].partition(".")[2]
        body = f"{path.rsplit('/', 1)[-1]}.{thumbprints.get(domain, '')}"
        told = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        writer.write(told.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), dict(line.split() for line in Path(sys.argv[2]).read_text().splitlines())))
