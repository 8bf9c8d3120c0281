"""Servers at a site that answer a CA: HAProxy by a map, and one that serves a folder."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from certcore.challenges import challenge_path
from certlocal.haproxy_server import HaproxyServer
from tests.ports import free_port

__all__ = ["AnsweringHaproxy", "answering_haproxy", "served_folder"]


@dataclass(frozen=True)
class AnsweringHaproxy:
    """Its configuration is that of docs/solvers.md."""

    server: HaproxyServer
    socket: Path
    map: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def answering_haproxy(*, port: int | None = None) -> AsyncIterator[AnsweringHaproxy]:
    with TemporaryDirectory(prefix="certbus-") as name:
        folder, port = Path(name), port or free_port()
        answers, socket = folder / "acme.map", folder / "h.sock"
        answers.touch()
        shown = f"%[path,field(-1,/),map({answers})]"
        server = HaproxyServer(
            folder=folder / "haproxy",
            ports=(port,),
            configuration=f"""
global
  stats socket {socket} mode 600 level admin
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend web
  bind 127.0.0.1:{port}
  acl challenge path_beg {challenge_path("")}
  acl known path,field(-1,/),map({answers}) -m found
  http-request return status 200 content-type text/plain lf-string {shown} if challenge known
  http-request return status 404 content-type text/plain string none
""",
        )
        try:
            await server.start()
            yield AnsweringHaproxy(server, socket, answers, port)
        finally:
            await server.stop()


class _Folder(SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        return super().translate_path(path.removeprefix(challenge_path("").rstrip("/")))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # http.server's name
        pass


@contextmanager
def served_folder(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """Serves it as /.well-known/acme-challenge; gives the server's URL."""
    handler = partial(_Folder, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", port or free_port()), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
