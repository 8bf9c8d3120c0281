"""What one authoritative server says about the TXT records of one name."""

import errno
from dataclasses import dataclass, field
from typing import Final

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from issuer.adapters.dns_zones import NameServer

__all__ = ["TxtAnswer", "ask_txt"]

_TRIES: Final = 2
_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


@dataclass(frozen=True)
class TxtAnswer:
    """`target` where the name is a CNAME, `cut` where it is in a zone further down; `fault` where there is no answer
    that counts, `no_route` where the server's network can't be reached from here at all.
    """

    values: frozenset[str] = frozenset()
    target: dns.name.Name | None = None
    cut: dns.name.Name | None = None
    fault: str = ""
    no_route: bool = False
    silent: bool = field(default=False)


async def ask_txt(server: NameServer, name: dns.name.Name, *, zone: dns.name.Name, timeout_s: float) -> TxtAnswer:
    query = dns.message.make_query(name, dns.rdatatype.TXT, use_edns=0, payload=1232)
    query.flags &= ~dns.flags.RD
    for last in (number == _TRIES for number in range(1, _TRIES + 1)):
        try:
            response, _ = await dns.asyncquery.udp_with_fallback(
                query, server.host, timeout=timeout_s, port=server.port, ignore_unexpected=True
            )
        except (dns.exception.Timeout, EOFError):
            if last:
                return TxtAnswer(fault="doesn't answer for", silent=True)
        except OSError as error:
            if error.errno in _NO_ROUTE:
                return TxtAnswer(
                    fault="can't be reached from here, so that nobody knows whether it shows", no_route=True
                )
            return TxtAnswer(fault="doesn't answer for", silent=True)
        except dns.exception.DNSException as error:
            return TxtAnswer(fault=f"answers what can't be read ({type(error).__name__}) for")
        else:
            return _read(response, name, zone)
    raise AssertionError("the last try always returns")


def _read(response: dns.message.Message, name: dns.name.Name, zone: dns.name.Name) -> TxtAnswer:
    if response.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return TxtAnswer(fault=f"answers {dns.rcode.to_text(response.rcode())} for")
    if not response.flags & dns.flags.AA:
        for rrset in response.authority:
            below = rrset.name.is_subdomain(zone) and rrset.name != zone and name.is_subdomain(rrset.name)
            if rrset.rdtype == dns.rdatatype.NS and below:
                return TxtAnswer(cut=rrset.name)
        return TxtAnswer(fault="is not authoritative for")
    alias = response.get_rrset(response.answer, name, dns.rdataclass.IN, dns.rdatatype.CNAME)
    if alias is not None:
        return TxtAnswer(target=alias[0].target)
    found = response.get_rrset(response.answer, name, dns.rdataclass.IN, dns.rdatatype.TXT)
    texts = () if found is None else tuple(b"".join(record.strings) for record in found)
    return TxtAnswer(values=frozenset(text.decode(errors="replace") for text in texts))
