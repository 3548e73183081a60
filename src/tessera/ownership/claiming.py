"""Taking everything that is an account's, from wherever it waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
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
from tessera.ownership import governance
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
_OVER = (sales.Stage.FINISHED, sales.Stage.FAILED)


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
    failure
        Why it did not come; None otherwise.
    """

    what: str
    address: str
    amount: Units = _NOTHING
    shares: Shares = _NO_SHARES
    failure: TesseraError | None = None


Take = Callable[[Sender], Awaitable[list[ClaimedItem]]]


@dataclass(frozen=True, slots=True)
class Claim:
    """What waits in one place, and how it is taken.

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
        items, take = _in_sale(sale, account), partial(_from_sale, sale=sale, now=now)
        found += [Claim(sale.view.share, items, take)] if items else []
    for auction in portfolio.auctions:
        items, take = _in_auction(auction, account), partial(_from_auction, held=auction, now=now)
        found += [Claim(auction.view.share, items, take)] if items else []
    for curve in portfolio.curves:
        items, take = _on_curve(curve, account), partial(_from_curve, held=curve, now=now)
        found += [Claim(curve.view.share, items, take)] if items else []
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


def _in_sale(sale: OfferingHolding, account: str) -> tuple[ClaimedItem, ...]:
    view, address = sale.view, sale.view.address
    items = []
    if sale.claimable:
        items.append(ClaimedItem("revenue of shares in a sale", address, sale.claimable))
    if sale.refundable:
        items.append(ClaimedItem("refund of a failed sale", address, sale.refundable))
    elif sale.bought and view.final:
        items.append(ClaimedItem("bought shares", address, shares=sale.bought))
    if sale.proceeds:
        items.append(ClaimedItem("proceeds of a sale", address, sale.proceeds))
    if view.publisher == account and view.over and not sale.returned and view.unsold:
        items.append(ClaimedItem("unsold shares", address, shares=view.unsold))
    return tuple(items)


async def _from_sale(
    sender: Sender, *, sale: OfferingHolding, now: UnixSeconds
) -> list[ClaimedItem]:
    offering, address = Offering(sale.view.address), sale.view.address
    done: list[ClaimedItem] = []
    if sale.claimable:
        paid = await sales.claim(sender, offering)
        done.append(ClaimedItem("revenue of shares in a sale", address, paid.amount))
    if sale.refundable:
        back = await sales.refund(sender, offering)
        done.append(ClaimedItem("refund of a failed sale", address, back))
    elif sale.bought and sale.view.final:
        got = await sales.collect(sender, offering, sender.address)
        done.append(ClaimedItem("bought shares", address, shares=got))
    over = sale.view.publisher == sender.address and sale.view.over and not sale.returned
    if sale.proceeds or over:
        done += _of_closing(await sales.close(sender, offering, now=now), address)
    return done


def _in_auction(held: AuctionHolding, account: str) -> tuple[ClaimedItem, ...]:
    view, address = held.view, held.view.address
    items: list[ClaimedItem] = []
    if view.stage not in _OVER:
        return ()
    if held.claimable:
        items.append(ClaimedItem("revenue of shares in an auction", address, held.claimable))
    if held.bid and view.stage is sales.Stage.FAILED:
        items.append(ClaimedItem("refund of a failed auction", address, held.bid))
    elif held.bid:
        items.append(ClaimedItem("shares of an auction", address, shares=held.bought))
    if view.publisher == account and (held.proceeds or view.unsold or not view.closed):
        items.append(ClaimedItem("proceeds of a sale", address, held.proceeds))
        if view.unsold:
            items.append(ClaimedItem("unsold shares", address, shares=view.unsold))
    return tuple(items)


async def _from_auction(
    sender: Sender, *, held: AuctionHolding, now: UnixSeconds
) -> list[ClaimedItem]:
    view, address = held.view, held.view.address
    auction = Auction(address)
    done: list[ClaimedItem] = []
    if held.claimable:
        paid = await auctions.claim(sender, auction)
        done.append(ClaimedItem("revenue of shares in an auction", address, paid.amount))
    if held.bid and view.stage is sales.Stage.FAILED:
        back = await auctions.refund(sender, auction)
        done.append(ClaimedItem("refund of a failed auction", address, back))
    elif held.bid:
        got = await auctions.collect(sender, auction, sender.address)
        done.append(ClaimedItem("shares of an auction", address, shares=got))
    if view.publisher == sender.address:
        done += _of_closing(await auctions.close(sender, auction, now=now), address)
    return done


def _on_curve(held: CurveHolding, account: str) -> tuple[ClaimedItem, ...]:
    view, address = held.view, held.view.address
    items = []
    if held.claimable:
        items.append(ClaimedItem("revenue of shares on a curve", address, held.claimable))
    if held.bought and view.stage is sales.Stage.FAILED:
        items.append(ClaimedItem("refund of a curve that missed its end", address, held.paid))
    if view.publisher == account:
        if held.proceeds:
            items.append(ClaimedItem("proceeds of a sale", address, held.proceeds))
        if view.stage in _OVER and view.unsold:
            items.append(ClaimedItem("unsold shares", address, shares=view.unsold))
    return tuple(items)


async def _from_curve(sender: Sender, *, held: CurveHolding, now: UnixSeconds) -> list[ClaimedItem]:
    view, address = held.view, held.view.address
    curve = Curve(address)
    done: list[ClaimedItem] = []
    if held.claimable:
        paid = await curves.claim(sender, curve)
        done.append(ClaimedItem("revenue of shares on a curve", address, paid.amount))
    if held.bought and view.stage is sales.Stage.FAILED:
        # The curve missed its end, so this is the refund; the shares go back for it.
        holds = Shares(await sender.reader.read(Share(view.share).balanceOf(sender.address)))
        amount = min(held.bought, holds)
        if amount:
            back, _ = await curves.sell(
                sender, curve, Share(view.share), amount, least=_NOTHING, now=now
            )
            done.append(ClaimedItem("refund of a curve that missed its end", address, back))
    over = view.stage in _OVER and view.unsold
    if view.publisher == sender.address and (held.proceeds or over):
        done += _of_closing(await curves.close(sender, curve, now=now), address)
    return done


def _of_closing(closing: sales.Closing, address: str) -> list[ClaimedItem]:
    done = []
    if closing.proceeds:
        done.append(ClaimedItem("proceeds of a sale", address, closing.proceeds))
    if closing.unsold:
        done.append(ClaimedItem("unsold shares", address, shares=closing.unsold))
    return done
