"""The book of signed limit orders: written by their makers, read from the chain, filled by anyone.

An order is signed with the maker's key and costs nothing until somebody fills it. `post` writes it
into an event, so that the book needs no server; `read_book` says of each listed order how much of
it can be filled: by its time, its cancellations, and what its maker really has and approved.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from tessera.bindings import Access, Orders, Share, TestDollar
from tessera.bindings.orders import Filled, Listed
from tessera.bindings.orders import Order as ChainOrder
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import InputError, NotAllowed, NotFound, StaleQuote
from tessera.ownership.allowing import allow
from tessera.ownership.effects import Effect
from tessera.spec.orders import LimitOrder, order_digest, orders_domain, paid_for
from tessera.spec.signatures import ZERO_ADDRESS, address_of, address_text, compact
from tessera.units import UnixSeconds

__all__ = [
    "BookEntry",
    "DigestSigner",
    "Token",
    "bid",
    "cancel",
    "cancel_all",
    "fill",
    "find_order",
    "post",
    "preview_fill",
    "read_book",
    "sell",
]

Token = Access | Share


class DigestSigner(Protocol):
    """An account that signs; `chain.wallet.Account` is one."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Return r, s, v: 65 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookEntry:
    """A listed order.

    Attributes
    ----------
    digest
        Its name: 0x-hex.
    order, r, vs
        What was signed, and how.
    token
        What is traded against the currency.
    asks
        Whether the maker sells the token.
    left
        Of what the maker gives, raw units; 0 if it is filled, cancelled or over.
    funded
        How much of `left` the maker has and approved.
    """

    digest: str
    order: LimitOrder
    r: int
    vs: int
    token: str
    asks: bool
    left: int
    funded: int

    @property
    def price(self) -> Fraction:
        """Base units of the currency for one raw unit of the token."""
        order = self.order
        if self.asks:
            return Fraction(order.buy_amount, order.sell_amount)
        return Fraction(order.sell_amount, order.buy_amount)

    @property
    def tokens_left(self) -> int:
        """Raw units of the token that can be traded now."""
        if self.asks:
            return self.funded
        return self.funded * self.order.buy_amount // self.order.sell_amount

    def amount_for(self, tokens: int) -> int:
        """Return what `Orders.fill` takes for so many of the token: the maker's side, floored."""
        if self.asks:
            return tokens
        return tokens * self.order.sell_amount // self.order.buy_amount


async def sell(
    sender: Sender,
    signer: DigestSigner,
    orders: Orders,
    currency: TestDollar,
    token: Token,
    amount: int,
    total: int,
    *,
    expires: UnixSeconds,
    taker: str | None = None,
) -> tuple[BookEntry, str]:
    """Offer tokens of the sender's for money, and list the order.

    Parameters
    ----------
    amount
        Raw units of the token.
    total
        The least for all of them, base units.
    expires
        Unix seconds.
    taker
        The only one who may fill it; anyone where None.

    Returns
    -------
    tuple
        The entry, and the transaction that listed it.

    Raises
    ------
    InputError
        The sender has fewer, or an amount is 0.
    """
    held = await sender.reader.read(token.balanceOf(sender.address))
    if not 0 < amount <= held or total < 1:
        raise InputError(
            f"order of {sender.address}",
            found=f"{amount} of {held} units for {total}",
            wanted="units that are there, for a price above 0",
        )
    # What is approved already may be promised to other orders: one approval covers them all.
    allowed = await sender.reader.read(token.allowance(sender.address, orders.address))
    await allow(sender, token, orders.address, max(amount, min(held, allowed + amount)))
    sides = (address_of(token.address), amount, address_of(currency.address), total)
    return await _signed(sender, signer, orders, sides, token, expires, taker)


async def bid(
    sender: Sender,
    signer: DigestSigner,
    orders: Orders,
    currency: TestDollar,
    token: Token,
    amount: int,
    total: int,
    *,
    expires: UnixSeconds,
    taker: str | None = None,
) -> tuple[BookEntry, str]:
    """Offer money of the sender's for tokens, and list the order; as `sell`."""
    held = await sender.reader.read(currency.balanceOf(sender.address))
    if not 0 < total <= held or amount < 1:
        raise InputError(
            f"order of {sender.address}",
            found=f"{total} of {held} base units for {amount}",
            wanted="money that is there, for more than nothing",
        )
    allowed = await sender.reader.read(currency.allowance(sender.address, orders.address))
    await allow(sender, currency, orders.address, max(total, min(held, allowed + total)))
    sides = (address_of(currency.address), total, address_of(token.address), amount)
    return await _signed(sender, signer, orders, sides, token, expires, taker)


async def _signed(
    sender: Sender,
    signer: DigestSigner,
    orders: Orders,
    sides: tuple[bytes, int, bytes, int],
    token: Token,
    expires: UnixSeconds,
    taker: str | None,
) -> tuple[BookEntry, str]:
    maker = address_of(sender.address)
    sell_token, sell_amount, buy_token, buy_amount = sides
    order = LimitOrder(
        maker=maker,
        sell=address_of(sell_token),
        sell_amount=sell_amount,
        buy=address_of(buy_token),
        buy_amount=buy_amount,
        taker=ZERO_ADDRESS if taker is None else address_of(taker),
        series=await sender.reader.read(orders.series_of(sender.address)),
        salt=secrets.token_bytes(32),
        expires=expires,
    )
    digest = order_digest(orders_domain(sender.reader.chain_id, address_of(orders.address)), order)
    r, vs = compact(signer.sign_digest(digest))
    entry = BookEntry(
        digest="0x" + digest.hex(),
        order=order,
        r=r,
        vs=vs,
        token=token.address,
        asks=sell_token == address_of(token.address),
        left=sell_amount,
        funded=sell_amount,
    )
    return entry, await post(sender, orders, entry)


async def post(sender: Sender, orders: Orders, entry: BookEntry) -> str:
    """List a signed order, one's own or somebody else's; the transaction."""
    receipt = await sender.send(orders.list(_on_chain(entry.order), entry.r, entry.vs))
    return receipt.tx_hash


async def read_book(
    reader: ChainReader,
    orders: Orders,
    currency: TestDollar,
    *,
    token: str | None = None,
    maker: str | None = None,
    first: int = 0,
    everything: bool = False,
) -> list[BookEntry]:
    """Read the book: asks by price upward, then bids by price downward.

    Parameters
    ----------
    token, maker
        Only orders over this token, or by this maker.
    first
        The block to begin at.
    everything
        Also what is filled, cancelled, over or not funded.
    """
    logs = await reader.logs(
        Listed,
        address=orders.address,
        topics=Listed.topics(token=token, maker=maker),
        first=first,
    )
    # The same order can be listed again by anybody; it is one order.
    listed = {log.event.digest: log.event for log in logs}
    found = await asyncio.gather(
        *(_entry(reader, orders, currency, event) for event in listed.values())
    )
    kept = [entry for entry in found if everything or entry.funded]
    asks = sorted((e for e in kept if e.asks), key=lambda e: (e.token, e.price))
    bids = sorted((e for e in kept if not e.asks), key=lambda e: (e.token, -e.price))
    return asks + bids


async def find_order(
    reader: ChainReader, orders: Orders, currency: TestDollar, digest: str, *, first: int = 0
) -> BookEntry:
    """Return a listed order by its digest.

    Raises
    ------
    NotFound
        None was listed under it.
    """
    for entry in await read_book(reader, orders, currency, first=first, everything=True):
        if entry.digest == digest.lower():
            return entry
    raise NotFound(
        "order",
        found=digest,
        wanted="the digest of a listed order",
        next_step="tessera orders book",
    )


async def preview_fill(
    reader: ChainReader,
    orders: Orders,
    currency: TestDollar,
    entry: BookEntry,
    tokens: int,
    *,
    taker: str,
) -> tuple[int, int, list[Effect]]:
    """Return what a fill of so many tokens would take and change.

    Returns
    -------
    tuple
        What `Orders.fill` takes as amount, what the taker gives, and the effects.

    Raises
    ------
    NotAllowed
        It was signed for somebody else, or by the taker himself.
    InputError
        So much is not left, the maker no longer has it, or the taker has too little.
    """
    amount, _ = await _fillable(reader, currency, entry, tokens, taker)
    (paid, royalty), symbol, decimals, money = await asyncio.gather(
        reader.read(orders.preview_fill(_on_chain(entry.order), amount)),
        reader.read(Share(entry.token).symbol()),
        reader.read(Share(entry.token).decimals()),
        reader.read(currency.symbol()),
    )
    maker = address_text(entry.order.maker)
    price, given = (paid, amount) if entry.asks else (amount, paid)
    buyer, seller = (taker, maker) if entry.asks else (maker, taker)
    effects = [
        Effect(buyer, currency.address, money, -price, "the price"),
        Effect(seller, currency.address, money, price - royalty, "the price less the royalty"),
        Effect(seller, entry.token, symbol, -given, "sold", decimals),
        Effect(buyer, entry.token, symbol, given, "bought", decimals),
    ]
    if royalty:
        till, _ = await reader.read(Access(entry.token).royaltyInfo(0, price))
        effects.append(Effect(till, currency.address, money, royalty, "the creator's royalty"))
    return amount, paid, effects


async def fill(
    sender: Sender,
    orders: Orders,
    currency: TestDollar,
    entry: BookEntry,
    tokens: int,
    *,
    max_paid: int,
) -> tuple[int, int, str]:
    """Fill an order for so many tokens.

    Parameters
    ----------
    tokens
        Raw units of the token, bought from an ask or sold into a bid.
    max_paid
        The most that the sender gives: money for an ask, tokens for a bid.

    Returns
    -------
    tuple
        What the maker gave, what the sender gave, and the transaction.

    Raises
    ------
    NotAllowed, InputError
        As `preview_fill`.
    StaleQuote
        It costs more than `max_paid`.
    TransactionReverted
        It was filled or cancelled meanwhile, or somebody's money is gone.
    """
    amount, paid = await _fillable(sender.reader, currency, entry, tokens, sender.address)
    if paid > max_paid:
        raise StaleQuote("price of the fill", found=paid, wanted=f"at most {max_paid}")
    given = currency if entry.asks else Share(entry.token)
    await allow(sender, given, orders.address, paid)
    receipt = await sender.send(
        orders.fill(_on_chain(entry.order), entry.r, entry.vs, amount, max_paid)
    )
    done = receipt.one_of(Filled, address=orders.address)
    return done.sold, done.paid, receipt.tx_hash


async def cancel(sender: Sender, orders: Orders, entry: BookEntry) -> str:
    """End one order of the sender's for good; the transaction."""
    return (await sender.send(orders.cancel(_on_chain(entry.order)))).tx_hash


async def cancel_all(sender: Sender, orders: Orders) -> str:
    """End all orders of the sender's, listed or not; the transaction."""
    return (await sender.send(orders.cancel_series())).tx_hash


async def _fillable(
    reader: ChainReader, currency: TestDollar, entry: BookEntry, tokens: int, taker: str
) -> tuple[int, int]:
    """Return what `Orders.fill` takes as amount and what the taker gives, or refuse as it would."""
    order, me = entry.order, address_of(taker)
    if order.taker not in (ZERO_ADDRESS, me) or order.maker == me:
        raise NotAllowed(
            f"order {entry.digest[:10]}",
            found=f"{taker}, who signed it" if order.maker == me else taker,
            wanted="somebody else" if order.maker == me else address_text(order.taker),
            next_step="tessera orders book",
        )
    amount = entry.amount_for(tokens)
    if not 0 < amount <= entry.funded:
        raise InputError(
            f"order {entry.digest[:10]}",
            found=f"{tokens} units",
            wanted=f"1 to {entry.tokens_left}" if entry.tokens_left else "one that can be filled",
            next_step="tessera orders book",
        )
    paid = paid_for(order, amount)
    given = currency if entry.asks else Share(entry.token)
    held = await reader.read(given.balanceOf(taker))
    if held < paid:
        unit = "base units of the currency" if entry.asks else "raw units of the token"
        raise InputError(
            f"account {taker}",
            found=f"{held} {unit}",
            wanted=f"{paid}",
            next_step="fill less of it",
        )
    return amount, paid


async def _entry(
    reader: ChainReader, orders: Orders, currency: TestDollar, event: Listed
) -> BookEntry:
    given = event.order
    order = LimitOrder(
        maker=address_of(given.maker),
        sell=address_of(given.sell),
        sell_amount=given.sell_amount,
        buy=address_of(given.buy),
        buy_amount=given.buy_amount,
        taker=address_of(given.taker),
        series=given.series,
        salt=given.salt,
        expires=given.expires,
    )
    token = Share(given.sell)
    left, held, allowed = await asyncio.gather(
        reader.read(orders.left_of(given), at="pending"),
        reader.read(token.balanceOf(given.maker)),
        reader.read(token.allowance(given.maker, orders.address)),
    )
    return BookEntry(
        digest="0x" + event.digest.hex(),
        order=order,
        r=event.r,
        vs=event.vs,
        token=event.token,
        asks=given.sell != currency.address,
        left=left,
        funded=min(left, held, allowed),
    )


def _on_chain(order: LimitOrder) -> ChainOrder:
    return ChainOrder(
        maker=address_text(order.maker),
        sell=address_text(order.sell),
        sell_amount=order.sell_amount,
        buy=address_text(order.buy),
        buy_amount=order.buy_amount,
        taker=address_text(order.taker),
        series=order.series,
        salt=order.salt,
        expires=order.expires,
    )
