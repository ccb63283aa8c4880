"""Who is at the other end of the line; what a header claims counts only when a proxy of ours wrote it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from litestar.connection import ASGIConnection

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
UNKNOWN = ipaddress.IPv4Address("0.0.0.0")  # noqa: S104 – stands for "no address", nothing listens there


def client_address(connection: ASGIConnection[Any, Any, Any, Any], trusted_proxies: Sequence[str]) -> Address:
    """The nearest address that is not one of ``trusted_proxies`` (addresses or networks)."""
    peer = _parse(connection.client.host if connection.client else "")
    if not trusted_proxies:
        return peer
    claimed = [_parse(part) for part in connection.headers.get("x-forwarded-for", "").split(",") if part.strip()]
    for address in [peer, *reversed(claimed)]:
        if not _trusted(address, trusted_proxies):
            return address
    return claimed[0] if claimed else peer


def rate_key(address: Address) -> str:
    """What to count by: the address, or the /64 that one IPv6 subscriber has."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)


def is_local(address: Address) -> bool:
    """Whether the address is of this machine or a private network."""
    return address.is_loopback or (address.is_private and address != UNKNOWN)


def _trusted(address: Address, proxies: Sequence[str]) -> bool:
    for proxy in proxies:
        try:
            if address in ipaddress.ip_network(proxy.strip(), strict=False):
                return True
        except (ValueError, TypeError):
            continue
    return False


def _parse(text: str) -> Address:
    try:
        address = ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError:
        return UNKNOWN
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
