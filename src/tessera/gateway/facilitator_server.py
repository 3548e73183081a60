"""A facilitator that listens by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import uvicorn

from tessera.gateway.facilitating import FacilitatorDoor
from tessera.gateway.server import QuietServer, bound

__all__ = ["serve_facilitator"]

_KEEP_ALIVE_S: Final = 30


@asynccontextmanager
async def serve_facilitator(door: FacilitatorDoor, host: str, port: int) -> AsyncIterator[str]:
    """Serve a facilitator for the length of a context; its URL.

    Raises
    ------
    Busy, InputError
        The address is taken, or none that can be listened on.
    """
    listener = bound(host, port, "--port")
    server = QuietServer(
        uvicorn.Config(
            door,
            loop="none",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="tessera-facilitator")
    try:
        await server.listening.wait()
        at, actual = listener.getsockname()[:2]
        yield f"http://[{at}]:{actual}" if ":" in at else f"http://{at}:{actual}"
    finally:
        server.should_exit = True
        await serving
        listener.close()
