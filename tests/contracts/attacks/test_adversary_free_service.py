"""A payer is served for nothing: the session key's grant ends after the call and before the
settlement.

The chain asks whether a grant lasts when it is settled, not when the call was made. An
operator who settles each hour, and accepts grants that last ten minutes more, works for
nothing.
"""

from __future__ import annotations

from pathlib import Path

from tests.unit.payments.conftest import (
    EVIDENCE,
    KEY,
    OTHER,
    STRANGER,
    Books,
    WrittenChain,
    quote,
    sign,
)

from tessera.config import Config
from tessera.errors import NotAllowed
from tessera.payments.settle import Settler, grant_margin_s
from tessera.spec.channels import Grant

KEY_LASTS = 900


async def used_then_settled_in_time(tmp_path: Path, *, other_line: bool) -> tuple[int, int]:
    """Spend 5,000 under a grant of 15 minutes, then settle an hour later; charged, settled."""
    every_s = Config().settle_every_s
    chain = WrittenChain()
    books = Books(tmp_path / "books.db", chain, margin_s=grant_margin_s(every_s))
    await books.reopen()
    try:
        channel = chain.open(
            10_000,
            signer=STRANGER,
            grants=(
                Grant(*KEY, 10_000, chain.now + (KEY_LASTS if not other_line else 10**8)),
                Grant(*OTHER, 10_000, chain.now + KEY_LASTS),
            ),
        )
        settler = Settler(books.ledger, chain, books.clock, every_s=every_s, at_risk=10**7)
        charged = 0
        try:
            signed = sign(channel, (KEY, 5_000), signer=STRANGER)
            call = await books.accept(signed, quote(5_000), "a" * 32, signer=STRANGER)
            await books.ledger.finish(call, 5_000, EVIDENCE)
            charged += 5_000
            if other_line:
                both = sign(channel, (KEY, 5_000), (OTHER, 1), signer=STRANGER)
                call = await books.accept(both, quote(1, OTHER), "b" * 32, signer=STRANGER)
                await books.ledger.finish(call, 1, EVIDENCE)
                charged += 1
        except NotAllowed:
            pass  # a refusal is as good as a settlement
        books.clock.now += every_s
        chain.now += every_s
        report = await settler.settle()
        if report.total != charged:
            report = await settler.settle()
        return charged, report.total
    finally:
        await books.ledger.close()


async def test_no_call_is_answered_that_the_next_settlement_cannot_collect(tmp_path: Path) -> None:
    charged, settled = await used_then_settled_in_time(tmp_path, other_line=False)
    assert settled == charged


async def test_one_line_that_ended_does_not_void_the_rest_of_the_voucher(tmp_path: Path) -> None:
    _, settled = await used_then_settled_in_time(tmp_path, other_line=True)
    assert settled >= 5_000
