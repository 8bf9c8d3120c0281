"""A DNS server that takes updates (RFC 2136) signed by TSIG (RFC 8945), asked over TCP."""

import asyncio
import binascii
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
from dns.rdtypes.ANY.TXT import TXT

from issuer.domain.errors import SolverError
from issuer.domain.server_address import ServerAddress
from issuer.solvers.rfc2136.gathering import Change, RefusedUpdateError

__all__ = ["UpdateServer", "tsig_key"]

_SMALLEST_SECRET: Final = 16
_HEADER: Final = 12


def tsig_key(*, name: str, file: Path, algorithm: str) -> dns.tsig.Key:
    """The key; its secret is in no message and no repr.

    Raises:
        SolverError: the file can't be used.
    """
    try:
        with file.open() as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                raise SolverError(f"{file} can be read by others: chmod 600 {file}")
            secret = binascii.a2b_base64("".join(opened.read().split()), strict_mode=True)
        if len(secret) < _SMALLEST_SECRET:
            raise SolverError(f"{file} must hold the secret of the key {name} in base64, of 16 bytes at least")
        return dns.tsig.Key(dns.name.from_text(name), secret, dns.name.from_text(algorithm))
    except OSError as error:
        raise SolverError(f"{file}: {error.strerror}") from error
    except (binascii.Error, UnicodeError, dns.exception.DNSException):
        # Without the cause: it could quote the file.
        raise SolverError(f"{file} must hold the secret of the key {name} in base64, and nothing else") from None


class UpdateServer:
    def __init__(self, *, address: ServerAddress, key: dns.tsig.Key, ttl: int, timeout_s: float) -> None:
        self._address = address
        self._key = key
        self._ttl = ttl
        self._timeout_s = timeout_s

    async def zone_of(self, name: str) -> str:
        """The zone of a name, among those of this server.

        Raises:
            SolverError: it doesn't answer, or has none.
        """
        at = dns.name.from_text(name)
        query = dns.message.make_query(at, dns.rdatatype.SOA)
        query.use_tsig(self._key)
        response = await self._asked(query)
        if response.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
            for rrset in (*response.answer, *response.authority):
                if rrset.rdtype == dns.rdatatype.SOA and at.is_subdomain(rrset.name):
                    return rrset.name.to_text()
        raise SolverError(
            f"{self._address} has no zone with {name} (it answers {dns.rcode.to_text(response.rcode())}): "
            "`server` must be the primary of the zone that the record is in"
        )

    async def update(self, zone: str, changes: Sequence[Change]) -> None:
        """Make the changes, all or none.

        Raises:
            RefusedUpdateError: it refuses these changes.
            SolverError: it doesn't take any.
        """
        message = dns.update.UpdateMessage(zone, keyring=self._key)
        for change in changes:
            at = dns.name.from_text(change.name)
            text = change.value.encode()
            strings = [text[start : start + 255] for start in range(0, len(text), 255)]
            txt = TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)
            if change.add:
                message.add(at, self._ttl, txt)
            else:
                message.delete(at, txt)
        response = await self._asked(message)
        code = response.rcode()
        if code == dns.rcode.NOERROR:
            return
        told = f"{self._address} answers {dns.rcode.to_text(code)} to an update of {zone} by the key {self._name}"
        if code == dns.rcode.REFUSED:
            raise RefusedUpdateError(f"{told}: allow this key to change TXT records of {_names(changes)} there")
        if code == dns.rcode.NOTAUTH:
            raise SolverError(f"{told}: `server` must be the primary of that zone, and know the key")
        if code in {dns.rcode.SERVFAIL, dns.rcode.NOTIMP}:
            raise SolverError(f"{told}: see the server's log")
        raise RefusedUpdateError(f"{told}: it can't take {_names(changes)}")

    async def _asked(self, message: dns.message.Message) -> dns.message.Message:
        try:
            async with asyncio.timeout(self._timeout_s):
                where = await self._ip()
                wire = await _exchanged(where, self._address.port, message.to_wire())
            return self._read(wire, message)
        except dns.tsig.PeerBadKey:
            # Knot answers so as well where the key may not make this change.
            told = (
                f"doesn't know the key {self._name}, or not with {self._key.algorithm.to_text(omit_final_dot=True)}"
            )
            raise RefusedUpdateError(
                f"{self._address} {told}, or doesn't let it make this change (BADKEY): set `key_name` and "
                "`algorithm` as the server has them, and allow the key to change TXT records of these names"
            ) from None
        except (dns.tsig.PeerBadSignature, dns.tsig.BadSignature):
            told = f"and this issuer have different secrets for the key {self._name} (BADSIG)"
            raise SolverError(f"{self._address} {told}: `key_file` must hold the server's") from None
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            raise SolverError(f"the clocks of {self._address} and of this host differ too much (BADTIME)") from None
        except TimeoutError:
            raise SolverError(f"{self._address} doesn't answer within {self._timeout_s:g} s (TCP)") from None
        except OSError as error:
            raise SolverError(f"{self._address} can't be reached (TCP): {error.strerror or error}") from error
        except (dns.exception.DNSException, EOFError) as error:
            raise SolverError(f"{self._address} answers what can't be read: {type(error).__name__}") from error

    def _read(self, wire: bytes, asked: dns.message.Message) -> dns.message.Message:
        try:
            response = dns.message.from_wire(wire, keyring=self._key, request_mac=asked.mac)
        except dns.exception.FormError:
            # Some servers don't sign an answer that says no: it is told, and nothing is believed of it.
            if len(wire) < _HEADER or wire[3] & 0xF == dns.rcode.NOERROR:
                raise
            response = dns.message.from_wire(wire, ignore_trailing=True)
        if not asked.is_response(response):
            raise dns.exception.FormError
        return response

    async def _ip(self) -> str:
        if self._address.is_ip:
            return self._address.host
        found = await asyncio.get_running_loop().getaddrinfo(
            self._address.host, self._address.port, type=socket.SOCK_STREAM
        )
        return str(found[0][4][0])

    @property
    def _name(self) -> str:
        return self._key.name.to_text(omit_final_dot=True)


async def _exchanged(host: str, port: int, message: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(len(message).to_bytes(2, "big") + message)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()


def _names(changes: Sequence[Change]) -> str:
    names = sorted({change.name for change in changes})
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more names"
