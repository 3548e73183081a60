"""Settling from the books alone: an operator's money must not wait for his gateway."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tessera.app.world import BOOKS, World
from tessera.chain.sender import Sender
from tessera.errors import NotAllowed
from tessera.ownership.income import SentOn, WaitingIncome, read_waiting, send_on
from tessera.payments.account import Account
from tessera.payments.ledger import Claim, Ledger
from tessera.payments.onchain import OperatorOnChain, channels_domain
from tessera.payments.onchain_orders import OrdersOnChain
from tessera.payments.ports import OrderProof, ProofResult
from tessera.payments.proving import OrderProver, ProofReport
from tessera.payments.reading import BooksReader
from tessera.payments.risk import GasPrice, RiskRules
from tessera.payments.settle import Follow, SettlementReport, Settler
from tessera.payments.settling import Settlements
from tessera.payments.x402.claiming import ClaimReport
from tessera.spec.signatures import address_of, address_text

__all__ = [
    "claims_json",
    "due_from_books",
    "follow_settlements",
    "income_json",
    "proofs_json",
    "prove_from_books",
    "report_json",
    "risk_rules",
    "send_income_on",
    "settle_from_books",
    "waiting_income",
]


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
    books = await _books(world, sender)
    try:
        chain = OperatorOnChain(world.reader, sender, world.deployment)
        settler = Settler(
            _NotOnChain(books, world, sender.address),
            chain,
            time.monotonic,
            every_s=config.settle_every_s,
            at_risk=config.settle_at_risk_units,
        )
        return await settler.settle()
    finally:
        await books.close()


def risk_rules(world: World) -> RiskRules:
    """Return what an operator risks, as the settings say it."""
    config = world.config
    return RiskRules(
        channel_units=config.risk_channel_units,
        payer_units=config.risk_payer_units,
        at_risk_units=config.settle_at_risk_units,
        every_s=config.settle_every_s,
        fee_bps=config.risk_fee_bps,
        delay_s=world.deployment.parameters.withdraw_delay_s,
    )


def follow_settlements(
    world: World, ledger: Ledger, chain: OperatorOnChain, rules: RiskRules
) -> Follow:
    """Return how a running operator's settlements are sent, weighed and followed."""
    config = world.config
    settlements = Settlements(ledger, chain, confirmations=config.confirmations_count)

    async def price() -> GasPrice:
        coin = config.coin_value_units
        return GasPrice(await chain.gas_price() if coin else 0, coin)

    return Follow(settlements, rules, price, ledger.times.now, lambda: ledger.exposures.waiting)


async def prove_from_books(world: World) -> ProofReport:
    """Prove the orders that the operator's books say were served, while no supervisor runs.

    Raises
    ------
    NotFound, WrongChain, ChainError
        As `settle_from_books`.
    """
    config = world.config
    sender = world.sender(config.operator)
    books = await _books(world, sender)
    try:
        chain = OrdersOnChain(world.reader, sender, world.deployment)
        every_s = config.settle_every_s
        waiting = _NotProved(books, chain)
        prover = OrderProver(waiting, chain, world.clock, every_s=every_s, late_s=every_s)
        return await prover.prove()
    finally:
        await books.close()


async def due_from_books(world: World) -> dict[str, Any]:
    """Return what the operator's books say is due and to be proved, as `Operator.status` says it.

    Raises
    ------
    NotFound, WrongChain, ChainError
        As `settle_from_books`.
    """
    sender = world.sender(world.config.operator)
    books = await _books(world, sender)
    try:
        claims = await _NotOnChain(books, world, sender.address).claims()
        chain = OrdersOnChain(world.reader, sender, world.deployment)
        proofs = await _NotProved(books, chain).proofs()
    finally:
        await books.close()
    return {
        "due": str(sum(claim.due for claim in claims)),
        "channels_due": len(claims),
        "orders_due": len(proofs),
    }


async def _books(world: World, sender: Sender) -> BooksReader:
    if world.config.database:
        raise NotAllowed(
            "books",
            found="in a database that several gateways share",
            wanted="books in the data folder",
            next_step="start a gateway: one of those that run settles for all",
        )
    return await BooksReader.open(
        world.config.data_dir / BOOKS,
        channels_domain(world.deployment),
        address_of(sender.address),
    )


async def waiting_income(world: World, operator: str) -> list[WaitingIncome]:
    """Return what waits on its way to the accounts of the assets that an operator serves."""
    await world.directory.refresh()
    served = [record for record in world.directory if operator in record.endpoints]
    deployment = world.deployment
    return await read_waiting(world.reader, deployment.channels, deployment.currency, served)


async def send_income_on(world: World, sender: Sender) -> list[SentOn]:
    """Send on what waits on its way to the accounts of the assets that the sender serves."""
    await world.directory.refresh()
    served = [record for record in world.directory if sender.address in record.endpoints]
    deployment = world.deployment
    return await send_on(sender, deployment.channels, deployment.currency, served)


class _NotProved:
    """Books whose proofs are compared with the chain."""

    def __init__(self, books: BooksReader, chain: OrdersOnChain) -> None:
        self._books = books
        self._chain = chain

    async def proofs(self) -> list[OrderProof]:
        """Return what books and chain say together is to be proved."""
        found = []
        for proof in await self._books.proofs():
            view = await self._chain.read_order(proof.access, proof.order)
            if view is not None and not (view.proved or view.void):
                found.append(proof)
        return found

    async def record_proofs(self, proofs: Sequence[OrderProof], result: ProofResult) -> None:
        """Leave it to the gateway, whose own try the chain passes over."""


class _NotOnChain:
    """Books whose claims are compared with the chain: nobody writes down what a command settled."""

    def __init__(self, books: BooksReader, world: World, operator: str) -> None:
        self._books = books
        self._world = world
        self._operator = operator

    async def claims(self) -> list[Claim]:
        """Return what is charged and not settled, as books and chain say together."""
        return [claim for claim in await self._books.claims() if await self._is_due(claim)]

    async def _is_due(self, claim: Claim) -> bool:
        channels, reader = self._world.deployment.channels, self._world.reader
        keys = list(claim.charged)
        lines = await reader.read_all(
            [
                channels.line_of(self._operator, claim.signed.voucher.channel, key.asset, key.terms)
                for key in keys
            ]
        )
        return any(
            claim.charged[key] > settled for key, (settled, *_) in zip(keys, lines, strict=True)
        )

    async def look_at_chain(self, channels: Sequence[int]) -> list[Account]:
        """Return the channels as the books have them."""
        return await self._books.look_at_chain(channels)


def report_json(report: SettlementReport) -> dict[str, Any]:
    """Return a settlement as JSON values."""
    return {
        "total": str(report.total),
        "transactions": [result.tx_hash for result in report.results],
        "skipped": [[str(channel), reason.name] for channel, reason in report.skipped],
        "refused": [[str(channel), reason] for channel, reason in report.refused],
        "flushed": [str(asset) for asset in report.flushed],
        "not_flushed": [[str(asset), reason] for asset, reason in report.not_flushed],
    }


def income_json(done: Sequence[SentOn]) -> dict[str, Any]:
    """Return what was sent on as JSON values, to stand beside a settlement's."""
    return {
        "sent_on": [
            {
                "asset": str(each.asset),
                "slug": each.slug,
                "split": str(each.split),
                "handed_on": str(each.handed_on),
                "failure": each.failure,
            }
            for each in done
        ]
    }


def proofs_json(report: ProofReport) -> dict[str, Any]:
    """Return what was proved as JSON values, to stand beside a settlement's."""
    return {
        "orders_proved": [[address_text(access), order] for access, order in report.proved],
        "orders_refused": [[address_text(access), order] for access, order in report.refused],
        "orders_paid": str(report.paid),
        "orders_transactions": report.transactions,
    }


def claims_json(report: ClaimReport | None = None) -> dict[str, Any]:
    """Return what x402 channels paid as JSON values, to stand beside a settlement's."""
    report = report or ClaimReport()
    return {
        "x402_total": str(report.total),
        "x402_channels": report.channels,
        "x402_refused": [[channel, reason] for channel, reason in report.refused],
        "x402_not_flushed": [[str(key.asset), reason] for key, reason in report.not_flushed],
    }
