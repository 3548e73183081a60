"""A gateway process that honours orders, for tests that kill it: `serve_orders.py FOLDER`.

Writes its port to standard output and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from tests.integration.gateway.conftest import Parrot, offer
from tests.unit.payments.conftest import DOMAIN, OPERATOR, Clock, WrittenChain
from tests.unit.payments.written_orders import WrittenOrders

from tessera.gateway.asgi import Gateway
from tessera.gateway.catalogue import ListedModels
from tessera.gateway.messages import Limits
from tessera.gateway.paying import Cashier, PaymentTerms
from tessera.gateway.server import GatewayServer
from tessera.payments.ledger import Ledger

CALLS = 300


def written_order() -> WrittenOrders:
    """Make the same order in every process: number 1, of so many calls."""
    orders = WrittenOrders(Clock(), per_unit=CALLS)
    assert orders.order() == 1
    # It was proved long ago, so its window is nobody's business.
    orders.model.orders[1].proved = True
    return orders


async def open_ledger(folder: Path) -> Ledger:
    """Open the books."""
    return await Ledger.open(
        folder / "books.db",
        DOMAIN,
        OPERATOR,
        WrittenChain(),
        time.time,
        knows=lambda _key: True,
        orders=written_order(),
    )


async def main(folder: Path) -> None:
    """Serve."""
    terms = PaymentTerms(
        DOMAIN, OPERATOR.address, OPERATOR.public_key, OPERATOR.address, 6, "TUSD", 3_600
    )
    ledger = await open_ledger(folder)
    models = ListedModels([offer("parrot", 7, Parrot())])
    server = GatewayServer(Gateway(models, Cashier(ledger, terms), time.time, Limits()))
    await server.start()
    print(server.port, flush=True)
    await server.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
