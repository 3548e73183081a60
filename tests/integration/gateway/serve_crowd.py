"""A gateway process whose one model has a known capacity: `serve_crowd.py FOLDER IN_HAND`.

Writes its port to standard output and serves until it is told to end.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from tests.integration.gateway.conftest import TERMS, Parrot, offer
from tests.unit.payments.conftest import Books, Clock, WrittenChain

from tessera.gateway.admission import Admission
from tessera.gateway.asgi import Gateway
from tessera.gateway.catalogue import ListedModels
from tessera.gateway.messages import Limits
from tessera.gateway.operations import Operations
from tessera.gateway.paying import Cashier
from tessera.gateway.server import GatewayServer
from tessera.serving.runner import EmbeddingsRequest, EmbeddingsResult, Units
from tessera.spec.prices import Price
from tessera.spec.vouchers import TillKey

CONNECTIONS = 96
DEPOSIT = 10**12
AT_ONCE = 4
CALL_S = 0.04
COST = 10
CAPACITY = AT_ONCE / CALL_S
"""Calls a second that the model answers."""


class Slow(Parrot):
    """Answers four calls at once, each in 40 ms, whatever the machine does."""

    @property
    def at_once(self) -> int:
        return AT_ONCE

    async def embed(self, _request: EmbeddingsRequest) -> EmbeddingsResult:
        await asyncio.sleep(CALL_S)
        return EmbeddingsResult([[1.0]], Units(1))


def written_chain() -> tuple[WrittenChain, list[int]]:
    """Make the same chain in every process."""
    chain = WrittenChain()
    return chain, [chain.open(DEPOSIT, salt=index) for index in range(CONNECTIONS)]


async def main(folder: Path, in_hand: int) -> None:
    """Serve."""
    chain, _ = written_chain()
    books = Books(folder / "books.db", chain, Clock())
    await books.reopen()
    books.known.add(TillKey(7, 1))
    models = ListedModels([offer("slow", 7, Slow("slow"), Price(per_call=COST))])
    operations = Operations(admission=Admission(in_hand))
    cashier = Cashier(books.ledger, TERMS)
    gateway = Gateway(models, cashier, books.clock, Limits(), operations=operations)
    server = GatewayServer(gateway, drain_s=5)
    await server.start()
    print(server.port, flush=True)
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    await ending.wait()
    await server.stop()
    await books.ledger.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
