"""The connections to one upstream, and the requests that wait for one."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Awaitable
from typing import Final
from urllib.parse import quote, urlsplit

from tessera.errors import InputError
from tessera.serving.client.connection import Connection, Receiver
from tessera.serving.client.exchange import Exchange
from tessera.serving.client.reading import Whole
from tessera.serving.transport import Reply, Unreachable, base_url

__all__ = ["HttpClient"]

_IDLE_S: Final = 4.0
"""Below what servers keep a silent connection for; uvicorn, and so vLLM, for five seconds."""

_SAFE: Final = "/%:@!$&'()*+,;=~-._"
_PORTS: Final = {"http": 80, "https": 443}


class HttpClient:
    """Asks one server over a few connections that it keeps.

    Follows no redirect and reads no proxy or credentials from the environment: the key goes to
    the named server and nowhere else.

    Parameters
    ----------
    url
        Base URL, as `base_url` returns it.
    key
        Bearer token, or empty.
    connections
        At most so many at the same time; further requests wait in line.
    tls
        Whom to trust behind https; by default whom the system trusts.

    Raises
    ------
    InputError
        The URL is none, or the key cannot stand in a header.
    """

    def __init__(
        self, url: str, key: str = "", *, connections: int = 256, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(base_url(url))
        host = parts.hostname or ""
        self._host = host if host.isascii() else host.encode("idna").decode()
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = None if parts.scheme == "http" else tls or ssl.create_default_context()
        self._path = quote(parts.path, safe=_SAFE)
        self._most = connections
        self._head = _common_head(self._authority(), key)
        self._begun: dict[tuple[str, str], bytes] = {}
        self._idle: list[tuple[float, Connection]] = []
        self._all: set[Connection] = set()
        self._connecting: dict[Exchange, asyncio.Task[None]] = {}
        self._waiting: deque[tuple[Exchange, bool]] = deque()
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False
        self._running: asyncio.AbstractEventLoop | None = None

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._running is None:
            self._running = asyncio.get_running_loop()
        return self._running

    def begin(
        self,
        method: str,
        path: str,
        body: bytes,
        receiver: Receiver,
        *,
        timeout_s: float,
        most_bytes: int,
        pieces: bool = False,
    ) -> Exchange:
        """Ask, and have the receiver told what comes; see `Exchange`.

        Parameters
        ----------
        method, path, body
            Of the request; the path is put behind that of the base URL.
        receiver
            May be told of a failure before this returns.
        """
        begun = self._begun.get((method, path))
        if begun is None:
            line = f"{method} {self._path}{path} HTTP/1.1\r\n"
            begun = self._begun[method, path] = line.encode() + self._head
        return Exchange(
            self._loop,
            self,
            b"%bcontent-length: %d\r\n\r\n" % (begun, len(body)),
            body,
            receiver,
            timeout_s=timeout_s,
            most_bytes=most_bytes,
            pieces=pieces,
        )

    def get(self, path: str, *, timeout_s: float, most_bytes: int) -> Awaitable[Reply]:
        """Ask for a small document; `timeout_s` is for the whole.

        Raises
        ------
        Unreachable
            There was no answer, or one that is none.
        """
        return self._whole("GET", path, b"", timeout_s, most_bytes)

    def post(
        self, path: str, body: bytes, *, timeout_s: float, most_bytes: int
    ) -> Awaitable[Reply]:
        """Send JSON and read the whole answer, as `get`."""
        return self._whole("POST", path, body, timeout_s, most_bytes)

    async def close(self) -> None:
        """Drop the connections; requests in flight fail. Twice is once."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        waiting, self._waiting = self._waiting, deque()
        for exchange, _ in waiting:
            exchange.fail(_closed())
        tasks = list(self._connecting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._all):
            connection.close()
        self._idle.clear()

    async def _whole(
        self, method: str, path: str, body: bytes, timeout_s: float, most_bytes: int
    ) -> Reply:
        whole = Whole(self._loop)
        exchange = self.begin(method, path, body, whole, timeout_s=timeout_s, most_bytes=most_bytes)
        try:
            return await whole.reply
        finally:
            exchange.stop()

    # --- The port Supplier --------------------------------------------------------------------

    def supply(self, exchange: Exchange, *, fresh: bool) -> None:
        """Give an exchange a connection: one that is idle, a new one, or the next that is free."""
        if self._closed:
            exchange.fail(_closed())
            return
        idle = self._idle
        while idle and not fresh:
            connection = idle.pop()[1]
            if connection.usable:
                exchange.send(connection)
                return
        if len(self._all) + len(self._connecting) >= self._most and not (
            idle and self._drop_one_idle()
        ):
            self._waiting.append((exchange, fresh))
            return
        self._connecting[exchange] = asyncio.ensure_future(self._connect(exchange))

    def withdraw(self, exchange: Exchange) -> None:
        """Forget an exchange that waited or connected."""
        task = self._connecting.pop(exchange, None)
        if task is not None:
            task.cancel()
            self._next()
            return
        self._waiting = deque(pair for pair in self._waiting if pair[0] is not exchange)

    # --- Inside -------------------------------------------------------------------------------

    def _authority(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        usual = _PORTS["http" if self._tls is None else "https"]
        return host if self._port == usual else f"{host}:{self._port}"

    async def _connect(self, exchange: Exchange) -> None:
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._on_idle, self._on_lost),
                self._host,
                self._port,
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
            )
        except (OSError, UnicodeError) as error:
            self._connecting.pop(exchange, None)
            exchange.fail(Unreachable(_why(error)))
            self._next()
            return
        if self._connecting.pop(exchange, None) is None:
            # Given up in the very moment in which it came to be.
            connection.abort()
            return
        self._all.add(connection)
        exchange.send(connection)

    def _on_idle(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
            return
        for place, (exchange, fresh) in enumerate(self._waiting):
            if not fresh:
                del self._waiting[place]
                exchange.send(connection)
                return
        self._idle.append((self._loop.time(), connection))
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_IDLE_S, self._sweep)

    def _on_lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._idle = [pair for pair in self._idle if pair[1] is not connection]
        self._next()

    def _next(self) -> None:
        if self._waiting and not self._closed:
            exchange, fresh = self._waiting.popleft()
            self.supply(exchange, fresh=fresh)

    def _drop_one_idle(self) -> bool:
        # Its place is free at once; that it is over is heard a moment later.
        _, connection = self._idle.pop(0)
        self._all.discard(connection)
        connection.close()
        return True

    def _sweep(self) -> None:
        now = self._loop.time()
        old = [connection for since, connection in self._idle if now - since >= _IDLE_S]
        self._idle = [pair for pair in self._idle if now - pair[0] < _IDLE_S]
        for connection in old:
            connection.close()
        self._sweeping = None
        if self._idle:
            rest = self._idle[0][0] + _IDLE_S - now
            self._sweeping = self._loop.call_later(rest, self._sweep)


def _closed() -> Unreachable:
    return Unreachable("is not asked any more: this gateway closes")


def _common_head(authority: str, key: str) -> bytes:
    if not (key.isascii() and key.isprintable()):
        raise InputError(
            "upstream key", found="characters that no header can hold", wanted="printable ASCII"
        )
    lines = [
        f"host: {authority}",
        "accept: */*",
        "accept-encoding: identity",
        "content-type: application/json",
        "user-agent: tessera",
    ]
    if key:
        lines.append(f"authorization: Bearer {key}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _why(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"shows a certificate that is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return "does not speak TLS"
        case socket.gaierror():
            return "has a name without an address"
        case _:
            return "cannot be reached"
