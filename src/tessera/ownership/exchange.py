"""Trading shares and access in pools: quotes, swaps within a limit, liquidity and mean prices.

A quote is what the chain would give now; a swap carries the worst that its sender agreed to, and
a deadline. Nothing here computes a price of its own: every amount is the contract's preview.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tessera.bindings import Access, Exchange, Launchpad, Registry, Share, Storefront, TestDollar
from tessera.bindings.exchange import (
    Bought,
    LiquidityAdded,
    LiquidityRemoved,
    PoolOpened,
    RevenueClaimed,
    Sold,
)
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import Closed, InputError, NotFound, StaleQuote
from tessera.ownership.allowing import allow
from tessera.ownership.effects import Effect
from tessera.ownership.permits import sign_permit
from tessera.ownership.share import Claimed
from tessera.units import BPS, AssetId, Bps, Seconds, Units, UnixSeconds, format_amount

__all__ = [
    "Mean",
    "PoolView",
    "PositionView",
    "Quote",
    "Swapped",
    "add_liquidity",
    "check_opener",
    "claim",
    "find_pools",
    "open_pool",
    "preview_add",
    "quote_exact_in",
    "quote_exact_out",
    "quoted_effects",
    "read_mean",
    "read_pool",
    "read_position",
    "remove_liquidity",
    "swap",
]

_WHOLE: Final = 10**18
Token = Access | Share | TestDollar


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """A pool as the chain shows it.

    Attributes
    ----------
    token, symbol, decimals
        What is traded against the currency.
    tokens
        Raw units in the pool.
    currency
        Base units in the pool.
    fee_bps
        What the pool keeps of what comes in.
    liquidity
        All of it, what belongs to nobody included.
    locked, locked_holder, locked_until
        Liquidity that stays until a time, whose it is, and the time in unix seconds.
    """

    token: str
    symbol: str
    decimals: int
    tokens: int
    currency: Units
    fee_bps: Bps
    liquidity: int
    locked: int
    locked_holder: str
    locked_until: UnixSeconds

    @property
    def price(self) -> Fraction:
        """Base units of the currency for one whole token, before the fee."""
        return Fraction(self.currency * 10**self.decimals, self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """What somebody provides: liquidity, what it would bring now, and what it earned.

    Attributes
    ----------
    liquidity
        The part of the pool.
    tokens, currency
        What removing all of it would give, raw and base units.
    claimable
        Revenue of the pool's shares, base units.
    """

    liquidity: int
    tokens: int
    currency: Units
    claimable: Units


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a swap would take and give now, and the worst that its sender agrees to.

    Attributes
    ----------
    token_in, token_out
        Addresses.
    amount_in, amount_out
        Raw units of each.
    exact_out
        Whether `amount_out` is fixed, and `amount_in` what it takes.
    limit
        The least that may come out, or the most that may go in where `exact_out`.
    cost_bps
        How much worse it is than the price before the trade: fees and the price's own move.
    """

    token_in: str
    token_out: str
    amount_in: int
    amount_out: int
    exact_out: bool
    limit: int
    cost_bps: Bps


@dataclass(frozen=True, slots=True)
class Swapped:
    """What a swap took and gave, raw units, and its transaction."""

    amount_in: int
    amount_out: int
    tx_hash: str


@dataclass(frozen=True, slots=True)
class Mean:
    """A geometric mean price: base units for one whole token, and the seconds it covers."""

    price: Fraction
    covered: Seconds


async def find_pools(
    reader: ChainReader, exchange: Exchange, *, asset: AssetId | None = None, first: int = 0
) -> list[str]:
    """Return the tokens that have a pool, of one asset or of all, oldest pool first."""
    logs = await reader.logs(
        PoolOpened,
        address=exchange.address,
        topics=PoolOpened.topics(asset=asset),
        first=first,
    )
    return [log.event.token for log in logs]


async def read_pool(reader: ChainReader, exchange: Exchange, token: str) -> PoolView:
    """Read a token's pool.

    Raises
    ------
    NotFound
        It has none.
    """
    await _require_pool(reader, exchange, token)
    (tokens, currency), fee_bps, liquidity, lock, symbol, decimals = await asyncio.gather(
        reader.read(exchange.reserves_of(token)),
        reader.read(exchange.fee_bps_of(token)),
        reader.read(exchange.liquidity_of(token)),
        reader.read(exchange.lock_of(token)),
        reader.read(Share(token).symbol()),
        reader.read(Share(token).decimals()),
    )
    return PoolView(
        token=token,
        symbol=symbol,
        decimals=decimals,
        tokens=tokens,
        currency=Units(currency),
        fee_bps=Bps(fee_bps),
        liquidity=liquidity,
        locked=lock.amount,
        locked_holder=lock.holder,
        locked_until=UnixSeconds(lock.until),
    )


async def read_position(
    reader: ChainReader, exchange: Exchange, token: str, provider: str
) -> PositionView:
    """Read what somebody provides to a token's pool.

    Raises
    ------
    NotFound
        The token has no pool.
    """
    await _require_pool(reader, exchange, token)
    liquidity, claimable = await asyncio.gather(
        reader.read(exchange.balanceOf(provider, int(token, 16))),
        reader.read(exchange.claimable(token, provider), at="pending"),
    )
    tokens, currency = await reader.read(exchange.preview_remove(token, liquidity))
    return PositionView(
        liquidity=liquidity,
        tokens=tokens,
        currency=Units(currency),
        claimable=Units(claimable),
    )


async def read_mean(reader: ChainReader, exchange: Exchange, token: str, window: Seconds) -> Mean:
    """Read the geometric mean of a token's price over the last `window` seconds.

    Raises
    ------
    NotFound
        The token has no pool.
    TransactionReverted
        The pool is younger than the window, or the window longer than is kept (a week).
    """
    await _require_pool(reader, exchange, token)
    (price, covered), decimals = await asyncio.gather(
        reader.read(exchange.twap(token, window), at="pending"),
        reader.read(Share(token).decimals()),
    )
    return Mean(Fraction(price * 10**decimals, _WHOLE), Seconds(covered))


# --- Quotes and swaps -------------------------------------------------------------------------


async def quote_exact_in(
    reader: ChainReader,
    exchange: Exchange,
    currency: TestDollar,
    token_in: str,
    token_out: str,
    amount: int,
    *,
    slippage: Bps,
) -> Quote:
    """Ask what exactly `amount` would bring.

    Parameters
    ----------
    amount
        Raw units of `token_in`.
    slippage
        How much less than the quote the sender would still take.

    Raises
    ------
    NotFound
        A token has no pool.
    InputError
        The two are one token.
    TransactionReverted
        The amount is too small or too large for the pool.
    """
    spot = await _spot(reader, exchange, currency, token_in, token_out)
    out = await reader.read(exchange.preview_exact_in(token_in, token_out, amount))
    return Quote(
        token_in=token_in,
        token_out=token_out,
        amount_in=amount,
        amount_out=out,
        exact_out=False,
        # Rounded up: never less than what the sender agreed to.
        limit=-(-out * (BPS - slippage) // BPS),
        cost_bps=_cost(spot, amount, out),
    )


async def quote_exact_out(
    reader: ChainReader,
    exchange: Exchange,
    currency: TestDollar,
    token_in: str,
    token_out: str,
    amount: int,
    *,
    slippage: Bps,
) -> Quote:
    """Ask what exactly `amount` of `token_out` would take; as `quote_exact_in` otherwise."""
    spot = await _spot(reader, exchange, currency, token_in, token_out)
    taken = await reader.read(exchange.preview_exact_out(token_in, token_out, amount))
    return Quote(
        token_in=token_in,
        token_out=token_out,
        amount_in=taken,
        amount_out=amount,
        exact_out=True,
        # Rounded down: never more than what the sender agreed to.
        limit=taken * (BPS + slippage) // BPS,
        cost_bps=_cost(spot, taken, amount),
    )


async def quoted_effects(
    reader: ChainReader, exchange: Exchange, quote: Quote, trader: str
) -> list[Effect]:
    """Return every change of a balance that a swap at its quote would make."""
    sides = (quote.token_in, quote.token_out)
    symbols = await asyncio.gather(*(reader.read(Share(token).symbol()) for token in sides))
    decimals = await asyncio.gather(*(reader.read(Share(token).decimals()) for token in sides))
    given, got = ((*side,) for side in zip(sides, symbols, decimals, strict=True))
    pool, taken, brought = exchange.address, quote.amount_in, quote.amount_out

    def effect(account: str, side: tuple[str, str, int], change: int, why: str) -> Effect:
        return Effect(account, side[0], side[1], change, why, side[2])

    return [
        effect(trader, given, -taken, "given"),
        effect(pool, given, taken, "to the pool"),
        effect(pool, got, -brought, "out of the pool"),
        effect(trader, got, brought, "received"),
    ]


async def swap(
    sender: Sender,
    exchange: Exchange,
    currency: TestDollar,
    quote: Quote,
    *,
    deadline: UnixSeconds,
) -> Swapped:
    """Swap within a quote's limit, in one transaction where the token takes permits.

    Otherwise an approval of what may go in comes before.

    Parameters
    ----------
    deadline
        The last second at which it may happen, unix seconds.

    Raises
    ------
    StaleQuote
        The price has moved past the limit.
    InputError
        The sender has too little.
    TransactionReverted
        Somebody else was faster, or the deadline passed.
    """
    await _require_price(sender.reader, exchange, quote)
    goes_in = quote.limit if quote.exact_out else quote.amount_in
    # Where the limit is more than the sender has, the quote itself may still be within it.
    held = await _require(sender, quote.token_in, quote.amount_in)
    goes_in, token = min(goes_in, held), Share(quote.token_in)
    permit = None
    if await sender.reader.read(token.allowance(sender.address, exchange.address)) < goes_in:
        permit = await sign_permit(sender, token, exchange.address, goes_in, deadline=deadline)
        if permit is None:
            await allow(sender, token, exchange.address, goes_in)
    given, got, to = quote.token_in, quote.token_out, sender.address
    amount, limit = (quote.amount_out, goes_in) if quote.exact_out else (goes_in, quote.limit)
    if permit is None:
        plain = exchange.swap_exact_out if quote.exact_out else exchange.swap_exact_in
        call = plain(given, got, amount, limit, to, deadline)
    else:
        permitted = (
            exchange.swap_exact_out_with_permit
            if quote.exact_out
            else exchange.swap_exact_in_with_permit
        )
        v, r, s = permit
        call = permitted(given, got, amount, limit, to, deadline, v, r, s)
    receipt = await sender.send(call)
    taken, brought = quote.amount_in, quote.amount_out
    if quote.token_in == currency.address:
        bought = receipt.one_of(Bought, address=exchange.address)
        taken, brought = bought.cost, bought.tokens
    elif quote.token_out == currency.address:
        sold = receipt.one_of(Sold, address=exchange.address)
        taken, brought = sold.tokens, sold.proceeds
    else:
        taken = receipt.one_of(Sold, address=exchange.address).tokens
        brought = receipt.one_of(Bought, address=exchange.address).tokens
    return Swapped(taken, brought, receipt.tx_hash)


# --- Liquidity --------------------------------------------------------------------------------


async def check_opener(
    reader: ChainReader,
    registry: Registry,
    launchpad: Launchpad,
    storefront: Storefront,
    token: str,
    opener: str,
) -> None:
    """Refuse before anything is sent who may not open a share's pool now; an Access is anyone's.

    Raises
    ------
    Closed
        A sale of its owner is open, or none has found a price yet and the opener is not the owner.
    """
    if await reader.read(storefront.is_access(token)):
        return
    asset = await reader.read(Share(token).asset())
    open_sales, anyone, owner = await asyncio.gather(
        reader.read(launchpad.open_sales(asset)),
        reader.read(launchpad.anyone_opens(asset)),
        reader.read(registry.ownerOf(asset)),
    )
    if open_sales:
        raise Closed(
            f"pool of {token}",
            found=f"{open_sales} open sales",
            wanted="none: until then only a sale opens the pool",
            next_step="end those that are over: tessera sales close",
        )
    if not anyone and opener != owner:
        raise Closed(
            f"pool of {token}",
            found="no sale that found a price yet",
            wanted=f"the owner {owner} as the one who opens it",
            next_step="trade by order until then: tessera orders book",
        )


async def open_pool(
    sender: Sender,
    exchange: Exchange,
    currency: TestDollar,
    token: str,
    tokens: int,
    amount: Units,
    *,
    tier: int,
    locked_until: UnixSeconds | None = None,
) -> tuple[int, str]:
    """Open a token's pool with both sides, and so set its first price.

    Parameters
    ----------
    tokens, amount
        Raw units, and base units of the currency.
    tier
        0 to 3: a fee of 0.05, 0.3, 1 or 3 %. Only the asset's controller may take another than 1.
    locked_until
        Until when the liquidity neither leaves nor moves, unix seconds; None for no lock.

    Returns
    -------
    tuple
        The liquidity, and the transaction.
    """
    await _require(sender, token, tokens)
    await _require(sender, currency.address, amount)
    await allow(sender, Share(token), exchange.address, tokens)
    await allow(sender, currency, exchange.address, amount)
    receipt = await sender.send(
        exchange.open_pool(token, tokens, amount, tier, sender.address, locked_until or 0)
    )
    return receipt.one_of(PoolOpened, address=exchange.address).liquidity, receipt.tx_hash


async def preview_add(
    reader: ChainReader, exchange: Exchange, token: str, most_tokens: int, most_currency: int
) -> tuple[int, int, Units]:
    """Return the liquidity that both sides would make, and how much of each it takes.

    Raises
    ------
    NotFound
        The token has no pool.
    TransactionReverted
        It is too little for a unit of liquidity, or more than a pool can hold.
    """
    await _require_pool(reader, exchange, token)
    liquidity, tokens, amount = await reader.read(
        exchange.preview_add(token, most_tokens, most_currency)
    )
    return liquidity, tokens, Units(amount)


async def add_liquidity(
    sender: Sender,
    exchange: Exchange,
    currency: TestDollar,
    token: str,
    most_tokens: int,
    most_currency: Units,
    *,
    slippage: Bps,
    deadline: UnixSeconds,
) -> tuple[LiquidityAdded, str]:
    """Put both sides into a pool at its price, at most so much of each as that takes now.

    Both are approved exactly, in transactions before: the Exchange takes no permits here.

    Parameters
    ----------
    slippage
        How much less liquidity than previewed the sender would still take.
    """
    liquidity, tokens, amount = await preview_add(
        sender.reader, exchange, token, most_tokens, most_currency
    )
    await _require(sender, token, tokens)
    await _require(sender, currency.address, amount)
    await allow(sender, Share(token), exchange.address, tokens)
    await allow(sender, currency, exchange.address, amount)
    least = -(-liquidity * (BPS - slippage) // BPS)
    receipt = await sender.send(
        exchange.add_liquidity(token, tokens, amount, least, sender.address, deadline)
    )
    return receipt.one_of(LiquidityAdded, address=exchange.address), receipt.tx_hash


async def remove_liquidity(
    sender: Sender,
    exchange: Exchange,
    token: str,
    liquidity: int,
    *,
    slippage: Bps,
    deadline: UnixSeconds,
) -> tuple[LiquidityRemoved, str]:
    """Take a part of the sender's liquidity out, both sides at the pool's price.

    Raises
    ------
    InputError
        The sender has less.
    TransactionReverted
        A lock keeps it, or the price moved past the slippage.
    """
    reader = sender.reader
    position = await read_position(reader, exchange, token, sender.address)
    if not 0 < liquidity <= position.liquidity:
        raise InputError(
            f"liquidity of {sender.address}",
            found=f"{position.liquidity}",
            wanted=f"the {liquidity} that are to be removed, and more than 0",
        )
    tokens, amount = await reader.read(exchange.preview_remove(token, liquidity))
    kept = BPS - slippage
    receipt = await sender.send(
        exchange.remove_liquidity(
            token,
            liquidity,
            -(-tokens * kept // BPS),
            -(-amount * kept // BPS),
            sender.address,
            deadline,
        )
    )
    return receipt.one_of(LiquidityRemoved, address=exchange.address), receipt.tx_hash


async def claim(sender: Sender, exchange: Exchange, token: str) -> Claimed:
    """Pay what the shares behind the sender's liquidity earned; 0 is no error."""
    receipt = await sender.send(exchange.claim(token))
    paid = receipt.all_of(RevenueClaimed, address=exchange.address)
    return Claimed(Units(sum(event.amount for event in paid)), receipt.tx_hash)


# --- Within -----------------------------------------------------------------------------------


async def _require_pool(reader: ChainReader, exchange: Exchange, token: str) -> None:
    if not await reader.read(exchange.has_pool(token)):
        raise NotFound(
            f"pool of {token}",
            found="none",
            wanted="a token that is traded",
            next_step="tessera market pools",
        )


async def _require_price(reader: ChainReader, exchange: Exchange, quote: Quote) -> None:
    sides = (quote.token_in, quote.token_out)
    if quote.exact_out:
        now = await reader.read(exchange.preview_exact_out(*sides, quote.amount_out))
        worse, wanted = now > quote.limit, f"at most {quote.limit}"
    else:
        now = await reader.read(exchange.preview_exact_in(*sides, quote.amount_in))
        worse, wanted = now < quote.limit, f"at least {quote.limit}"
    if worse:
        raise StaleQuote(
            "price of the swap",
            found=now,
            wanted=f"{wanted} raw units",
            next_step="ask for a new quote: tessera market quote",
        )


async def _require(sender: Sender, token: str, amount: int) -> int:
    held, decimals, symbol = await asyncio.gather(
        sender.reader.read(Share(token).balanceOf(sender.address)),
        sender.reader.read(Share(token).decimals()),
        sender.reader.read(Share(token).symbol()),
    )
    if held < amount:
        raise InputError(
            f"{symbol} of {sender.address}",
            found=format_amount(held, decimals=decimals, grouped=True),
            wanted=format_amount(amount, decimals=decimals, grouped=True),
            next_step="trade less",
        )
    return held


async def _spot(
    reader: ChainReader, exchange: Exchange, currency: TestDollar, token_in: str, token_out: str
) -> Fraction:
    """Return how much of `token_out` one raw unit of `token_in` is worth before the trade."""
    if token_in == token_out:
        raise InputError("swap", found=f"{token_in} on both sides", wanted="two tokens")
    spot = Fraction(1)
    if token_in != currency.address:
        pool = await read_pool(reader, exchange, token_in)
        spot *= Fraction(pool.currency, pool.tokens)
    if token_out != currency.address:
        pool = await read_pool(reader, exchange, token_out)
        spot *= Fraction(pool.tokens, pool.currency)
    return spot


def _cost(spot: Fraction, amount_in: int, amount_out: int) -> Bps:
    """Return how much worse than `spot` a trade is, rounded up, so that no cost is hidden."""
    worse = 1 - Fraction(amount_out) / (amount_in * spot)
    return Bps(max(0, min(BPS, -(-worse.numerator * BPS // worse.denominator))))
