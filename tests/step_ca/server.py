"""step-ca, a private CA with ACME, configured by hand: no initialisation, no admin API."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from certlocal.process import ChildProcess
from certlocal.readiness import answers
from certlocal.tools import GoTool, Tell, Toolbox
from tests.authority import pem
from tests.ports import free_port
from tests.private_ca import a_ca

__all__ = ["StepCa", "step_ca"]

_STEP_CA: Final = GoTool("step-ca", "github.com/smallstep/certificates/cmd/step-ca", "about a minute")
_MODULE: Final = Path(__file__).parent
"""A Go module of its own: what it needs changes nothing of what the local system is built from."""

ACME: Final = "acme"
NEEDS_EAB: Final = "needs-eab"
FORCES_CN: Final = "forces-cn"


@dataclass(frozen=True)
class StepCa:
    url: str
    root_file: Path
    root: x509.Certificate
    process: ChildProcess

    def settings(self, name: str, *, provisioner: str = ACME, **more: Any) -> dict[str, Any]:
        """Of a CA of the issuer; each provisioner is an ACME server of its own."""
        return {
            "name": name,
            "preset": "step-ca",
            "directory_url": f"{self.url}/acme/{provisioner}/directory",
            "ca_file": str(self.root_file),
            **more,
        }

    def log(self) -> str:
        return self.process.log_path.read_text()


@asynccontextmanager
async def step_ca(folder: Path, *, dns: str, http01_port: int, tell: Tell) -> AsyncIterator[StepCa]:
    """`dns` is the only resolver that validation asks, `http01_port` where it connects to."""
    program = Toolbox(tell=tell, module=_MODULE).find(_STEP_CA)
    files = a_ca(folder)
    root_file, certificate_file = folder / "root.pem", folder / "signing.pem"
    root_file.write_text(pem(files.root))
    certificate_file.write_text(pem(files.signing))
    port = free_port()
    acme = {"type": "ACME", "challenges": ["http-01", "dns-01"]}
    configuration = {
        "root": str(root_file),
        "crt": str(certificate_file),
        "key": str(files.key_file),
        "address": f"127.0.0.1:{port}",
        "dnsNames": ["127.0.0.1"],
        "db": {"type": "badgerv2", "dataSource": str(folder / "db")},
        "logger": {"format": "json"},
        "authority": {
            "provisioners": [
                {**acme, "name": ACME},
                {**acme, "name": NEEDS_EAB, "requireEAB": True},
                {**acme, "name": FORCES_CN, "forceCN": True},
            ]
        },
    }
    configuration_file = folder / "ca.json"
    configuration_file.write_text(json.dumps(configuration, indent=2))
    process = ChildProcess(
        name="step-ca",
        argv=[
            str(program),
            str(configuration_file),
            *("--resolver", dns),
            *("--insecure", "--acme-http-port", str(http01_port)),
        ],
        log_path=folder / "step-ca.log",
        ports=(port,),
        # It keeps its own configuration of a user elsewhere, and reads none of it here.
        env={"STEPPATH": str(folder / "step")},
    )
    url = f"https://127.0.0.1:{port}"
    try:
        process.start()
        await process.wait_ready(answers(f"{url}/acme/{ACME}/directory", ca_file=root_file))
        yield StepCa(url, root_file, files.root, process)
    finally:
        await process.stop(grace_s=5.0)
