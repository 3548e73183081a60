"""HTTP in front of the ordered JSON-RPC: loopback only, and nothing a web page could reach.

Only `POST /` with a JSON content type and a loopback `Host` is served. A page in a browser cannot
send that content type to another origin without a preflight, which is never granted; a page under
a name that was rebound to loopback carries that name as `Host`.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final

import uvicorn

from tessera.chain.rpc import RpcEndpoint
from tessera.errors import Busy, InputError

__all__ = ["EndpointServer", "loopback_socket", "rpc_application"]

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES: Final = 8 << 20
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "::1"})


def rpc_application(
    endpoint: RpcEndpoint,
) -> Callable[[_Scope, _Receive, _Send], Awaitable[None]]:
    """Return the ASGI application that serves `endpoint`."""

    async def application(scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        refusal = _refused_head(scope, headers)
        if refusal is not None:
            await _reply(send, *refusal)
            return
        body = await _body(receive)
        if body is None:
            await _reply(send, 413, f"body: wanted at most {MAX_BODY_BYTES} bytes")
            return
        answer = await endpoint.answer(body)
        await _start(send, 200 if answer else 204, b"application/json", len(answer))
        await send({"type": "http.response.body", "body": answer})

    return application


class EndpointServer(uvicorn.Server):
    """A uvicorn server that leaves the process's signals to the process.

    Parameters
    ----------
    endpoint
        What it serves.
    """

    def __init__(self, endpoint: RpcEndpoint) -> None:
        super().__init__(
            uvicorn.Config(
                rpc_application(endpoint),
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=2,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: whoever started the node decides when it ends."""
        yield


def loopback_socket(host: str, port: int) -> socket.socket:
    """Bind a listening socket.

    Parameters
    ----------
    host
        "127.0.0.1" or "::1".
    port
        0 takes any free one.

    Raises
    ------
    InputError
        `host` is not loopback.
    Busy
        Another program has the port.
    """
    if host not in _LOOPBACK_HOSTS:
        raise InputError(
            "embedded node: host",
            found=host,
            wanted="127.0.0.1 or ::1",
            next_step="put a proxy that you trust in front, or use a real chain",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle off, which costs 40 ms per answer, only where the protocol is named.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(1024)
    except OSError as error:
        bound.close()
        raise Busy(
            f"port {port} on {host}",
            found=error.strerror or str(error),
            wanted="a free port",
            next_step="stop the program that uses it, or choose another: --node-port (0 takes "
            "a free one)",
        ) from error
    return bound


def _refused_head(scope: _Scope, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
    host = headers.get(b"host", b"").decode("latin-1").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in _LOOPBACK_NAMES:
        return 403, f"host: found {host[:100]!r}, wanted a loopback name"
    if scope["path"] != "/":
        return 404, "path: wanted /"
    if scope["method"] != "POST":
        return 405, "method: wanted POST with a JSON-RPC body"
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        return 415, "content type: wanted application/json"
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        return 413, f"body: wanted at most {MAX_BODY_BYTES} bytes"
    return None


async def _body(receive: _Receive) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


async def _reply(send: _Send, status: int, text: str) -> None:
    body = text.encode() + b"\n"
    await _start(send, status, b"text/plain; charset=utf-8", len(body))
    await send({"type": "http.response.body", "body": body})


async def _start(send: _Send, status: int, kind: bytes, length: int) -> None:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % length)]
    if status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
