"""Clients of a balancer that connect one time after the other, and verify what they get."""

from dataclasses import dataclass, field
from pathlib import Path

from certprobe.handshake import HandshakeError, Prober

__all__ = ["Tally", "keep_connecting"]


@dataclass
class Tally:
    handshakes: int = 0
    faults: list[str] = field(default_factory=list)


async def keep_connecting(port: int, host: str, roots: Path, tally: Tally) -> None:
    prober = Prober(ca_file=roots)
    while True:
        try:
            seen = await prober.shake("127.0.0.1", port, server_name=host)
        except HandshakeError as error:
            tally.faults.append(str(error))
            continue
        tally.handshakes += 1
        if seen.trust_problem is not None or len(seen.presented) != 2:
            tally.faults.append(f"{seen.trust_problem} {seen.leaf.dns_names} {len(seen.presented)}")
