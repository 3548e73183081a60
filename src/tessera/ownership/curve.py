"""The first sale of shares along a bonding curve that graduates by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tessera.bindings import Curve, Launchpad, Share, TestDollar
from tessera.bindings.curve import (
    Bought,
    Graduated,
    ProceedsWithdrawn,
    SoldBack,
    UnsoldReturned,
)
from tessera.bindings.launchpad import CurveOpened, CurveSale
from tessera.bindings.share import RevenueClaimed
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import Closed, InputError, NotFound, StaleQuote
from tessera.ownership.allowing import allow, check_money, check_shares
from tessera.ownership.selling import Closing, Stage, check_times
from tessera.ownership.share import Claimed
from tessera.spec import curve as spec
from tessera.units import BPS, AssetId, Shares, Units, UnixSeconds

__all__ = [
    "CurvePurchase",
    "CurveView",
    "buy",
    "claim",
    "close",
    "find_curves",
    "open_curve",
    "preview_buy",
    "preview_sell",
    "read_curve",
    "sell",
    "spend_for",
]

_SOON_S = 300
"""How long a purchase or sale back is good for where its sender says nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveView:
    """A curve as the chain shows it.

    Attributes
    ----------
    address, share, publisher
        The contract, what it sells, and for whom.
    virtual_shares, virtual_currency
        Raw shares and base units that its price begins from.
    price
        Of the next whole share, without surcharge, base units.
    surcharge_bps
        On top of it now.
    cap_per_buyer, sold, unsold
        Raw shares.
    target, raised
        Base units.
    start, end
        Unix seconds.
    graduated
        Whether the target was reached and the pool opened.
    liquidity_bps
        The part of the target that opens the pool.
    allowed
        Root of the list of buyers; 32 zero bytes: everybody.
    stage
        At the time that was asked for.
    """

    address: str
    share: str
    publisher: str
    virtual_shares: Shares
    virtual_currency: Units
    price: Units
    surcharge_bps: int
    cap_per_buyer: Shares
    sold: Shares
    unsold: Shares
    target: Units
    raised: Units
    start: UnixSeconds
    end: UnixSeconds
    graduated: bool
    liquidity_bps: int
    allowed: bytes
    stage: Stage


@dataclass(frozen=True, slots=True)
class CurvePurchase:
    """What was bought: raw shares, base units, and whether it graduated the curve."""

    shares: Shares
    cost: Units
    graduated: bool
    tx_hash: str


async def open_curve(
    sender: Sender, launchpad: Launchpad, asset: AssetId, share: Share, sale: CurveSale
) -> Curve:
    """Put shares of the sender up for sale along a curve: an approval, and the curve.

    Raises
    ------
    InputError
        The times contradict each other, or the sender has fewer shares than the curve takes.
    TransactionReverted
        The Launchpad refuses.
    """
    check_times(sale.start, sale.end)
    needed = spec.shares_for_curve(
        sale.virtual_shares, sale.virtual_currency, sale.target, sale.liquidity.bps
    )
    await check_shares(sender, share, needed)
    await allow(sender, share, launchpad.address, needed)
    receipt = await sender.send(launchpad.curve(asset, sale))
    return Curve(receipt.one_of(CurveOpened).curve)


async def find_curves(
    reader: ChainReader, launchpad: Launchpad, *, asset: AssetId | None = None, first: int = 0
) -> list[Curve]:
    """Return the curves of an asset's shares, or of all assets', oldest first."""
    logs = await reader.logs(
        CurveOpened, address=launchpad.address, topics=CurveOpened.topics(asset=asset), first=first
    )
    return [Curve(log.event.curve) for log in logs]


async def read_curve(reader: ChainReader, curve: Curve, *, now: UnixSeconds) -> CurveView:
    """Read a curve; `now` is what the surcharge and `stage` are about."""
    terms, conditions, price, surcharge = await asyncio.gather(
        reader.read(curve.terms()),
        reader.read(curve.conditions()),
        reader.read(curve.price()),
        reader.read(curve.surcharge_at(now)),
    )
    sold, unsold, raised, graduated = await asyncio.gather(
        reader.read(curve.sold()),
        reader.read(curve.unsold()),
        reader.read(curve.raised()),
        reader.read(curve.graduated()),
    )
    share, publisher, virtual_shares, virtual_currency, _, target, cap, start, end, _, _ = terms
    if graduated:
        stage = Stage.FINISHED
    elif now < start:
        stage = Stage.UPCOMING
    else:
        stage = Stage.OPEN if now < end else Stage.FAILED
    return CurveView(
        address=curve.address,
        share=share,
        publisher=publisher,
        virtual_shares=Shares(virtual_shares),
        virtual_currency=Units(virtual_currency),
        price=Units(price),
        surcharge_bps=surcharge,
        cap_per_buyer=Shares(cap),
        sold=Shares(sold),
        unsold=Shares(unsold),
        target=Units(target),
        raised=Units(raised),
        start=UnixSeconds(start),
        end=UnixSeconds(end),
        graduated=graduated,
        liquidity_bps=conditions[1],
        allowed=conditions[0],
        stage=stage,
    )


def spend_for(view: CurveView, amount: Shares, *, most: Shares | None = None) -> Units:
    """Compute the least money that buys so many raw shares now, at most what the target lacks.

    The last unit of money buys a dust of shares beyond `amount`. Where the buyer may not have
    that, by a cap or a list, it is the most money that buys no more than `most`.

    Parameters
    ----------
    most
        Raw shares that the buyer may still buy; None: no matter.

    Raises
    ------
    InputError
        The curve does not have so many.
    """
    left = view.virtual_shares - view.sold
    if not 0 < amount < left:
        raise InputError(
            "shares to buy",
            found=f"{amount} raw shares",
            wanted=f"more than 0 and fewer than {left}",
        )
    money = view.virtual_currency + view.raised
    spend = min(spec.spend_for(left, money, amount, view.surcharge_bps), view.target - view.raised)
    net = spend * BPS // (BPS + view.surcharge_bps)
    if most is not None and amount <= most < left * net // (money + net):
        spend -= 1
    return Units(spend)


async def preview_buy(
    reader: ChainReader, curve: Curve, spend: Units, *, buyer: str, now: UnixSeconds
) -> tuple[Shares, Units]:
    """Return what `spend` buys now: raw shares, and base units that are taken.

    Raises
    ------
    Closed
        It is not open.
    InputError
        It is too little for a share, or too much for one buyer.
    """
    view, before = await asyncio.gather(
        read_curve(reader, curve, now=now), reader.read(curve.bought(buyer))
    )
    if view.stage is not Stage.OPEN:
        raise Closed(
            f"curve {curve.address}",
            found=view.stage.value,
            wanted="a curve that is open",
            next_step="trade it in its pool: tessera market"
            if view.graduated
            else f"it is open from {view.start} to {view.end} (unix seconds)",
        )
    amount, cost = await reader.read(curve.preview_buy(spend), at="pending")
    if not cost or before + amount > view.cap_per_buyer:
        raise InputError(
            "shares to buy",
            found=f"{amount} raw shares",
            wanted=f"at most {view.cap_per_buyer - before}, which are left for {buyer}",
        )
    return Shares(amount), Units(cost)


async def buy(
    sender: Sender,
    curve: Curve,
    currency: TestDollar,
    spend: Units,
    *,
    least: Shares,
    now: UnixSeconds,
    listed: tuple[int, Sequence[bytes]] | None = None,
    deadline: UnixSeconds | None = None,
) -> CurvePurchase:
    """Buy for up to `spend` base units: an approval, and the purchase.

    Parameters
    ----------
    least
        The fewest raw shares that the buyer agreed to.
    listed
        The sender's part of the list of buyers, raw shares, and its proof.
    deadline
        Unix seconds after which the chain refuses it; five minutes behind `now` where None.

    Raises
    ------
    Closed, InputError
        As `preview_buy`; or the buyer has too little money.
    StaleQuote
        It brings fewer than `least` now.
    """
    amount, cost = await preview_buy(sender.reader, curve, spend, buyer=sender.address, now=now)
    if amount < least:
        raise StaleQuote(
            "shares for the money",
            found=amount,
            wanted=f"at least {least} raw shares",
            next_step="ask for a new preview",
        )
    await check_money(sender, currency, cost)
    await allow(sender, currency, curve.address, spend)
    most, proof = listed or (0, ())
    until = now + _SOON_S if deadline is None else deadline
    receipt = await sender.send(curve.buy(spend, least, until, sender.address, most, list(proof)))
    made = receipt.one_of(Bought, address=curve.address)
    graduated = bool(receipt.all_of(Graduated, address=curve.address))
    return CurvePurchase(Shares(made.amount), Units(made.cost), graduated, receipt.tx_hash)


async def preview_sell(
    reader: ChainReader, curve: Curve, amount: Shares, *, seller: str, now: UnixSeconds
) -> Units:
    """Return what selling back raw shares brings now, base units.

    Raises
    ------
    Closed
        It graduated, so its pool is the place.
    InputError
        The seller did not buy so many here.
    """
    view, bought = await asyncio.gather(
        read_curve(reader, curve, now=now), reader.read(curve.bought(seller))
    )
    if view.graduated:
        raise Closed(
            f"curve {curve.address}",
            found="graduated",
            wanted="a curve that is not",
            next_step="sell in its pool: tessera market",
        )
    if not 0 < amount <= bought:
        raise InputError(
            "shares to sell back",
            found=f"{amount} raw shares",
            wanted=f"more than 0 and at most the {bought} that {seller} bought here",
        )
    return Units(await reader.read(curve.preview_sell(seller, amount), at="pending"))


async def sell(
    sender: Sender,
    curve: Curve,
    share: Share,
    amount: Shares,
    *,
    least: Units,
    now: UnixSeconds,
    deadline: UnixSeconds | None = None,
) -> tuple[Units, str]:
    """Sell back raw shares: an approval, and the sale; base units, and the transaction.

    Parameters
    ----------
    least
        The fewest base units that the seller agreed to.
    deadline
        As for `buy`.

    Raises
    ------
    Closed, InputError
        As `preview_sell`; or the seller no longer has them.
    StaleQuote
        It brings less than `least` base units now.
    """
    paid = await preview_sell(sender.reader, curve, amount, seller=sender.address, now=now)
    if paid < least:
        raise StaleQuote(
            "money for the shares",
            found=paid,
            wanted=f"at least {least} base units",
            next_step="ask for a new preview",
        )
    await check_shares(sender, share, amount)
    await allow(sender, share, curve.address, amount)
    until = now + _SOON_S if deadline is None else deadline
    receipt = await sender.send(curve.sell(amount, least, until))
    return Units(receipt.one_of(SoldBack, address=curve.address).paid), receipt.tx_hash


async def claim(sender: Sender, curve: Curve) -> Claimed:
    """Pay the publisher what the shares that lie in the curve earned; 0 is no error."""
    receipt = await sender.send(curve.claim())
    paid = [
        event.amount for event in receipt.all_of(RevenueClaimed) if event.holder == curve.address
    ]
    return Claimed(Units(sum(paid)), receipt.tx_hash)


async def close(sender: Sender, curve: Curve, *, now: UnixSeconds) -> Closing:
    """Take out what is the publisher's once it graduated, or after a missed end.

    Raises
    ------
    NotFound
        There is nothing to take yet.
    """
    view = await read_curve(sender.reader, curve, now=now)
    proceeds, unsold, hashes = 0, 0, []
    if view.unsold and view.stage in (Stage.FINISHED, Stage.FAILED):
        receipt = await sender.send(curve.return_unsold())
        unsold = receipt.one_of(UnsoldReturned, address=curve.address).amount
        hashes.append(receipt.tx_hash)
    # After a missed end, what was left behind becomes proceeds only with the shares' return.
    waiting = await sender.reader.read(curve.proceeds())
    if waiting and sender.address == view.publisher:
        receipt = await sender.send(curve.withdraw_proceeds())
        proceeds = receipt.one_of(ProceedsWithdrawn, address=curve.address).amount
        hashes.append(receipt.tx_hash)
    if not hashes:
        raise NotFound(
            f"curve {curve.address}",
            found="nothing to take out",
            wanted="a curve that graduated, or the end of the sale",
            next_step=f"it ends at {view.end} (unix seconds)",
        )
    return Closing(Units(proceeds), Shares(unsold), tuple(hashes))
