"""Gateway processes on shared books, for tests that kill them: `serve_shared.py URL`.

Each line on standard input makes one more, forked from this process so that nothing is imported
anew; it writes its process and its port to standard output, and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from tests.integration.gateway.conftest import Parrot, make_gateway
from tests.integration.gateway.serve_books import written_chain
from tests.unit.payments.conftest import Books, Clock

from tessera.gateway.messages import Limits
from tessera.gateway.server import GatewayServer

REAP_S = 0.5


async def serve(url: str) -> None:
    """Be one gateway."""
    chain, _ = written_chain()
    books = Books(url, chain, Clock(), reap_s=REAP_S)
    await books.reopen()
    server = GatewayServer(make_gateway(books, Parrot(), Limits()))
    await server.start()
    os.write(1, f"{os.getpid()} {server.port}\n".encode())
    await server.wait()


if __name__ == "__main__":
    # Nobody waits for the dead.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin.readline():
        if os.fork() == 0:
            asyncio.run(serve(sys.argv[1]))
