"""A disk without room, seen from outside: who is refused pays nothing, and calls go on afterwards.

The database may not grow, as on a full file system; `tests/unit/payments/test_full_disk.py` fills a
real one beneath the same ledger.
"""

from __future__ import annotations

from typing import Any

import httpx
from tests.integration.gateway.conftest import PARROT, Shop

TEXTS = {"model": "parrot", "input": "four"}
TALK = {"model": "parrot", "messages": [{"role": "user", "content": "say this"}], "stream": True}
MOST_CALLS = 200


async def grow_to(shop: Shop, pages: int) -> None:
    """Let the books have so many pages; those that they have they keep."""
    log: Any = shop.books.ledger._log
    await log.read_tables(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages}"))


async def test_a_full_disk_refuses_calls_and_streams_and_charges_for_none(shop: Shop) -> None:
    channel = shop.books.chain.open(10**9)
    costs: list[int] = []

    async def ask() -> httpx.Response:
        answer = await shop.post("/v1/embeddings", TEXTS, shop.pay(channel, (PARROT, 10**6)))
        if answer.status_code == 200:
            costs.append(int(answer.headers["tessera-cost"]))
        return answer

    assert (await ask()).status_code == 200
    await grow_to(shop, 1)
    for _ in range(MOST_CALLS):
        refused = await ask()
        if refused.status_code != 200:
            break
    assert refused.status_code == 507
    assert refused.json()["error"]["code"] == "storage_full"
    more = shop.pay(channel, (PARROT, 2 * 10**6))
    streamed = await shop.post("/v1/chat/completions", TALK, more)
    assert streamed.status_code == 507, "nothing leaves before its voucher is on the disk"
    # With a voucher that is there already it begins; its end is an error, and it costs nothing.
    again = await shop.post("/v1/chat/completions", TALK, shop.pay(channel, (PARROT, 10**6)))
    assert b'"code":"storage_full"' in again.content
    assert b"tessera.receipt" not in again.content
    assert shop.books.ledger.in_flight == 0
    assert await shop.charged(channel) == {PARROT: sum(costs)}

    await grow_to(shop, 1 << 20)
    assert (await ask()).status_code == 200
    assert await shop.charged(channel) == {PARROT: sum(costs)}
    await shop.restart()
    assert await shop.charged(channel) == {PARROT: sum(costs)}
    assert (await ask()).status_code == 200
