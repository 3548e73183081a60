"""Listening: one address, and a uvicorn on it that leaves signals and logs to the process."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import uvicorn

from tessera.errors import Busy, InputError

__all__ = ["QuietServer", "bound", "require_free", "serving", "url_of"]

_BACKLOG: Final = 1024
_KEEP_ALIVE_S: Final = 30


class QuietServer(uvicorn.Server):
    """Uvicorn that says when it listens, and leaves signals to the process.

    Parameters
    ----------
    application
        What is served.
    more
        Further settings of uvicorn's.
    """

    def __init__(self, application: Any, **more: Any) -> None:
        settings = {"timeout_keep_alive": _KEEP_ALIVE_S, **more}
        super().__init__(
            uvicorn.Config(
                application,
                loop="none",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                proxy_headers=False,
                server_header=False,
                **settings,
            )
        )
        self._listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._listening.set()

    async def begun(self, task: asyncio.Task[Any]) -> None:
        """Return when the first request would be answered; raises what ended `task` before."""
        listening = asyncio.create_task(self._listening.wait())
        await asyncio.wait((task, listening), return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if task.done():
            await task

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        # Signals belong to the process, which may run more than this server.
        yield


@asynccontextmanager
async def serving(
    application: Any, host: str, port: int, *, last_s: int | None = None
) -> AsyncIterator[str]:
    """Serve an ASGI application for the length of a context.

    Parameters
    ----------
    application
        What is served.
    host, port
        Where; port 0 takes one that is free.
    last_s
        What is under way at the end has so long; None for as long as it takes.

    Yields
    ------
    str
        The base URL for callers.

    Raises
    ------
    Busy, InputError
        The address is taken, or none that can be listened on.
    """
    listener = bound(host, port, "--port")
    server = QuietServer(application, timeout_graceful_shutdown=last_s)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.begun(task)
        yield url_of(listener)
    finally:
        server.should_exit = True
        await task
        listener.close()


def url_of(listener: socket.socket) -> str:
    """Return what callers of a socket that listens call."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def require_free(host: str, port: int) -> None:
    """Refuse an address before anything else is begun that would then have to be ended.

    Raises
    ------
    Busy, InputError
        The address is taken, or none that can be listened on.
    """
    bound(host, port, "--gateway-port").close()


def bound(host: str, port: int, flag: str) -> socket.socket:
    """Return a socket that listens on an address; `flag` is what chooses another port.

    Raises
    ------
    Busy, InputError
        The address is taken, or none that can be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Busy(
                f"port {port} of {host}",
                found="in use by another process",
                wanted="a port that is free",
                next_step=f"stop that process or choose another: {flag} (0: any)",
            ) from error
        raise InputError(
            f"address {host}:{port}", found=error.strerror, wanted="one that can be listened on"
        ) from error
    listener.setblocking(False)
    return listener
