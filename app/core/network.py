"""Where a request comes from."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

Client = tuple[str, int]
"""The host and port of a peer, as ASGI's `client` has them."""


def network_of(client: Client | None) -> str:
    """Where requests of a peer come from: an IPv4 address, or the /64 that one IPv6 customer has to themselves."""
    return _network(client[0] if client else "")


# Reading an address takes longer than counting a request of it.
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
