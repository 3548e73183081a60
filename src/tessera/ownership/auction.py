"""The first sale of shares by auction: a falling price, and one price for all in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tessera.bindings import Auction, Launchpad, Share, TestDollar
from tessera.bindings.auction import (
    Bid,
    Collected,
    PoolOpened,
    ProceedsWithdrawn,
    Refunded,
    UnsoldReturned,
)
from tessera.bindings.auction import RevenueClaimed as AuctionClaimed
from tessera.bindings.launchpad import AuctionOpened, AuctionSale
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import Closed, InputError, StaleQuote
from tessera.ownership.allowing import allow, check_money, check_shares
from tessera.ownership.selling import Closing, Stage, check_times, with_pool
from tessera.ownership.share import Claimed
from tessera.spec.offering import WHOLE_SHARE
from tessera.units import AssetId, Shares, Units, UnixSeconds

__all__ = [
    "AuctionView",
    "TakenBid",
    "bid",
    "claim",
    "close",
    "collect",
    "find_auctions",
    "open_auction",
    "preview_bid",
    "read_auction",
    "refund",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuctionView:
    """An auction as the chain shows it.

    Attributes
    ----------
    address, share, publisher
        The contract, what it sells, and for whom.
    first_price, lowest_price, price
        Base units for one whole share: at the start, at the end, and now; once it is over, what
        everybody pays, rounded up.
    for_sale, sold, unsold
        Raw shares; `sold` is known once it is closed.
    soft_cap, cap_per_buyer, raised
        Base units.
    start, end
        Unix seconds.
    closed, final
        Whether the price is fixed, and whether the soft cap was reached.
    liquidity_bps, pool_opened
        The part of the proceeds that opens the pool, and whether it did.
    allowed
        Root of the list of buyers; 32 zero bytes: everybody.
    stage
        At the time that was asked for.
    """

    address: str
    share: str
    publisher: str
    first_price: Units
    lowest_price: Units
    price: Units
    for_sale: Shares
    sold: Shares
    unsold: Shares
    soft_cap: Units
    cap_per_buyer: Units
    raised: Units
    start: UnixSeconds
    end: UnixSeconds
    closed: bool
    final: bool
    liquidity_bps: int
    pool_opened: bool
    allowed: bytes
    stage: Stage


@dataclass(frozen=True, slots=True)
class TakenBid:
    """A bid as it was taken.

    Attributes
    ----------
    amount
        Base units, at most what was bid.
    closed
        Whether it bought the rest, so that the auction is over.
    tx_hash
        Of the transaction.
    """

    amount: Units
    closed: bool
    tx_hash: str


async def open_auction(
    sender: Sender, launchpad: Launchpad, asset: AssetId, share: Share, sale: AuctionSale
) -> Auction:
    """Put shares of the sender up for auction: an approval, and the auction.

    Raises
    ------
    InputError
        The auction's amounts or times contradict each other, or the sender has fewer shares.
    TransactionReverted
        The Launchpad refuses.
    """
    if not 0 < sale.lowest_price <= sale.first_price:
        raise InputError(
            "auction: prices",
            found=f"from {sale.first_price} to {sale.lowest_price} base units",
            wanted="a lowest price above 0, and a first price not below it",
        )
    check_times(sale.start, sale.end)
    needed = with_pool(sale.for_sale, sale.liquidity)
    await check_shares(sender, share, needed)
    await allow(sender, share, launchpad.address, needed)
    receipt = await sender.send(launchpad.auction(asset, sale))
    return Auction(receipt.one_of(AuctionOpened).auction)


async def find_auctions(
    reader: ChainReader, launchpad: Launchpad, *, asset: AssetId | None = None, first: int = 0
) -> list[Auction]:
    """Return the auctions of an asset's shares, or of all assets', oldest first."""
    logs = await reader.logs(
        AuctionOpened,
        address=launchpad.address,
        topics=AuctionOpened.topics(asset=asset),
        first=first,
    )
    return [Auction(log.event.auction) for log in logs]


async def read_auction(reader: ChainReader, auction: Auction, *, now: UnixSeconds) -> AuctionView:
    """Read an auction; `now` is what `price` and `stage` are about."""
    terms, conditions, price, raised, sold = await asyncio.gather(
        reader.read(auction.terms()),
        reader.read(auction.conditions()),
        reader.read(auction.price_at(now)),
        reader.read(auction.raised()),
        reader.read(auction.sold()),
    )
    unsold, closed, final, over, opened = await asyncio.gather(
        reader.read(auction.unsold()),
        reader.read(auction.closed()),
        reader.read(auction.final()),
        reader.read(auction.is_over(), at="pending"),
        reader.read(auction.pool_opened()),
    )
    share, publisher, first, lowest, for_sale, soft_cap, cap, start, end = terms
    if now < start:
        stage = Stage.UPCOMING
    elif not closed and not over and now < end:
        stage = Stage.OPEN
    else:
        stage = Stage.FINISHED if final or raised >= soft_cap else Stage.FAILED
    if stage in (Stage.FINISHED, Stage.FAILED):
        price = max(lowest, -(-raised * WHOLE_SHARE // for_sale))
    return AuctionView(
        address=auction.address,
        share=share,
        publisher=publisher,
        first_price=Units(first),
        lowest_price=Units(lowest),
        price=Units(price),
        for_sale=Shares(for_sale),
        sold=Shares(sold),
        unsold=Shares(unsold),
        soft_cap=Units(soft_cap),
        cap_per_buyer=Units(cap),
        raised=Units(raised),
        start=UnixSeconds(start),
        end=UnixSeconds(end),
        closed=closed,
        final=final,
        liquidity_bps=conditions[1],
        pool_opened=opened,
        allowed=conditions[0],
        stage=stage,
    )


async def preview_bid(
    reader: ChainReader, auction: Auction, amount: Units, *, bidder: str, now: UnixSeconds
) -> tuple[Units, Shares]:
    """Return how much of a bid would be taken, and the fewest raw shares that it gets.

    Raises
    ------
    Closed
        It takes no bids now.
    InputError
        The bid is nothing, or above what one bidder may bid.
    """
    view, before = await asyncio.gather(
        read_auction(reader, auction, now=now), reader.read(auction.bid_of(bidder))
    )
    if view.stage is not Stage.OPEN:
        raise Closed(
            f"auction {auction.address}",
            found=view.stage.value,
            wanted="an auction that is open",
            next_step=f"it is open from {view.start} to {view.end} (unix seconds) at the longest",
        )
    taken, least = await reader.read(auction.preview_bid(amount), at="pending")
    if not taken or before + taken > view.cap_per_buyer:
        raise InputError(
            "bid",
            found=f"{amount} base units",
            wanted=f"more than 0 and at most {view.cap_per_buyer - before}, "
            f"which are left for {bidder}",
        )
    return Units(taken), Shares(least)


async def bid(
    sender: Sender,
    auction: Auction,
    currency: TestDollar,
    amount: Units,
    *,
    least: Shares,
    now: UnixSeconds,
    listed: tuple[int, Sequence[bytes]] | None = None,
) -> TakenBid:
    """Bid: an approval of exactly what is taken, and the bid.

    Parameters
    ----------
    amount
        Base units; less is taken if less buys the rest.
    least
        The fewest raw shares that the bidder agreed to; the price only falls, so it gets more.
    listed
        The sender's part of the list of buyers, base units, and its proof.

    Raises
    ------
    Closed, InputError
        As `preview_bid`; or the bidder has too little money.
    StaleQuote
        So much buys fewer than `least` now.
    """
    taken, shares = await preview_bid(
        sender.reader, auction, amount, bidder=sender.address, now=now
    )
    if shares < least and taken == amount:
        raise StaleQuote(
            "shares for the bid",
            found=shares,
            wanted=f"at least {least} raw shares",
            next_step="ask for a new preview",
        )
    await check_money(sender, currency, taken)
    await allow(sender, currency, auction.address, taken)
    most, proof = listed or (0, ())
    receipt = await sender.send(auction.bid(amount, sender.address, most, list(proof)))
    made = receipt.one_of(Bid, address=auction.address)
    closed = await sender.reader.read(auction.closed())
    return TakenBid(Units(made.amount), closed, receipt.tx_hash)


async def collect(sender: Sender, auction: Auction, bidder: str) -> Shares:
    """Send a bidder the shares, closing the auction first if nobody did; anyone may."""
    if not await sender.reader.read(auction.closed()):
        await sender.send(auction.close())
    receipt = await sender.send(auction.collect(bidder))
    return Shares(receipt.one_of(Collected, address=auction.address).amount)


async def refund(sender: Sender, auction: Auction) -> Units:
    """Take the sender's bids back after an auction that missed its soft cap."""
    if not await sender.reader.read(auction.closed()):
        await sender.send(auction.close())
    receipt = await sender.send(auction.refund())
    return Units(receipt.one_of(Refunded, address=auction.address).amount)


async def claim(sender: Sender, auction: Auction) -> Claimed:
    """Pay what the sender's shares inside the auction earned; 0 is no error."""
    receipt = await sender.send(auction.claim())
    paid = receipt.all_of(AuctionClaimed, address=auction.address)
    return Claimed(Units(sum(event.amount for event in paid)), receipt.tx_hash)


async def close(sender: Sender, auction: Auction, *, now: UnixSeconds) -> Closing:
    """Do all that is left at the end: fix the price, open the pool, take the publisher's out.

    Anyone may close it and open its pool; proceeds are taken only for the publisher.

    Raises
    ------
    Closed
        It still takes bids.
    """
    view = await read_auction(sender.reader, auction, now=now)
    hashes: list[str] = []
    if not view.closed:
        if view.stage in (Stage.UPCOMING, Stage.OPEN):
            raise Closed(
                f"auction {auction.address}",
                found=view.stage.value,
                wanted="one that is over",
                next_step=f"it ends at {view.end} (unix seconds) at the latest",
            )
        hashes.append((await sender.send(auction.close())).tx_hash)
        view = await read_auction(sender.reader, auction, now=now)
    in_pool = proceeds = unsold = 0
    if view.final and view.liquidity_bps and not view.pool_opened:
        receipt = await sender.send(auction.open_pool())
        in_pool = receipt.one_of(PoolOpened, address=auction.address).amount
        hashes.append(receipt.tx_hash)
    if view.unsold:
        receipt = await sender.send(auction.return_unsold())
        unsold = receipt.one_of(UnsoldReturned, address=auction.address).amount
        hashes.append(receipt.tx_hash)
    waiting = await sender.reader.read(auction.proceeds())
    if waiting and sender.address == view.publisher:
        receipt = await sender.send(auction.withdraw_proceeds())
        proceeds = receipt.one_of(ProceedsWithdrawn, address=auction.address).amount
        hashes.append(receipt.tx_hash)
    return Closing(Units(proceeds), Shares(unsold), tuple(hashes), Units(in_pool))
