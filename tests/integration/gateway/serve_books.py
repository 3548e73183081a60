"""A gateway process over books in a folder, for tests that kill it: `serve_books.py FOLDER`.

Writes its port to standard output and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.integration.gateway.conftest import Parrot, make_gateway
from tests.unit.payments.conftest import Books, Clock, WrittenChain

from tessera.gateway.messages import Limits
from tessera.gateway.server import GatewayServer

CHANNELS = 8
DEPOSIT = 10**12


def written_chain() -> tuple[WrittenChain, list[int]]:
    """Make the same chain in every process."""
    chain = WrittenChain()
    return chain, [chain.open(DEPOSIT, salt=index) for index in range(CHANNELS)]


async def main(folder: Path) -> None:
    """Serve."""
    chain, _ = written_chain()
    books = Books(folder / "books.db", chain, Clock())
    await books.reopen()
    server = GatewayServer(make_gateway(books, Parrot(), Limits()))
    await server.start()
    print(server.port, flush=True)
    await server.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
