"""Serial JSON-RPC over a Unix socket: one request in flight per connection, answered in order.

The node answers batches and pipelined requests out of order, and a history replayed in another
order is another history. So a connection here never has two requests on the wire, and whoever
needs parallel reads takes several connections from a pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from tessera.errors import ChainError, RpcUnavailable

__all__ = ["IpcConnection", "IpcLost", "IpcPool", "IpcTimeout", "NodeRefused"]

# The state dump of the largest chain that the embedded node serves is below 1 GiB.
_LONGEST_ANSWER: Final = 4 << 30
_TIMEOUT_S: Final = 120.0


class IpcLost(RpcUnavailable):
    """The connection to the node's process broke, so the outcome of the request is unknown."""


class IpcTimeout(IpcLost):
    """The node took longer than the caller would wait; its process may be well."""


class NodeRefused(ChainError):
    """The node answered with a JSON-RPC error.

    Attributes
    ----------
    rpc_code
        The JSON-RPC error code.
    data
        What the node added, such as revert data; None where it added nothing.
    """

    def __init__(self, rpc_code: int, message: str, data: object = None) -> None:
        super().__init__(message, rpc_code=rpc_code, data=data)
        self.rpc_code = rpc_code
        self.data = data


class _Error(msgspec.Struct):
    code: int
    message: str
    data: Any = None


class _Answer(msgspec.Struct):
    result: Any = None
    error: _Error | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


class IpcConnection:
    """One connection to the node; calls wait for each other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()
        self._broken = False

    @classmethod
    async def open(cls, path: Path) -> IpcConnection:
        """Connect to the socket at `path`; raises IpcLost where nobody listens."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(path), limit=_LONGEST_ANSWER)
        except OSError as error:
            raise IpcLost(f"node socket {path.name}: {error.strerror or error}") from error
        return cls(reader, writer)

    @property
    def broken(self) -> bool:
        """Whether the connection can no longer be used."""
        return self._broken or self._reader.at_eof()

    async def call(self, method: str, *params: object, timeout_s: float = _TIMEOUT_S) -> Any:
        """Return the decoded result of one call.

        Raises
        ------
        NodeRefused
            The node answered with an error.
        IpcLost
            The connection broke or `timeout_s` passed; the node may or may not have acted.
        """
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        line = await self.exchange(msgspec.json.encode(request), timeout_s=timeout_s)
        try:
            answer = _decode_answer(line)
        except msgspec.DecodeError as error:
            self.close()
            raise IpcLost(f"node socket: {method} got an answer that is no JSON-RPC") from error
        if answer.error is not None:
            raise NodeRefused(answer.error.code, answer.error.message, answer.error.data)
        return answer.result

    async def exchange(self, request: bytes, *, timeout_s: float = _TIMEOUT_S) -> bytes:
        """Send one encoded request and return the bytes of its answer, undecoded.

        Raises
        ------
        IpcLost
            The connection broke or `timeout_s` passed; the node may or may not have acted.
        """
        async with self._turn:
            if self.broken:
                raise IpcLost("node socket: closed")
            try:
                async with asyncio.timeout(timeout_s):
                    self._writer.write(request)
                    line = await self._reader.readuntil(b"\n")
            except TimeoutError as error:
                self.close()
                raise IpcTimeout(f"node socket: no answer within {timeout_s:g} s") from error
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                self.close()
                raise IpcLost("node socket: closed by the node") from error
            except BaseException:
                # A cancelled caller leaves its answer on the wire, where the next caller would
                # take it for its own.
                self.close()
                raise
            return line

    def close(self) -> None:
        """Close the connection; calls that wait for an answer get IpcLost."""
        self._broken = True
        self._writer.close()


class IpcPool:
    """Several connections, for requests whose order among each other does not matter.

    Parameters
    ----------
    path
        The node's socket.
    size
        Most connections open at once.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._idle: list[IpcConnection] = []
        self._slots = asyncio.Semaphore(size)
        self._closed = False

    async def exchange(self, request: bytes, *, timeout_s: float = _TIMEOUT_S) -> bytes:
        """Do `IpcConnection.exchange` on any free connection."""
        async with self._borrowed() as connection:
            return await connection.exchange(request, timeout_s=timeout_s)

    async def call(self, method: str, *params: object, timeout_s: float = _TIMEOUT_S) -> Any:
        """Do `IpcConnection.call` on any free connection."""
        async with self._borrowed() as connection:
            return await connection.call(method, *params, timeout_s=timeout_s)

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[IpcConnection]:
        async with self._slots:
            connection = self._idle.pop() if self._idle else await IpcConnection.open(self._path)
            try:
                yield connection
            finally:
                if self._closed:
                    connection.close()
                elif not connection.broken:
                    self._idle.append(connection)

    def close(self) -> None:
        """Close what is idle now and what is in use as soon as it is given back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
