"""Requests to addresses that a tenant entered: only to the public internet, whatever the name resolves to and whenever.

A name is resolved once, every address it has is looked at, and the connection goes to one of them under the name's own
certificate. Nothing is redirected, and nobody waits long or reads much. An operator may allow more: hosts of the own network.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import httpx

from coursesignal import __version__
from coursesignal.errors import ConfigurationError, CourseSignalError, FieldError, Invalid

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

CONNECT_S, TOTAL_S = 5.0, 15.0
MAX_ANSWER_BYTES = 64 * 1024
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
_NAT64 = IPv6Network("64:ff9b::/96")
_NEVER: Sequence[IPv4Network | IPv6Network] = [
    ipaddress.ip_network(network)
    for network in (
        "192.88.99.0/24",  # relays of 6to4
        "::/96",  # IPv4-compatible
        "64:ff9b:1::/48",  # NAT64 of one's own network
        "2002::/16",  # 6to4
        "2001::/32",  # Teredo
        "fec0::/10",  # site-local
    )
]


class AddressRefused(CourseSignalError):
    """We do not go there; the message says why, for the person who entered the address."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an operator allows beside public hosts on https: hosts (with their port) and networks."""

    hosts: frozenset[tuple[str, int]] = field(default_factory=frozenset[tuple[str, int]])
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Allowed:
        """From ``host``, ``host:port`` and ``10.1.0.0/16``; raises ConfigurationError naming the entry that is none."""
        hosts: set[tuple[str, int]] = set()
        networks: list[IPv4Network | IPv6Network] = []
        for entry in entries:
            try:
                if "/" in entry:
                    networks.append(ipaddress.ip_network(entry.strip()))
                    continue
                url = httpx.URL(f"https://{entry.strip()}")
                if not _is_host(_name(url)):
                    raise ValueError(entry)
                hosts.add((_name(url), url.port or 443))
            except (ValueError, httpx.InvalidURL) as error:
                raise ConfigurationError(
                    f"COURSESIGNAL_OUTBOUND_ALLOW: {entry!r} is no host, host:port or network."
                ) from error
        return cls(frozenset(hosts), tuple(networks))

    def host(self, name: str, port: int) -> bool:
        return (name, port) in self.hosts

    def address(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.networks)


def is_public(address: Address) -> bool:
    """Whether an address is of the public internet, and of one host. Pure."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if any(address.version == network.version and address in network for network in _NEVER):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def checked_url(text: str, allowed: Allowed = Allowed()) -> httpx.URL:
    """An address as a tenant may enter it: https, the usual port, no credentials in it. Raises AddressRefused. No look-up."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise AddressRefused("This is no web address.") from error
    name = _name(url)
    port = url.port or {"https": 443, "http": 80}.get(url.scheme, 0)
    if not _is_host(name) or url.scheme not in ("https", "http"):
        raise AddressRefused("Enter an address that begins with https://.")
    if url.userinfo:
        raise AddressRefused("An address must not carry a name or password.")
    if allowed.host(name, port):
        return url
    literal = _literal(name)
    if literal is not None and allowed.address(literal):
        return url
    if url.scheme != "https" or port != 443:
        raise AddressRefused("Enter an address that begins with https://, on the usual port.")
    if literal is not None and not is_public(literal):
        raise AddressRefused("This address is not on the public internet.")
    return url


def check_entry(path: str, text: str, allowed: Allowed) -> None:
    """Raise Invalid at the field ``path`` for an address that a tenant may not enter."""
    try:
        checked_url(text, allowed)
    except AddressRefused as error:
        raise Invalid(errors=[FieldError(path, str(error))]) from error


def _name(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").lower().strip("[]").rstrip(".")


def _is_host(name: str) -> bool:
    return bool(_HOST.fullmatch(name)) or _literal(name) is not None


def _literal(name: str) -> Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


async def resolve(host: str, port: int) -> Sequence[str]:
    """Every address of a name; odd spellings of numbers are addresses too. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def client(
    allowed: Allowed = Allowed(),
    *,
    resolve: Resolve = resolve,
    verify: ssl.SSLContext | bool = True,
) -> httpx.AsyncClient:
    """A client for addresses that a tenant entered; its requests raise AddressRefused, or httpx's own errors."""
    return httpx.AsyncClient(
        transport=_Guarded(allowed, resolve, verify),
        timeout=httpx.Timeout(CONNECT_S, read=TOTAL_S),
        headers={"user-agent": f"CourseSignal/{__version__}", "accept-encoding": "identity"},
        follow_redirects=False,
        trust_env=False,
    )


class _Guarded(httpx.AsyncBaseTransport):
    """Looks at where a request goes, pins it there, and bounds the answer."""

    def __init__(self, allowed: Allowed, resolve: Resolve, verify: ssl.SSLContext | bool) -> None:
        self._allowed = allowed
        self._resolve = resolve
        # A connection is used once: kept, it could serve another name at the same address.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=verify, limits=limits, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        deadline = time.monotonic() + TOTAL_S
        url = checked_url(str(request.url), self._allowed)
        try:
            async with asyncio.timeout(TOTAL_S):
                response = await self._inner.handle_async_request(await self._pinned(request, url))
        except TimeoutError as error:
            raise httpx.ReadTimeout("The other side took too long.", request=request) from error
        if 300 <= response.status_code < 400:
            await response.aclose()
            raise AddressRefused("The address leads on to another one. Enter the one it leads to.")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise httpx.ReadError("The answer is compressed, which was not asked for.", request=request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(response.stream, deadline, request)
        return response

    async def _pinned(self, request: httpx.Request, url: httpx.URL) -> httpx.Request:
        """The same request to one address of its host, which keeps its name in the Host header and in the TLS handshake."""
        name, port = _name(url), url.port or (443 if url.scheme == "https" else 80)
        try:
            addresses = [ipaddress.ip_address(text) for text in await self._resolve(name, port)]
        except (OSError, ValueError) as error:
            raise httpx.ConnectError("There is no such host.", request=request) from error
        if not addresses:
            raise httpx.ConnectError("There is no such host.", request=request)
        if not self._allowed.host(name, port):
            for address in addresses:
                if not is_public(address) and not self._allowed.address(address):
                    raise AddressRefused("This address is not on the public internet.")
        pinned = url.copy_with(host=str(addresses[0]))
        return httpx.Request(
            request.method,
            pinned,
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": name},
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Bounded(httpx.AsyncByteStream):
    """An answer that ends when it is too long or takes too long."""

    def __init__(self, inner: httpx.AsyncByteStream, deadline: float, request: httpx.Request) -> None:
        self._inner, self._deadline, self._request = inner, deadline, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise httpx.ReadError("The answer is too long.", request=self._request)
            if time.monotonic() > self._deadline:
                raise httpx.ReadTimeout("The other side took too long.", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
