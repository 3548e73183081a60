"""The first sale of shares: a fixed price, a soft cap, and the money back where it is missed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tessera.bindings import Launchpad, Offering, Share, TestDollar
from tessera.bindings.launchpad import OfferingOpened, Sale
from tessera.bindings.offering import (
    Bought,
    Collected,
    PoolOpened,
    ProceedsWithdrawn,
    Refunded,
    UnsoldReturned,
)
from tessera.bindings.offering import RevenueClaimed as OfferingClaimed
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import Closed, InputError, NotFound, StaleQuote
from tessera.ownership.allowing import allow, check_money, check_shares
from tessera.ownership.selling import Closing, Stage, check_times, with_pool
from tessera.ownership.share import Claimed
from tessera.units import (
    AssetId,
    Shares,
    Units,
    UnixSeconds,
    shown_shares,
)

__all__ = [
    "OfferingView",
    "Purchase",
    "buy",
    "claim",
    "close",
    "collect",
    "find_offerings",
    "offer",
    "preview_buy",
    "read_offering",
    "refund",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingView:
    """A sale as the chain shows it.

    Attributes
    ----------
    address, share, publisher
        The contract, what it sells, and for whom.
    price
        Base units for one whole share.
    for_sale, soft_cap, cap_per_buyer, sold, unsold
        Raw shares.
    raised
        Base units.
    start, end
        Unix seconds.
    final
        Whether the soft cap was reached, so that every purchase is for good.
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
    price: Units
    for_sale: Shares
    soft_cap: Shares
    cap_per_buyer: Shares
    sold: Shares
    unsold: Shares
    raised: Units
    start: UnixSeconds
    end: UnixSeconds
    final: bool
    liquidity_bps: int
    pool_opened: bool
    allowed: bytes
    stage: Stage

    @property
    def over(self) -> bool:
        """Whether it takes no more buyers for good: at its end, or everything is sold."""
        ended = self.stage in (Stage.FINISHED, Stage.FAILED)
        return ended or (self.final and not self.unsold)


@dataclass(frozen=True, slots=True)
class Purchase:
    """What was bought.

    Attributes
    ----------
    shares
        Raw shares.
    cost
        Base units.
    delivered
        False while the soft cap is not reached: `collect` them then, or `refund`.
    tx_hash
        Of the transaction.
    """

    shares: Shares
    cost: Units
    delivered: bool
    tx_hash: str


async def offer(
    sender: Sender, launchpad: Launchpad, asset: AssetId, share: Share, sale: Sale
) -> Offering:
    """Put shares of the sender up for sale: an approval, and the sale.

    Parameters
    ----------
    asset, share
        What is sold.
    sale
        Amounts in raw shares, `price` in base units for one whole share, times in unix seconds.

    Raises
    ------
    InputError
        The sale's amounts or times contradict each other, or the sender has fewer shares.
    TransactionReverted
        The Launchpad refuses.
    """
    if sale.for_sale < 1 or sale.soft_cap > sale.for_sale:
        raise InputError(
            "sale",
            found=f"soft cap {shown_shares(sale.soft_cap)} of {shown_shares(sale.for_sale)} shares",
            wanted="shares for sale, and a soft cap within them",
        )
    check_times(sale.start, sale.end)
    needed = with_pool(sale.for_sale, sale.liquidity)
    await check_shares(sender, share, needed)
    await allow(sender, share, launchpad.address, needed)
    receipt = await sender.send(launchpad.offer(asset, sale))
    return Offering(receipt.one_of(OfferingOpened).offering)


async def find_offerings(
    reader: ChainReader, launchpad: Launchpad, *, asset: AssetId | None = None, first: int = 0
) -> list[Offering]:
    """Return the sales of an asset's shares, or of all assets', oldest first."""
    logs = await reader.logs(
        OfferingOpened,
        address=launchpad.address,
        topics=OfferingOpened.topics(asset=asset),
        first=first,
    )
    return [Offering(log.event.offering) for log in logs]


async def read_offering(
    reader: ChainReader, offering: Offering, *, now: UnixSeconds
) -> OfferingView:
    """Read a sale.

    Parameters
    ----------
    now
        What `stage` is about.
    """
    terms, conditions, opened = await asyncio.gather(
        reader.read(offering.terms()),
        reader.read(offering.conditions()),
        reader.read(offering.pool_opened()),
    )
    sold, unsold, raised, final = await asyncio.gather(
        reader.read(offering.sold()),
        reader.read(offering.unsold()),
        reader.read(offering.raised()),
        reader.read(offering.final()),
    )
    share, publisher, price, for_sale, soft_cap, cap_per_buyer, start, end = terms
    if now < start:
        stage = Stage.UPCOMING
    elif now < end:
        stage = Stage.OPEN
    else:
        stage = Stage.FINISHED if final else Stage.FAILED
    return OfferingView(
        address=offering.address,
        share=share,
        publisher=publisher,
        price=Units(price),
        for_sale=Shares(for_sale),
        soft_cap=Shares(soft_cap),
        cap_per_buyer=Shares(cap_per_buyer),
        sold=Shares(sold),
        unsold=Shares(unsold),
        raised=Units(raised),
        start=UnixSeconds(start),
        end=UnixSeconds(end),
        final=final,
        liquidity_bps=conditions[1],
        pool_opened=opened,
        allowed=conditions[0],
        stage=stage,
    )


async def preview_buy(
    reader: ChainReader, offering: Offering, amount: Shares, *, buyer: str, now: UnixSeconds
) -> Units:
    """Return what `buy` would cost, base units rounded up, or refuse as it would.

    Parameters
    ----------
    amount
        Raw shares.
    buyer
        Address; what it bought here before counts toward the cap of one buyer.
    now
        Unix seconds.

    Raises
    ------
    Closed
        The sale is not open.
    InputError
        So many shares are not left, or not allowed for one buyer.
    """
    view = await read_offering(reader, offering, now=now)
    if view.stage is not Stage.OPEN:
        raise Closed(
            f"offering {offering.address}",
            found=view.stage.value,
            wanted="a sale that is open",
            next_step=f"it is open from {view.start} to {view.end} (unix seconds)",
        )
    bought = await reader.read(offering.bought_in_all(buyer))
    most = min(view.unsold, max(0, view.cap_per_buyer - bought))
    if not 0 < amount <= most:
        raise InputError(
            "shares to buy",
            found=shown_shares(amount),
            wanted=f"more than 0 and at most {shown_shares(most)}, which are left for {buyer}"
            if most
            else "none, as none are left",
        )
    return Units(await reader.read(offering.preview_buy(amount)))


async def buy(
    sender: Sender,
    offering: Offering,
    currency: TestDollar,
    amount: Shares,
    *,
    max_cost: Units,
    now: UnixSeconds,
    least: Shares | None = None,
    listed: tuple[int, Sequence[bytes]] | None = None,
) -> Purchase:
    """Buy shares: an approval of exactly their cost, and the purchase.

    Parameters
    ----------
    currency
        What the share's revenue and price are in.
    amount
        Raw shares.
    max_cost
        The most that the buyer agreed to pay, base units.
    now
        Unix seconds.
    least
        The fewest raw shares to accept, should others buy in the meantime; None: no fewer.
    listed
        The sender's part of the list of buyers, raw shares, and its proof.

    Raises
    ------
    Closed, InputError
        As `preview_buy`; or the buyer has too little money.
    StaleQuote
        It costs more than `max_cost`.
    TransactionReverted
        Somebody else was faster, or the offering refuses.
    """
    cost = await preview_buy(sender.reader, offering, amount, buyer=sender.address, now=now)
    if cost > max_cost:
        raise StaleQuote(
            "cost of the shares",
            found=cost,
            wanted=f"at most {max_cost} base units",
            next_step="ask for a new preview",
        )
    await check_money(sender, currency, cost)
    await allow(sender, currency, offering.address, cost)
    most, proof = listed or (0, ())
    receipt = await sender.send(
        offering.buy(amount, sender.address, most, list(proof), amount if least is None else least)
    )
    bought = receipt.one_of(Bought, address=offering.address)
    final = await sender.reader.read(offering.final())
    return Purchase(Shares(bought.amount), Units(bought.cost), final, receipt.tx_hash)


async def collect(sender: Sender, offering: Offering, buyer: str) -> Shares:
    """Send a buyer the shares bought before the soft cap was reached; anyone may."""
    receipt = await sender.send(offering.collect(buyer))
    return Shares(receipt.one_of(Collected, address=offering.address).amount)


async def refund(sender: Sender, offering: Offering, *, receiver: str | None = None) -> Units:
    """Take the sender's money back after a sale that missed its soft cap."""
    receipt = await sender.send(offering.refund(receiver))
    return Units(receipt.one_of(Refunded, address=offering.address).amount)


async def claim(sender: Sender, offering: Offering) -> Claimed:
    """Pay what the sender's shares inside the offering earned; 0 is no error."""
    receipt = await sender.send(offering.claim())
    paid = receipt.all_of(OfferingClaimed, address=offering.address)
    return Claimed(Units(sum(event.amount for event in paid)), receipt.tx_hash)


async def close(sender: Sender, offering: Offering, *, now: UnixSeconds) -> Closing:
    """Take out what is the publisher's: proceeds of final purchases, and unsold shares at the end.

    Anyone may give the shares back and open the pool; proceeds are taken only for the publisher.

    Raises
    ------
    NotFound
        There is nothing to take yet.
    """
    view = await read_offering(sender.reader, offering, now=now)
    waiting, returned = await asyncio.gather(
        sender.reader.read(offering.proceeds()), sender.reader.read(offering.returned())
    )
    proceeds, unsold, in_pool, hashes = 0, 0, 0, []
    if view.over and view.final and view.liquidity_bps and not view.pool_opened:
        receipt = await sender.send(offering.open_pool())
        in_pool = receipt.one_of(PoolOpened, address=offering.address).amount
        hashes.append(receipt.tx_hash)
    if view.over and not returned:
        receipt = await sender.send(offering.return_unsold())
        unsold = receipt.one_of(UnsoldReturned, address=offering.address).amount
        hashes.append(receipt.tx_hash)
    if waiting and sender.address == view.publisher:
        receipt = await sender.send(offering.withdraw_proceeds())
        proceeds = receipt.one_of(ProceedsWithdrawn, address=offering.address).amount
        hashes.append(receipt.tx_hash)
    if not hashes:
        raise NotFound(
            f"offering {offering.address}",
            found="nothing to take out",
            wanted="final purchases, or the end of the sale",
            next_step=f"it ends at {view.end} (unix seconds)",
        )
    return Closing(Units(proceeds), Shares(unsold), tuple(hashes), Units(in_pool))
