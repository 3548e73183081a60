"""Pay for calls until the disk is full, then make room: `fill_disk.py FOLDER tmpfs|limit`.

A process of its own, because a full disk must not be anybody else's: FOLDER is a file system of a
few hundred kilobytes (`tmpfs`), or the process may write no file longer than that (`limit`). Prints
how many calls were answered; any broken promise ends it with a traceback.
"""

from __future__ import annotations

import asyncio
import itertools
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.unit.payments.conftest import EVIDENCE, KEY, Books, WrittenChain, quote, sign

from tessera.errors import StorageFull
from tessera.payments.books import load_costs
from tessera.payments.header import SignedReceipt

SMALL = 400_000
COST = 10


async def main(folder: Path, make_room: Callable[[], None]) -> None:
    """Fill, refuse, make room, go on, restart."""
    chain = WrittenChain()
    channel = chain.open(10**9)
    books = Books(folder / "books.db", chain)
    await books.reopen()
    receipts: list[SignedReceipt] = []
    names = (f"{number:032x}" for number in itertools.count())

    async def answer() -> None:
        charged = COST * len(receipts)
        voucher = sign(channel, (KEY, charged + COST))
        call = await books.accept(voucher, quote(COST), next(names))
        try:
            receipts.append(await books.ledger.finish(call, COST, EVIDENCE))
        finally:
            assert receipts[-1].receipt.charged == COST * len(receipts)

    await answer()
    refused = 0
    while refused < 20:
        try:
            await answer()
        except StorageFull:
            refused += 1
        assert len(receipts) < 20_000, "the disk never became full"
    full = len(receipts)
    account = await books.ledger.account(channel)
    assert account is not None
    assert account.lines[KEY].in_flight == 0
    (claim,) = await books.ledger.claims()
    assert claim.charged == {KEY: COST * full}, "charged for what was refused"

    make_room()
    for _ in range(20):
        await answer()
    for _ in range(2):
        for receipt in (receipts[0], receipts[full - 1], receipts[full], receipts[-1]):
            name = receipt.id(books.ledger.domain)
            assert await books.ledger.receipt(name) == receipt, "a receipt was lost"
        costs = await books.ledger._log.read(load_costs)
        assert costs == {channel: COST * len(receipts)}, "counted twice, or not at all"
        await books.reopen()
    await books.ledger.close()
    print(len(receipts))


def _ballast(folder: Path) -> Callable[[], None]:
    file = folder / "ballast"
    file.write_bytes(bytes(SMALL))
    return file.unlink


def _limited() -> Callable[[], None]:
    # The system then answers with an error, and not with a signal.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, most))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


if __name__ == "__main__":
    where = Path(sys.argv[1])
    asyncio.run(main(where, _ballast(where) if sys.argv[2] == "tmpfs" else _limited()))
