"""What an address serves, and whether a careful client would take it: the core of `certbus check`, without a server.

Every address of a host is shaken hands with, and each gives one result with the first thing that is wrong with it.
"""

import asyncio
import ipaddress
import math
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict

from certbus.exit_codes import ExitCode
from certcore.clock import Clock
from certprobe.handshake import Handshake, HandshakeError, HandshakeProblem, Prober

__all__ = [
    "DEFAULT_MIN_DAYS",
    "AddressCheck",
    "CheckTarget",
    "Finding",
    "TargetError",
    "check",
    "exit_code",
    "finding_of",
    "parse_target",
    "system_addresses",
]

DEFAULT_MIN_DAYS: Final = 14
_AT_ONCE: Final = 32


class Finding(StrEnum):
    """What is wrong at an address; the names are the same as TrustProblem's where OpenSSL found it."""

    OK = "ok"
    EXPIRES_SOON = "expires_soon"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_HOST = "wrong_host"
    SELF_SIGNED = "self_signed"
    CHAIN_INCOMPLETE = "chain_incomplete"
    UNTRUSTED = "untrusted"
    TLS_FAILED = "tls_failed"
    UNREACHABLE = "unreachable"
    UNRESOLVED = "unresolved"


class TargetError(ValueError):
    """An argument that names no host."""


@dataclass(frozen=True)
class CheckTarget:
    """`host` is resolved, and sent as server name unless it is an address."""

    host: str
    port: int = 443

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class AddressCheck(BaseModel):
    """One address of one target. Serial and fingerprint are lower-case hex; without a certificate they are None."""

    model_config = ConfigDict(frozen=True)

    target: str
    address: str | None
    finding: Finding
    detail: str = ""
    not_after: AwareDatetime | None = None
    days_left: int | None = None
    subject: str | None = None
    issuer: str | None = None
    dns_names: tuple[str, ...] = ()
    serial: str | None = None
    fingerprint_sha256: str | None = None
    protocol: str | None = None


Addresses = Callable[[str], Awaitable[list[str]]]
"""Finds all addresses of a host; raises OSError where it has none."""


def parse_target(value: str) -> CheckTarget:
    """Read HOST, HOST:PORT, [IPV6]:PORT or an https URL.

    Raises:
        TargetError: it is none of these.
    """
    text = value.strip()
    if "://" not in text:
        # A bare IPv6 address has more colons than a port needs.
        text = f"//[{text}]" if _is_ipv6(text) else f"//{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise TargetError(f"{value!r:.80} is no HOST[:PORT]") from None
    if parts.scheme not in {"", "https"} or not host or port == 0 or parts.username is not None:
        raise TargetError(f"{value!r:.80} is no HOST[:PORT]")
    if any(character.isspace() or ord(character) < 33 for character in host):
        raise TargetError(f"{value!r:.80} is no HOST[:PORT]")
    if not parts.scheme and (parts.path or parts.query or parts.fragment):
        raise TargetError(f"{value!r:.80} is no HOST[:PORT]")
    if not (host := host.rstrip(".")):
        raise TargetError(f"{value!r:.80} is no HOST[:PORT]")
    return CheckTarget(host, port or 443)


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


async def system_addresses(host: str) -> list[str]:
    """All addresses of a host, as the machine's other programs find them.

    Raises:
        OSError: there are none.
    """
    loop = asyncio.get_running_loop()
    try:
        # Not the addresses of a family that this machine doesn't speak.
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError as error:
        raise OSError(f"{host!r:.80} is no host name") from error
    return sorted({str(address[0]) for *_, address in found})


async def check(
    targets: Iterable[CheckTarget],
    *,
    prober: Prober,
    clock: Clock,
    min_days: int = DEFAULT_MIN_DAYS,
    addresses: Addresses = system_addresses,
) -> list[AddressCheck]:
    """Look at every address of every target; results come in the targets' order, then by address.

    Raises:
        TrustRootsError: there are no roots to trust.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def check_address(target: CheckTarget, address: str) -> AddressCheck:
        async with slots:
            try:
                found: Handshake | HandshakeError = await prober.shake(address, target.port, server_name=target.host)
            except HandshakeError as error:
                found = error
        return finding_of(target, address, found, now=clock(), min_days=min_days)

    async def check_target(target: CheckTarget) -> list[AddressCheck]:
        try:
            async with slots:
                found = await addresses(target.host)
        except OSError as error:
            detail = error.strerror or str(error)
            return [AddressCheck(target=str(target), address=None, finding=Finding.UNRESOLVED, detail=detail)]
        return list(await asyncio.gather(*(check_address(target, address) for address in found)))

    checked = await asyncio.gather(*(check_target(target) for target in targets))
    return [result for results in checked for result in results]


def finding_of(
    target: CheckTarget,
    address: str,
    found: Handshake | HandshakeError,
    *,
    now: datetime,
    min_days: int,
) -> AddressCheck:
    """Judge one handshake."""
    if isinstance(found, HandshakeError):
        unreachable = found.problem is HandshakeProblem.UNREACHABLE
        return AddressCheck(
            target=str(target),
            address=address,
            finding=Finding.UNREACHABLE if unreachable else Finding.TLS_FAILED,
            detail=found.detail,
        )
    leaf = found.leaf
    left = leaf.not_after - now
    finding, detail = _judge(found, left, now=now, min_days=min_days)
    return AddressCheck(
        target=str(target),
        address=address,
        finding=finding,
        detail=detail,
        not_after=leaf.not_after,
        days_left=math.floor(left / timedelta(days=1)),
        subject=leaf.subject,
        issuer=leaf.issuer,
        dns_names=leaf.dns_names,
        serial=leaf.serial,
        fingerprint_sha256=leaf.fingerprint_sha256,
        protocol=found.protocol,
    )


def _judge(found: Handshake, left: timedelta, *, now: datetime, min_days: int) -> tuple[Finding, str]:
    leaf = found.leaf
    if left <= timedelta(0):
        return Finding.EXPIRED, f"expired at {leaf.not_after.isoformat()}"
    if leaf.not_before > now:
        return Finding.NOT_YET_VALID, f"valid from {leaf.not_before.isoformat()}"
    if found.trust_problem is not None:
        # The leaf is in date, so whatever OpenSSL found expired is above it.
        return Finding(found.trust_problem.value), _DETAILS.get(Finding(found.trust_problem.value), "")
    if left < timedelta(days=min_days):
        return Finding.EXPIRES_SOON, f"fewer than {min_days} days are left"
    return Finding.OK, ""


_DETAILS: Final = {
    Finding.EXPIRED: "a certificate of the chain has expired",
    Finding.NOT_YET_VALID: "a certificate of the chain isn't valid yet",
    Finding.WRONG_HOST: "the certificate is for other names",
    Finding.SELF_SIGNED: "nobody but itself has signed the certificate",
    Finding.CHAIN_INCOMPLETE: "the server doesn't send the certificates between its own and a trusted root",
    Finding.UNTRUSTED: "the chain doesn't lead to a trusted root",
}


def exit_code(results: Sequence[AddressCheck]) -> ExitCode:
    """OK where nothing was found at any address, else FAILED."""
    return ExitCode.OK if all(result.finding is Finding.OK for result in results) else ExitCode.FAILED
