"""Taking x402 payments on one's own chain: whether, under which rules, and who claims them."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tessera.app.world import BOOKS, World
from tessera.chain.sender import Sender
from tessera.config import Config, Origin
from tessera.errors import ChainError, InputError, NotFound
from tessera.payments.ledger import Ledger
from tessera.payments.onchain import channels_domain
from tessera.payments.reading import BooksReader
from tessera.payments.settle import Follow
from tessera.payments.settling import Kind, Settlements
from tessera.payments.x402.batch import BatchSettlement
from tessera.payments.x402.chain import X402OnChain
from tessera.payments.x402.claiming import ClaimReport, ClaimsFromBooks, X402Claimer
from tessera.payments.x402.exact import ExactPayments
from tessera.payments.x402.following import ClaimBooks
from tessera.payments.x402.rules import Till, X402Rules
from tessera.payments.x402.tender import X402Payments
from tessera.spec.signatures import Address, Domain, address_of, address_text
from tessera.spec.till import till_of
from tessera.spec.vouchers import TillKey
from tessera.spec.x402_digests import (
    BATCH_SETTLEMENT,
    DEPOSIT_COLLECTOR,
    MAX_WITHDRAW_DELAY_S,
    MIN_WITHDRAW_DELAY_S,
)

__all__ = ["X402Desk", "claim_from_books", "exact_least", "open_x402", "x402_due_from_books"]

_CLIENTS_DEPOSIT: Final = 5
"""So many whole units of the currency official clients deposit at most unless told otherwise."""

_MARGIN_S: Final = 60
"""From a client's signature to the gateway's look at it, and for clocks that differ."""

_log = logging.getLogger("tessera.x402")


@dataclass(frozen=True, slots=True)
class X402Desk:
    """What takes x402 payments, and what turns them into money."""

    tender: X402Payments
    claimer: X402Claimer
    till: Till


async def open_x402(
    world: World, ledger: Ledger, sender: Sender, beside: Follow, *, watch_s: float
) -> X402Desk | None:
    """Return what takes x402 payments; None where settings or chain say that none are taken.

    Parameters
    ----------
    beside
        How the operator's own channels are settled, from the same account.
    watch_s
        How often channels with something due are looked at.

    Raises
    ------
    InputError
        The settings contradict each other.
    NotFound
        They ask for x402 on a chain that lacks it.
    """
    config = world.config
    if config.x402 == "off":
        return None
    if config.database:
        # Its channels are judged in memory, and several gateways would each judge for themselves.
        if config.x402 == "on":
            raise InputError(
                "x402",
                found="on, and a database that several gateways share",
                wanted="books of its own for a gateway that takes x402",
                next_step="leave `database` empty, or set `x402` to off",
            )
        return None
    least, announced = delays_s(config)
    missing = await _missing(world)
    if missing:
        if config.x402 == "on":
            raise NotFound(
                "x402",
                found=missing,
                wanted="the standard's contracts and an EIP-3009 currency",
                next_step="leave the setting x402 at auto, or use another chain",
            )
        _log.info("x402 is off: %s", missing)
        return None
    token = await _token(world)
    operator = address_of(sender.address)
    currency_units = 10**world.currency.decimals
    rules = X402Rules(
        chain_id=world.reader.chain_id,
        operator=operator,
        token=token,
        withdraw_delay_s=announced,
        least_delay_s=least,
        min_deposit=config.x402_min_deposit_units,
        least_deposit=min(config.x402_min_deposit_units, _CLIENTS_DEPOSIT * currency_units),
        timeout_s=int(config.request_timeout_s) + _MARGIN_S,
        answer_s=int(config.request_timeout_s),
        wait_s=config.queue_wait_s,
        refresh_s=watch_s,
        exact_least=exact_least(world),
    )
    channels = address_of(world.deployment.channels.address)
    implementation = address_of(world.deployment.address_of("Till"))

    @functools.lru_cache(maxsize=4_096)
    def till(asset: int, terms: int) -> Address:
        return till_of(channels, implementation, asset, operator, terms)

    chain = X402OnChain(
        world.reader, sender, world.deployment, confirmations=config.confirmations_count
    )
    batch = BatchSettlement(ledger, chain, rules, till, world.clock, exposures=ledger.exposures)
    await batch.open()
    exact = ExactPayments(ledger, chain, rules, till, world.clock) if config.x402_exact else None
    claims = Settlements(
        ClaimBooks(ledger, batch),
        chain,
        kind=Kind.X402,
        confirmations=config.confirmations_count,
    )
    claims.share_account_with(beside.settlements)
    claimer = X402Claimer(
        batch,
        chain,
        _flushing(world, sender),
        every_s=config.settle_every_s,
        at_risk=config.settle_at_risk_units,
        watch_s=watch_s,
        follow=dataclasses.replace(
            beside,
            settlements=claims,
            rules=dataclasses.replace(beside.rules, delay_s=announced),
        ),
    )
    return X402Desk(X402Payments(batch, exact), claimer, till)


async def claim_from_books(world: World) -> ClaimReport:
    """Claim what the operator's books say x402 channels owe, while no supervisor runs.

    Raises
    ------
    NotFound, WrongChain, ChainError
        As `settle_from_books`.
    """
    config, sender = world.config, world.sender(world.config.operator)
    async with _due_in_books(world) as (dues, chain):
        claimer = X402Claimer(
            dues,
            chain,
            _flushing(world, sender),
            every_s=config.settle_every_s,
            at_risk=config.settle_at_risk_units,
        )
        return await claimer.settle()


async def x402_due_from_books(world: World) -> int:
    """Return what the operator's books say x402 channels owe, base units."""
    async with _due_in_books(world) as (dues, _):
        return sum(book.due for book in await dues.due())


@asynccontextmanager
async def _due_in_books(world: World) -> AsyncIterator[tuple[ClaimsFromBooks, X402OnChain]]:
    sender = world.sender(world.config.operator)
    books = await BooksReader.open(
        world.config.data_dir / BOOKS,
        channels_domain(world.deployment),
        address_of(sender.address),
    )
    try:
        chain = X402OnChain(world.reader, sender, world.deployment)
        yield ClaimsFromBooks(books.look_up, chain), chain
    finally:
        await books.close()


def _flushing(world: World, sender: Sender) -> Callable[[TillKey], Awaitable[object]]:
    async def flush(key: TillKey) -> None:
        channels = world.deployment.channels
        await sender.send(channels.flush_till(key.asset, sender.address, key.terms))

    return flush


def delays_s(config: Config) -> tuple[int, int]:
    """Return the withdraw delay that channels must have, and the one that is announced.

    Two settlements fit into the first. Who left the second to us gets it as long as it has to be.

    Raises
    ------
    InputError
        The announced one is shorter, or none that the standard allows is long enough.
    """
    least = max(MIN_WITHDRAW_DELAY_S, 2 * config.settle_every_s)
    announced = config.x402_withdraw_delay_s
    if config.origin("x402_withdraw_delay_s") is Origin.DEFAULT:
        announced = max(announced, least)
    if not least <= announced <= MAX_WITHDRAW_DELAY_S:
        raise InputError(
            "x402_withdraw_delay_s",
            found=announced,
            wanted=f"{least} to {MAX_WITHDRAW_DELAY_S}, with settle_every_s at "
            f"{config.settle_every_s}",
            next_step="settle more often, announce a longer delay, or set x402 to off",
        )
    return least, announced


def exact_least(world: World) -> int:
    """Return the least that a one-time payment must bring, base units."""
    config = world.config
    if world.embedded and config.origin("x402_exact_min_units") is Origin.DEFAULT:
        return 1
    return config.x402_exact_min_units


async def _missing(world: World) -> str:
    places = (BATCH_SETTLEMENT, DEPOSIT_COLLECTOR)
    codes = await asyncio.gather(*(world.reader.code(address_text(place)) for place in places))
    for place, code in zip(places, codes, strict=True):
        if not code:
            return f"no code at {address_text(place)} on chain {world.reader.chain_id}"
    try:
        await _token(world)
    except ChainError as error:
        return f"{world.currency.symbol} does not state its name and version: {error.message}"
    return ""


async def _token(world: World) -> Domain:
    dollar = world.deployment.currency
    name, version = await asyncio.gather(
        world.reader.read(dollar.name()), world.reader.read(dollar.version())
    )
    return Domain(world.reader.chain_id, address_of(dollar.address), name, version)
