"""Knot DNS as Debian ships it: an authoritative server that takes signed updates, or a secondary of one."""

import secrets
import shutil
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode

from certlocal.debian import debian_program
from certlocal.private_file import write_private
from certlocal.process import ChildProcess
from certlocal.tools import Tell

__all__ = ["KnotServer", "KnotZone", "TsigKey", "knot_program"]

_TIMERS = "1 2 1 3600 1"
"""Serial, refresh, retry, expire and negative TTL of a zone's SOA: a secondary looks every other second."""


def knot_program(tell: Tell = print) -> Path:
    """Where Knot is; installed as Debian's package where that is possible and was not done.

    Raises:
        PartMissingError: it is not installed, and can't be from here.
    """
    return debian_program("knotd", package="knot", tell=tell)


@dataclass(frozen=True)
class TsigKey:
    name: str
    algorithm: str = "hmac-sha256"
    secret: str = field(default_factory=lambda: b64encode(secrets.token_bytes(32)).decode(), repr=False)


@dataclass(frozen=True)
class KnotZone:
    """A zone of a primary, by the addresses of its servers, in order ns1, ns2 …; or, with `primary` (host, port), a
    secondary's copy. `records` are further lines of the zone file. Records can be changed at and below the names
    `changeable`; everywhere where there is none.
    """

    name: str
    servers: Sequence[str] = ()
    records: Sequence[str] = ()
    changeable: Sequence[str] = ()
    primary: tuple[str, int] | None = None

    def text(self) -> str:
        lines = [f"$ORIGIN {self.name}.", "$TTL 60", f"@ SOA ns1 hostmaster {_TIMERS}"]
        for number, address in enumerate(self.servers, start=1):
            lines += [f"@ NS ns{number}", f"ns{number} A {address}"]
        return "\n".join((*lines, *self.records, ""))


class KnotServer:
    """It notifies the `secondaries` (host, port) of every change. Whoever has the key may change TXT records. What is
    asked about names outside of its zones is passed on to `others` (host, port), where that is given.

    The folder keeps what was changed from start to start, until a zone's text is another.
    """

    def __init__(
        self,
        *,
        program: Path,
        folder: Path,
        host: str = "127.0.0.1",
        port: int,
        zones: Sequence[KnotZone],
        key: TsigKey | None = None,
        secondaries: Sequence[tuple[str, int]] = (),
        others: tuple[str, int] | None = None,
        run_folder: Path | None = None,
    ) -> None:
        """`run_folder` is for its control socket, whose path may have at most 107 characters."""
        self.host = host
        self.port = port
        self.zones = zones
        self._folder = folder
        self._key = key
        self._secondaries = secondaries
        self._others = others
        self._run_folder = run_folder or folder / "run"
        self._configuration_file = folder / "knot.conf"
        self.process = ChildProcess(
            name="knot",
            argv=[str(program), "-c", str(self._configuration_file)],
            log_path=folder / "knot.log",
            # Only those of 127.0.0.1 are looked for.
            ports=(port,) if host == "127.0.0.1" else (),
        )

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it has all its zones.

        Raises:
            ProcessFailedError: it can't be started here.
        """
        self._write_zones()
        for folder in (self._run_folder, self._folder / "db"):
            folder.mkdir(parents=True, exist_ok=True)
        # The key's secret is in it.
        write_private(self._configuration_file, self._configuration().encode())
        self.process.start()
        await self.process.wait_ready(self._serves)

    async def stop(self) -> None:
        await self.process.stop(grace_s=5.0)

    async def _serves(self) -> bool:
        for zone in self.zones:
            query = dns.message.make_query(f"{zone.name}.", "SOA")
            try:
                response = await dns.asyncquery.udp(query, self.host, timeout=1.0, port=self.port)
            except dns.exception.DNSException:
                return False
            if response.rcode() != dns.rcode.NOERROR or not response.answer:
                return False
        return True

    def _write_zones(self) -> None:
        """Knot writes changes into the files: they are left as they are, unless our own text is a new one."""
        folder = self._folder / "zones"
        folder.mkdir(parents=True, exist_ok=True)
        for zone in self.zones:
            if zone.primary is not None:
                continue
            file, given = folder / f"{zone.name}.zone", folder / f"{zone.name}.given"
            if file.exists() and given.exists() and given.read_text() == zone.text():
                continue
            # Its journal would add the changes of the earlier text.
            shutil.rmtree(self._folder / "db", ignore_errors=True)
            file.write_text(zone.text())
            given.write_text(zone.text())

    def _configuration(self) -> str:
        parts = [
            (
                f"server:\n    rundir: {self._run_folder}\n    listen: {self.host}@{self.port}\n    udp-workers: 1\n"
                "    tcp-workers: 1\n    background-workers: 1\n    tcp-reuseport: off\n"
            ),
            f"database:\n    storage: {self._folder}/db\n",
            "log:\n  - target: stderr\n    any: info\n",
        ]
        if self._key is not None:
            parts.append(
                f"key:\n  - id: {self._key.name}\n    algorithm: {self._key.algorithm}\n"
                f"    secret: {self._key.secret}\n"
            )
        remotes = [f"  - id: secondary{n}\n    address: {h}@{p}\n" for n, (h, p) in enumerate(self._secondaries)]
        remotes += [
            f"  - id: primary{number}\n    address: {zone.primary[0]}@{zone.primary[1]}\n"
            for number, zone in enumerate(self.zones)
            if zone.primary is not None
        ]
        if self._others is not None:
            remotes.append(f"  - id: others\n    address: {self._others[0]}@{self._others[1]}\n")
        parts += ["remote:\n", *remotes] if remotes else []
        if self._others is not None:
            parts.append("mod-dnsproxy:\n  - id: others\n    remote: others\n")
            parts.append("template:\n  - id: default\n    global-module: mod-dnsproxy/others\n")
        parts.append(
            "acl:\n  - id: notify\n    address: 127.0.0.0/8\n    action: notify\n"
            "  - id: transfer\n    address: 127.0.0.0/8\n    action: transfer\n"
        )
        if self._key is not None:
            for number, zone in enumerate(self.zones):
                names = ", ".join(f"{name}." for name in zone.changeable or [zone.name])
                parts.append(
                    f"  - id: update{number}\n    key: {self._key.name}\n    action: update\n    update-type: [TXT]\n"
                    f"    update-owner: name\n    update-owner-match: sub-or-equal\n"
                    f"    update-owner-name: [{names}]\n"
                )
        parts.append("zone:\n")
        parts += [self._zone(number, zone) for number, zone in enumerate(self.zones)]
        return "".join(parts)

    def _zone(self, number: int, zone: KnotZone) -> str:
        lines = [f"  - domain: {zone.name}.", f"    storage: {self._folder}/zones", f"    file: {zone.name}.zone"]
        if zone.primary is not None:
            lines += [f"    master: primary{number}", "    acl: [notify, transfer]"]
        else:
            lines.append(f"    acl: [transfer{f', update{number}' if self._key else ''}]")
            if self._secondaries:
                lines.append(f"    notify: [{', '.join(f'secondary{n}' for n in range(len(self._secondaries)))}]")
        return "\n".join((*lines, ""))
