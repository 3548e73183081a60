"""Gateway processes over books, for tests that kill them: `serve_books.py FOLDER|URL`.

Each line on standard input makes one more, forked from this process so that nothing is imported
anew; it writes its process and its port to standard output, and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.gateway.conftest import Parrot, make_gateway
from tests.unit.payments.conftest import KEY, NOW, Books, Clock, WrittenChain

from tessera.gateway.messages import Limits
from tessera.gateway.server import GatewayServer
from tessera.payments.api_key import ApiKey
from tessera.spec.channels import Grant
from tessera.spec.signatures import keccak

CHANNELS = 8
DEPOSIT = 10**12
REAP_S = 0.5
ROOT = Path(__file__).parents[3]


def written_chain() -> tuple[WrittenChain, list[int]]:
    """Make the same chain in every process."""
    chain = WrittenChain()
    return chain, [chain.open(DEPOSIT, salt=index) for index in range(CHANNELS)]


def open_key(chain: WrittenChain) -> ApiKey:
    """Open the same channel of an API key in every process."""
    key = ApiKey(0, keccak(b"the team's key"))
    grants = [Grant(*KEY, DEPOSIT, NOW + 10**7)]
    channel = chain.open(DEPOSIT, signer=key.signer(), salt=10_000, grants=grants)
    return ApiKey(channel, key.secret)


class Nursery:
    """Makes gateway processes on the books in a folder, or on shared ones."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def make(self, count: int = 1) -> dict[int, str]:
        """Return new gateways: their URLs by process."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write("\n" * count)
        stdin.flush()
        made = [stdout.readline().split() for _ in range(count)]
        return {int(process): f"http://127.0.0.1:{port}" for process, port in made}

    async def kill(self, process: int) -> None:
        """Kill one, and wait until nothing is left of it."""
        os.kill(process, signal.SIGKILL)
        try:
            while True:
                os.kill(process, 0)
                await asyncio.sleep(0.005)
        except ProcessLookupError:
            return


@contextmanager
def nursery(where: Path | str) -> Iterator[Nursery]:
    """Start the process that makes them."""
    command = [sys.executable, "-m", "tests.integration.gateway.serve_books", str(where)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield Nursery(process)
    finally:
        # Its end of the pipe is closed, so it makes no more; those that live keep theirs open.
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


async def serve(where: str) -> None:
    """Be one gateway."""
    chain, _ = written_chain()
    open_key(chain)
    shared = where.startswith("postgresql://")
    books = Books(where if shared else Path(where) / "books.db", chain, Clock(), reap_s=REAP_S)
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
