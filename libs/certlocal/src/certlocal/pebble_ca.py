"""Pebble, a small ACME CA that forgets everything when it stops, and the DNS server that it asks."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from certlocal.local_ca import LocalCa
from certlocal.process import ChildProcess
from certlocal.readiness import answers, trusting

__all__ = ["ChallengeDns", "PebbleCa", "PebblePorts"]

_FINALIZED: Final = re.compile(r"Issued certificate serial \S+ for order (\S+)")
_PROFILES: Final = {
    "default": {"description": "90 days", "validityPeriod": 90 * 86400},
    "shortlived": {"description": "6 days", "validityPeriod": 6 * 86400},
}


def _pauses(seconds: int) -> Mapping[str, str]:
    return {"PEBBLE_VA_SLEEPTIME": str(seconds)} if seconds else {"PEBBLE_VA_NOSLEEP": "1"}


class ChallengeDns:
    """pebble-challtestsrv: answers 127.0.0.1 for every name, and the TXT records that it is told over HTTP."""

    def __init__(self, *, program: Path, folder: Path, dns_port: int, management_port: int) -> None:
        self.dns = f"127.0.0.1:{dns_port}"
        self.url = f"http://127.0.0.1:{management_port}"
        # An empty address turns a listener off: here it is only a DNS server.
        off = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]
        self.process = ChildProcess(
            name="pebble-challtestsrv",
            argv=[
                str(program),
                *("-dnsserver", self.dns),
                *("-management", f"127.0.0.1:{management_port}"),
                *("-defaultIPv4", "127.0.0.1"),
                *("-defaultIPv6", ""),
                *off,
            ],
            log_path=folder / "pebble-challtestsrv.log",
            ports=(dns_port, management_port),
        )

    async def start(self) -> None:
        """Start it and wait until it can be told records.

        Raises:
            ProcessFailedError: it can't be started here.
        """
        self.process.start()
        # Its root path is no resource, and to be told so is an answer.
        await self.process.wait_ready(answers(self.url, accept=lambda status: status < 500))

    async def stop(self) -> None:
        await self.process.stop()


@dataclass(frozen=True, kw_only=True)
class PebblePorts:
    """Where Pebble listens (`acme`, `management`), and where it connects to validate."""

    acme: int
    management: int
    http01: int
    tls_alpn01: int


class PebbleCa:
    """An ACME CA with a new root at every start, so `roots_file` collects the roots of all its starts."""

    def __init__(
        self,
        *,
        program: Path,
        folder: Path,
        ports: PebblePorts,
        dns: str,
        bad_nonces_percent: int = 5,
        validates_within_s: int = 0,
        profiles: Mapping[str, Mapping[str, object]] = _PROFILES,
    ) -> None:
        """`dns` is the only resolver that validation asks. Each profile's `validityPeriod` is in seconds.

        `validates_within_s`: it begins to validate after a whole number of seconds that is smaller, drawn each time.
        """
        self.directory_url = f"https://127.0.0.1:{ports.acme}/dir"
        self.management_url = f"https://127.0.0.1:{ports.management}"
        self.http01_port = ports.http01
        self.tls_alpn01_port = ports.tls_alpn01
        self.roots_file = folder / "roots.pem"
        self.ca_file = folder / "api" / "ca.pem"
        self.log_path = folder / "pebble.log"
        self._folder = folder
        self._ports = ports
        self._profiles = profiles
        self.process = ChildProcess(
            name="pebble",
            argv=[str(program), "-strict", "-config", str(folder / "pebble.json"), "-dnsserver", dns],
            log_path=self.log_path,
            ports=(ports.acme, ports.management),
            env={
                **_pauses(validates_within_s),
                "PEBBLE_WFE_NONCEREJECT": str(bad_nonces_percent),
                # An authorization that is used again would hide the validation that a test is about.
                "PEBBLE_AUTHZREUSE": "0",
            },
        )

    async def start(self) -> None:
        """Start it, wait until it takes orders, and add its root to `roots_file`.

        Raises:
            ProcessFailedError: it can't be started here.
        """
        api = LocalCa(self._folder / "api").server("server")
        configuration = {
            "pebble": {
                "listenAddress": f"127.0.0.1:{self._ports.acme}",
                "managementListenAddress": f"127.0.0.1:{self._ports.management}",
                "certificate": str(api.certificate_file),
                "privateKey": str(api.key_file),
                "httpPort": self._ports.http01,
                "tlsPort": self._ports.tls_alpn01,
                "ocspResponderURL": "",
                "externalAccountBindingRequired": False,
                "retryAfter": {"authz": 1, "order": 1},
                "keyAlgorithm": "ecdsa",
                "profiles": self._profiles,
            }
        }
        (self._folder / "pebble.json").write_text(json.dumps(configuration, indent=2))
        self.process.start()
        await self.process.wait_ready(answers(self.directory_url, ca_file=self.ca_file))
        await self.process.wait_ready(answers(f"{self.management_url}/roots/0", ca_file=self.ca_file))
        await self._keep_root()

    async def stop(self) -> None:
        # It keeps nothing, so there is nothing to wait for.
        await self.process.stop(grace_s=1.0)

    def finalized_orders(self) -> list[str]:
        """The id of the order of each certificate that it ever issued, in order: its last path segment."""
        return _FINALIZED.findall(self.log_path.read_text()) if self.log_path.exists() else []

    async def _keep_root(self) -> None:
        async with httpx.AsyncClient(verify=trusting(self.ca_file), trust_env=False, timeout=5.0) as client:
            response = await client.get(f"{self.management_url}/roots/0")
        root = response.raise_for_status().text.strip() + "\n"
        kept = self.roots_file.read_text() if self.roots_file.exists() else ""
        if root not in kept:
            # Whoever reads it meanwhile finds either all of the old or all of the new.
            new = self.roots_file.with_suffix(".new")
            new.write_text(kept + root)
            new.replace(self.roots_file)
