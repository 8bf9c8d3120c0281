"""A stand-in for a customer's application: it serves, over TLS on loopback, what was delivered to its site.

`python -m certlocal.site_application CONFIG.json`, where the file holds
`{"listeners": [{"listen": "127.0.0.1:18443", "files": "/store/shop/current"}, …]}`, or in place of `files`
`"kubernetes": {"kubeconfig": …, "context": …, "namespace": …, "secret": …}`.

It takes up a new pair for new handshakes, while connections go on with theirs. It prints a JSON line for each pair
that it takes up, and for each reason for which it keeps the one that it has.
"""

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from certlocal.delivered_pair import (
    DeliveredFiles,
    DeliveredPair,
    PairContext,
    UnusableError,
    server_context,
)
from certlocal.errors import LocalError

__all__ = ["Listener", "ListenerSettings", "SiteApplication", "main"]

_IDLE_S: Final = 60.0
_HANDSHAKE_S: Final = 10.0


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretSettings(_Settings):
    kubeconfig: Path
    context: str | None = None
    namespace: str
    secret: str


class ListenerSettings(_Settings):
    listen: str
    files: Path | None = None
    kubernetes: SecretSettings | None = None

    @field_validator("listen")
    @classmethod
    def _is_loopback(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not IPv4Address(host).is_loopback or not 0 < int(port) < 65536:
            raise ValueError("must be a port of the loopback interface, such as 127.0.0.1:18443")
        return value

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.files is None) == (self.kubernetes is None):
            raise ValueError("needs either files or kubernetes")
        return self

    def source(self) -> DeliveredPair:
        """Raises LocalError where the kubeconfig can't be used."""
        if self.kubernetes is None:
            assert self.files is not None, "validated above"
            return DeliveredFiles(self.files)
        from certlocal.delivered_secret import DeliveredSecret  # noqa: PLC0415 # imports long, needed at some sites
        from certlocal.kubeconfig import read_kubeconfig  # noqa: PLC0415 # as above

        access = read_kubeconfig(self.kubernetes.kubeconfig, self.kubernetes.context)
        return DeliveredSecret(access=access, namespace=self.kubernetes.namespace, secret=self.kubernetes.secret)


class Settings(_Settings):
    listeners: tuple[ListenerSettings, ...]


class Listener:
    """One port. Before anything was delivered there, it is open and refuses every handshake."""

    def __init__(self, *, listen: str, source: DeliveredPair) -> None:
        self._listen = listen
        self._source = source
        self._pair: PairContext | None = None
        self._door = server_context()
        self._door.sni_callback = self._choose
        self._visits: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen; at the end hang up on everybody.

        Raises:
            LocalError: the port is taken.
        """
        host, _, port = self._listen.rpartition(":")
        try:
            server = await asyncio.start_server(
                self._serve, host, int(port), ssl=self._door, ssl_handshake_timeout=_HANDSHAKE_S, backlog=1024
            )
        except OSError as error:
            raise LocalError(f"can't listen on {self._listen}: {error.strerror}") from None
        try:
            yield
        finally:
            server.close()
            for writer in self._visits:
                writer.transport.abort()
            await asyncio.gather(*(visit for visit in self._visits.values() if visit), return_exceptions=True)

    async def watch(self) -> None:
        """Take up what is delivered, for ever."""
        kept = ""
        while True:
            try:
                pair = await self._source.look()
            except UnusableError as error:
                if str(error) != kept:
                    kept = str(error)
                    self._tell("pair_kept" if self._pair else "nothing_to_serve", reason=kept)
            else:
                kept = ""
                if pair is not None:
                    self._pair = pair
                    self._tell("pair_loaded", serial=pair.serial)
            await asyncio.sleep(self._source.period_s)

    def _choose(self, session: ssl.SSLObject | ssl.SSLSocket, _: str | None, __: ssl.SSLContext) -> int | None:
        if self._pair is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        session.context = self._pair
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._visits[writer] = asyncio.current_task()
        # A client may hang up at any moment, or send what is no HTTP.
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await self._answer(reader, writer)
        writer.close()
        del self._visits[writer]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session: ssl.SSLObject = writer.get_extra_info("ssl_object")
        serial = session.context.serial if isinstance(session.context, PairContext) else ""
        again = True
        while again:
            async with asyncio.timeout(_IDLE_S):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
            # What has a body is answered without reading it, so the connection can't go on.
            over = (b"\r\nconnection: close", b"\r\ncontent-length:", b"\r\ntransfer-encoding:")
            again = b" http/1.1\r\n" in head and not any(mark in head for mark in over)
            writer.write(_response(f"serial {serial}\n", again=again, head_only=head.startswith(b"head ")))
            await writer.drain()

    def _tell(self, event: str, **facts: str) -> None:
        print(json.dumps({"event": event, "listen": self._listen, **facts}), flush=True)


def _response(body: str, *, again: bool, head_only: bool) -> bytes:
    connection = "keep-alive" if again else "close"
    fields = ("content-type: text/plain", f"content-length: {len(body)}", f"connection: {connection}")
    return "\r\n".join(("HTTP/1.1 200 OK", *fields, "", "" if head_only else body)).encode()


class SiteApplication:
    """All listeners of a site, until it is told to stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            LocalError: a kubeconfig can't be used, or a port is taken.
        """
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with AsyncExitStack() as stack:
            tasks = []
            for settings in self._settings.listeners:
                source = settings.source()
                stack.push_async_callback(source.close)
                listener = Listener(listen=settings.listen, source=source)
                await stack.enter_async_context(listener.open())
                tasks.append(asyncio.create_task(listener.watch()))
            waiting = asyncio.create_task(stopped.wait())
            # A watcher ends only by an error of the program: then the whole of it does.
            done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in (waiting, *tasks):
                task.cancel()
            await asyncio.gather(waiting, *tasks, return_exceptions=True)
            for task in done - {waiting}:
                task.result()


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m certlocal.site_application CONFIG.json")
    file = Path(sys.argv[1])
    try:
        settings = Settings.model_validate_json(file.read_bytes())
    except OSError as error:
        sys.exit(f"{file} can't be read: {error.strerror}")
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False))
        sys.exit(f"{file} can't be used: " + "; ".join(lines))
    try:
        asyncio.run(SiteApplication(settings).run())
    except LocalError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
