"""Fetching from addresses that strangers wrote, and from no network of ours.

Whoever reveals a row writes where its data is, and every validator asks there. An address inside a
validator's own network would make it ask what only it can reach: its router, a cloud's metadata,
a database without a password. So a name is resolved here, each address that it has must be one of
the internet, and the connection goes to that very address: what the name says a moment later
does not count.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

import httpx

from tessera.errors import DataError

__all__ = ["PrivateAddress", "open_http", "require_public"]

_TIMEOUT_S: Final = 10.0
_PORTS: Final = {"http": 80, "https": 443}


class PrivateAddress(DataError):
    """What a stranger wrote leads into a private network."""


def open_http(*, private: bool = False, timeout_s: float = _TIMEOUT_S) -> httpx.AsyncClient:
    """Return a client for addresses of strangers; whoever takes it closes it.

    No proxy of the environment is used and no redirect followed.

    Parameters
    ----------
    private
        Whether addresses of private networks may be asked, as on a development chain.
    """
    inner = httpx.AsyncHTTPTransport()
    transport = inner if private else _Guarded(inner)
    return httpx.AsyncClient(
        transport=transport, timeout=timeout_s, trust_env=False, follow_redirects=False
    )


async def require_public(url: str) -> None:
    """Refuse a URL that leads into a private network, or nowhere.

    Raises
    ------
    PrivateAddress
        One of its addresses is private.
    DataError
        It is no URL of the web.
    httpx.ConnectError
        Nobody knows the name.
    """
    await _public_address(httpx.URL(url))


class _Guarded(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the address that was looked at."""
        address = await _public_address(request.url)
        # The Host header was written already, and certificates are checked by the name.
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host=address)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


async def _public_address(url: httpx.URL) -> str:
    if url.scheme not in _PORTS or not url.host:
        raise DataError("address", found=str(url)[:80], wanted="http:// or https://")
    port = url.port or _PORTS[url.scheme]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            url.host, port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"nobody knows {url.host}") from error
    addresses = [str(each[4][0]) for each in found]
    for address in addresses:
        if not _is_public(address):
            raise PrivateAddress(
                f"address {url.host}",
                found=f"{address}, of a private network",
                wanted="one of the internet",
                next_step="if you mean to ask there: TESSERA_PRIVATE_ADDRESSES=1",
            )
    return addresses[0]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address in other clothes.
        inside = address.ipv4_mapped or address.sixtofour
        if inside is not None:
            address = inside
        elif address in _NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.is_global and not address.is_multicast


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
