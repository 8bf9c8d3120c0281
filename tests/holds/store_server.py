"""Stands in for the customers' servers of a site: one TLS port for all names that are delivered into a store.

`python -m tests.holds.store_server PORT STORE`. The first label of the name that a client asks for is the folder of
the certificate. The link `current` is read at each handshake, so that hundreds of names cost nothing between them.
"""

import asyncio
import ssl
import sys
from pathlib import Path
from typing import Final

from certlocal.delivered_pair import PairContext, UnusableError, load, server_context

_HANDSHAKE_S: Final = 10.0


class StoreServer:
    def __init__(self, store: Path) -> None:
        self._store = store
        self._loaded: dict[str, tuple[str, PairContext]] = {}

    def choose(self, session: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> int | None:
        pair = self._pair((name or "").partition(".")[0])
        if pair is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        session.context = pair
        return None

    def _pair(self, certificate: str) -> PairContext | None:
        """The pair that lies there, or what was loaded before where that can't be used."""
        link, kept = self._store / certificate / "current", self._loaded.get(certificate)
        try:
            folder = str(link.readlink())
            if kept is None or kept[0] != folder:
                kept = (folder, load(link))
                self._loaded[certificate] = kept
        except (OSError, UnusableError):
            pass
        return kept[1] if kept else None


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _serve(port: int, store: Path) -> None:
    door = server_context()
    door.sni_callback = StoreServer(store).choose
    server = await asyncio.start_server(
        _hang_up, "127.0.0.1", port, ssl=door, ssl_handshake_timeout=_HANDSHAKE_S, backlog=1024
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
