"""The network address of a client, as rate limits and throttles count it."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

Client = tuple[str, int]
"""The host and port of a peer, as ASGI's `client` has them."""


def network_of(client: Client | None) -> str:
    """Return the network of a client: its IPv4 address, or the /64 that one IPv6 customer usually has."""
    return _network(client[0] if client else "")


# Cached, because parsing an address takes longer than counting a request.
@lru_cache(10_000)
def _network(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> 64 << 64)) + "/64"
    return str(address)
