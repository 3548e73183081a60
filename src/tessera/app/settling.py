"""Settling from the books alone: an operator's money must not wait for his gateway."""

from __future__ import annotations

from typing import Any

from tessera.app.world import BOOKS, World
from tessera.payments.onchain import OperatorOnChain, channels_domain
from tessera.payments.reading import BooksReader
from tessera.payments.settle import SettlementReport, Settler
from tessera.spec.signatures import address_of

__all__ = ["report_json", "settle_from_books"]


async def settle_from_books(world: World) -> SettlementReport:
    """Settle what the operator's books say is due, while no supervisor runs.

    A gateway that starts meanwhile does no harm: a voucher is cumulative, so whoever comes second
    settles nothing.

    Raises
    ------
    NotFound
        There are no books in the data folder, or no key of the operator.
    WrongChain
        The books belong to another chain, contract or operator.
    ChainError
        The chain could not be reached; what was settled before that stays settled.
    """
    config = world.config
    sender = world.sender(config.operator)
    books = await BooksReader.open(
        config.data_dir / BOOKS, channels_domain(world.deployment), address_of(sender.address)
    )
    try:
        chain = OperatorOnChain(world.reader, sender, world.deployment)
        settler = Settler(
            books,
            chain,
            world.clock,
            every_s=config.settle_every_s,
            at_risk=config.settle_at_risk_units,
        )
        return await settler.settle()
    finally:
        await books.close()


def report_json(report: SettlementReport) -> dict[str, Any]:
    """Return a settlement as JSON values."""
    return {
        "total": str(report.total),
        "transactions": [result.tx_hash for result in report.results],
        "skipped": [[str(channel), reason.name] for channel, reason in report.skipped],
        "refused": [[str(channel), reason] for channel, reason in report.refused],
        "flushed": [str(asset) for asset in report.flushed],
    }
