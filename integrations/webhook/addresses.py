"""Where a webhook may go: to public addresses only, and surely to the one that was checked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host name and port, the preferred first. Raises: OSError, UnicodeError."""

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as IPv6-only networks reach them (RFC 6052)."""
_NOT_PUBLIC = tuple(
    map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "2001:db8::/32", "3fff::/20"))
)
"""Protocol assignments, tunnels to anywhere (Teredo, 6to4) and documentation: not all of them known to each Python."""


class PrivateAddress(Exception):
    """The host is, or its name leads to, an address that is not public."""


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet. What stands for an IPv4 address is judged as that one."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _TRANSLATED else ip)
    if any(ip in network for network in _NOT_PUBLIC) or not ip.is_global or ip.is_multicast:
        return False
    return ip in _GLOBAL_UNICAST if isinstance(ip, IPv6Address) else not ip.is_reserved


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system, hosts file included."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class PublicTransport(httpx.AsyncHTTPTransport):
    """Resolves a name once for each request, and connects to what was checked: no second answer can differ.

    Raises: PrivateAddress, if any of a name's addresses is not public; OSError or UnicodeError, if it has none.
    """

    def __init__(self, *, allow_private: bool, resolve: Resolve, limits: httpx.Limits) -> None:
        super().__init__(verify=httpx.create_ssl_context(), limits=limits)
        self._allow_private = allow_private
        self._resolve = resolve

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.raw_host.decode("ascii")
        addresses = await self._resolve(host, request.url.port or (443 if request.url.scheme == "https" else 80))
        if not addresses:
            raise OSError("no address")
        if not self._allow_private and not all(map(is_public, addresses)):
            raise PrivateAddress
        for address in addresses[:-1]:
            try:
                return await super().handle_async_request(_to(address, request, host))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await super().handle_async_request(_to(addresses[-1], request, host))


def _to(address: str, request: httpx.Request, host: str) -> httpx.Request:
    """The request at one address. The certificate is that of the name, and so is the header `Host`."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )
