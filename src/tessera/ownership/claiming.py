"""Taking everything that is an account's, from wherever it waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from tessera.bindings import (
    Access,
    Auction,
    Channels,
    Curve,
    Exchange,
    Governor,
    Offering,
    Share,
    Vesting,
)
from tessera.bindings.channels import CreditWithdrawn
from tessera.chain.sender import Sender
from tessera.errors import TesseraError
from tessera.ownership import access as rights
from tessera.ownership import auction as auctions
from tessera.ownership import curve as curves
from tessera.ownership import exchange as pools
from tessera.ownership import governance, selling
from tessera.ownership import offering as sales
from tessera.ownership import share as shares
from tessera.ownership import vesting as grants
from tessera.ownership.portfolio import (
    AuctionHolding,
    CurveHolding,
    OfferingHolding,
    Portfolio,
)
from tessera.units import Shares, Units, UnixSeconds

__all__ = ["Claim", "ClaimedItem", "claim", "claims_of"]

_NOTHING = Units(0)
_NO_SHARES = Shares(0)
_OVER = (selling.Stage.FINISHED, selling.Stage.FAILED)


@dataclass(frozen=True, slots=True)
class ClaimedItem:
    """One thing that waits or came: money, or shares.

    Attributes
    ----------
    what
        In words.
    address
        The contract that it comes from.
    amount
        Base units.
    shares
        Raw shares.
    gives
        Raw shares that go back for it, at most.
    failure
        Why it did not come; None otherwise.
    """

    what: str
    address: str
    amount: Units = _NOTHING
    shares: Shares = _NO_SHARES
    gives: Shares = _NO_SHARES
    failure: TesseraError | None = None


Take = Callable[[Sender], Awaitable[list[ClaimedItem]]]


@dataclass(frozen=True, slots=True)
class Claim:
    """What waits in one place, and how it is taken; no part of it can come without the rest.

    Only closing a sale takes more than one transaction.

    Attributes
    ----------
    token
        The Share or the product that it is about; None for what is about all, as a credit is.
    items
        What it would bring, as far as that is known before.
    take
        Takes it; returns what really came.
    """

    token: str | None
    items: tuple[ClaimedItem, ...]
    take: Take


def claims_of(
    portfolio: Portfolio,
    channels: Channels,
    governor: Governor,
    exchange: Exchange,
    *,
    now: UnixSeconds,
) -> list[Claim]:
    """Return all that waits for the portfolio's account, wherever it is.

    Parameters
    ----------
    channels, governor, exchange
        Of the deployment; they pay credits, and the revenue of locked and of pooled shares.
    now
        Unix seconds.
    """
    found: list[Claim] = []

    def money(token: str, what: str, place: str, amount: Units, pay: _Pays) -> None:
        if amount:
            item = ClaimedItem(what, place, amount)
            found.append(Claim(token, (item,), partial(_paid, item=item, pay=pay)))

    for held in portfolio.holdings:
        pay: _Pays = partial(shares.claim, share=Share(held.share))
        money(held.share, f"revenue of {held.symbol}", held.share, held.claimable, pay)
    for lock in portfolio.locked:
        pay = partial(governance.claim, governor=governor, asset=lock.asset)
        what = f"revenue of locked {lock.symbol}"
        money(lock.share, what, governor.address, lock.claimable, pay)
    for pooled in portfolio.pooled:
        pay = partial(pools.claim, exchange=exchange, token=pooled.token)
        what = f"revenue of {pooled.symbol} in the pool"
        money(pooled.token, what, exchange.address, pooled.claimable, pay)
    for grant in portfolio.vestings:
        vesting = Vesting(grant.address)
        pay = partial(grants.claim, vesting=vesting)
        money(grant.share, "revenue of vesting shares", grant.address, grant.claimable, pay)
        if grant.releasable:
            item = ClaimedItem("unlocked shares", grant.address, shares=grant.releasable)
            found.append(Claim(grant.share, (item,), partial(_released, item=item)))
    for order in portfolio.refundable:
        item = ClaimedItem(
            f"price of order {order.number} of {order.symbol}, not served",
            order.access,
            order.amount,
        )
        take = partial(_given_back, item=item, number=order.number)
        found.append(Claim(order.access, (item,), take))
    account = portfolio.account
    for sale in portfolio.offerings:
        found += _of_sale(sale, account, now)
    for auction in portfolio.auctions:
        found += _of_auction(auction, account, now)
    for curve in portfolio.curves:
        found += _on_curve(curve, account, now)
    if portfolio.credit:
        item = ClaimedItem("credit from settlements", channels.address, portfolio.credit)
        found.append(Claim(None, (item,), partial(_credited, item=item, channels=channels)))
    return found


async def claim(sender: Sender, claims: Iterable[Claim]) -> list[ClaimedItem]:
    """Take one after the other; one that fails does not stop those behind it.

    Parameters
    ----------
    sender
        Of the account that they are of.
    claims
        From `claims_of`.

    Returns
    -------
    list of ClaimedItem
        In the order in which they came; those with a `failure` did not.
    """
    done: list[ClaimedItem] = []
    for each in claims:
        try:
            done += await each.take(sender)
        except TesseraError as error:
            done += [replace(item, failure=error) for item in each.items]
    return done


# --- Taking ---------------------------------------------------------------------------------------

_Pays = Callable[[Sender], Awaitable[shares.Claimed]]
_Collects = Callable[[Sender], Awaitable[Shares]]
_Refunds = Callable[[Sender], Awaitable[Units]]
_Closes = Callable[[Sender], Awaitable[selling.Closing]]


async def _paid(sender: Sender, *, item: ClaimedItem, pay: _Pays) -> list[ClaimedItem]:
    return [replace(item, amount=(await pay(sender)).amount)]


async def _released(sender: Sender, *, item: ClaimedItem) -> list[ClaimedItem]:
    return [replace(item, shares=await grants.release(sender, Vesting(item.address)))]


async def _given_back(sender: Sender, *, item: ClaimedItem, number: int) -> list[ClaimedItem]:
    amount, _ = await rights.refund(sender, Access(item.address), number)
    return [replace(item, amount=amount)]


async def _credited(sender: Sender, *, item: ClaimedItem, channels: Channels) -> list[ClaimedItem]:
    receipt = await sender.send(channels.withdraw_credit())
    paid = receipt.one_of(CreditWithdrawn, address=channels.address).amount
    return [replace(item, amount=Units(paid))]


async def _collected(sender: Sender, *, item: ClaimedItem, collect: _Collects) -> list[ClaimedItem]:
    return [replace(item, shares=await collect(sender))]


async def _refunded(sender: Sender, *, item: ClaimedItem, refund: _Refunds) -> list[ClaimedItem]:
    return [replace(item, amount=await refund(sender))]


async def _closed(sender: Sender, *, address: str, close: _Closes) -> list[ClaimedItem]:
    closing, done = await close(sender), []
    if closing.proceeds:
        done.append(ClaimedItem("proceeds of a sale", address, closing.proceeds))
    if closing.unsold:
        done.append(ClaimedItem("unsold shares", address, shares=closing.unsold))
    return done


async def _sold_back(
    sender: Sender, *, item: ClaimedItem, held: CurveHolding, now: UnixSeconds
) -> list[ClaimedItem]:
    curve, share = Curve(held.view.address), Share(held.view.share)
    holds = Shares(await sender.reader.read(share.balanceOf(sender.address)))
    amount = min(held.bought, holds)
    if not amount:
        return []
    # Exactly what was paid, after a missed end: sent too early, it must not sell along the curve.
    due = Units(held.paid - held.paid * (held.bought - amount) // held.bought)
    back, _ = await curves.sell(sender, curve, share, amount, least=due, now=now)
    return [replace(item, amount=back)]


# --- First sales ----------------------------------------------------------------------------------


def _of_sale(sale: OfferingHolding, account: str, now: UnixSeconds) -> Iterator[Claim]:
    view, address, token = sale.view, sale.view.address, sale.view.share
    offering = Offering(address)
    if sale.claimable:
        item = ClaimedItem("revenue of shares in a sale", address, sale.claimable)
        pay = partial(sales.claim, offering=offering)
        yield Claim(token, (item,), partial(_paid, item=item, pay=pay))
    if sale.refundable:
        item = ClaimedItem("refund of a failed sale", address, sale.refundable)
        refund = partial(sales.refund, offering=offering)
        yield Claim(token, (item,), partial(_refunded, item=item, refund=refund))
    elif sale.bought and view.final:
        item = ClaimedItem("bought shares", address, shares=sale.bought)
        collect = partial(sales.collect, offering=offering, buyer=account)
        yield Claim(token, (item,), partial(_collected, item=item, collect=collect))
    items = []
    if sale.proceeds:
        items.append(ClaimedItem("proceeds of a sale", address, sale.proceeds))
    if view.publisher == account and view.over and not sale.returned and view.unsold:
        items.append(ClaimedItem("unsold shares", address, shares=view.unsold))
    if items:
        close = partial(sales.close, offering=offering, now=now)
        yield Claim(token, tuple(items), partial(_closed, address=address, close=close))


def _of_auction(held: AuctionHolding, account: str, now: UnixSeconds) -> Iterator[Claim]:
    view, address, token = held.view, held.view.address, held.view.share
    auction = Auction(address)
    if view.stage not in _OVER:
        return
    if held.claimable:
        item = ClaimedItem("revenue of shares in an auction", address, held.claimable)
        pay = partial(auctions.claim, auction=auction)
        yield Claim(token, (item,), partial(_paid, item=item, pay=pay))
    if held.bid and view.stage is selling.Stage.FAILED:
        item = ClaimedItem("refund of a failed auction", address, held.bid)
        refund = partial(auctions.refund, auction=auction)
        yield Claim(token, (item,), partial(_refunded, item=item, refund=refund))
    elif held.bid:
        item = ClaimedItem("shares of an auction", address, shares=held.bought)
        collect = partial(auctions.collect, auction=auction, bidder=account)
        yield Claim(token, (item,), partial(_collected, item=item, collect=collect))
    if view.publisher == account and (held.proceeds or view.unsold or not view.closed):
        items = [ClaimedItem("proceeds of a sale", address, held.proceeds)]
        if view.unsold:
            items.append(ClaimedItem("unsold shares", address, shares=view.unsold))
        close = partial(auctions.close, auction=auction, now=now)
        yield Claim(token, tuple(items), partial(_closed, address=address, close=close))


def _on_curve(held: CurveHolding, account: str, now: UnixSeconds) -> Iterator[Claim]:
    view, address, token = held.view, held.view.address, held.view.share
    curve = Curve(address)
    if held.claimable:
        item = ClaimedItem("revenue of shares on a curve", address, held.claimable)
        pay = partial(curves.claim, curve=curve)
        yield Claim(token, (item,), partial(_paid, item=item, pay=pay))
    if held.bought and view.stage is selling.Stage.FAILED:
        # The curve missed its end, so this is the refund; the shares go back for it.
        what = "refund of a curve that missed its end"
        item = ClaimedItem(what, address, held.paid, gives=held.bought)
        yield Claim(token, (item,), partial(_sold_back, item=item, held=held, now=now))
    items = []
    if view.publisher == account and held.proceeds:
        items.append(ClaimedItem("proceeds of a sale", address, held.proceeds))
    if view.publisher == account and view.stage in _OVER and view.unsold:
        items.append(ClaimedItem("unsold shares", address, shares=view.unsold))
    if items:
        close = partial(curves.close, curve=curve, now=now)
        yield Claim(token, tuple(items), partial(_closed, address=address, close=close))
