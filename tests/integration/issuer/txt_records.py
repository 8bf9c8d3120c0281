import dns.asyncresolver
import dns.resolver

__all__ = ["txt_values"]


async def txt_values(server: str, name: str) -> list[str]:
    """The TXT values of a name, as the DNS server host:port has them."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    host, port = server.split(":")
    resolver.nameservers, resolver.port = [host], int(port)
    try:
        return [str(value).strip('"') for value in await resolver.resolve(name, "TXT")]
    except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
        return []
