"""Taking everything that is an account's, from wherever it waits."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.bindings import Auction, Channels, Curve, Offering, Share, Vesting
from tessera.bindings.channels import CreditWithdrawn
from tessera.chain.sender import Sender
from tessera.errors import InputError
from tessera.ownership import auction as auctions
from tessera.ownership import curve as curves
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

__all__ = ["ClaimedItem", "claim_everything"]

_NOTHING = Units(0)
_NO_SHARES = Shares(0)


@dataclass(frozen=True, slots=True)
class ClaimedItem:
    """One thing that came: money, or shares.

    Attributes
    ----------
    what
        In words.
    address
        The contract that it came from.
    amount
        Base units.
    shares
        Raw shares.
    """

    what: str
    address: str
    amount: Units = _NOTHING
    shares: Shares = _NO_SHARES


async def claim_everything(
    sender: Sender,
    portfolio: Portfolio,
    channels: Channels,
    *,
    share: str | None,
    now: UnixSeconds,
) -> list[ClaimedItem]:
    """Claim, release, collect and refund whatever the portfolio shows.

    Parameters
    ----------
    sender
        Of the portfolio's account.
    channels
        Pays credits.
    share
        Only what is about this Share; None takes everything, credits included.
    now
        Unix seconds.

    Returns
    -------
    list of ClaimedItem
        In the order in which it came; empty where nothing waited.

    Raises
    ------
    InputError
        The portfolio is somebody else's.
    """
    if portfolio.account != sender.address:
        raise InputError(
            "claim", found=portfolio.account, wanted=f"the own account {sender.address}"
        )
    done: list[ClaimedItem] = []
    for holding in portfolio.holdings:
        if holding.claimable and share in (None, holding.share):
            paid = await shares.claim(sender, Share(holding.share))
            what = f"revenue of {holding.symbol}"
            done.append(ClaimedItem(what, holding.share, paid.amount))
    for grant in portfolio.vestings:
        if share not in (None, grant.share):
            continue
        vesting = Vesting(grant.address)
        if grant.claimable:
            paid = await grants.claim(sender, vesting)
            done.append(ClaimedItem("revenue of vesting shares", grant.address, paid.amount))
        if grant.releasable:
            sent = await grants.release(sender, vesting)
            done.append(ClaimedItem("unlocked shares", grant.address, shares=sent))
    for sale in portfolio.offerings:
        if share in (None, sale.view.share):
            done += await _from_sale(sender, sale, now)
    for auction in portfolio.auctions:
        if share in (None, auction.view.share):
            done += await _from_auction(sender, auction, now)
    for curve in portfolio.curves:
        if share in (None, curve.view.share):
            done += await _from_curve(sender, curve, now)
    if portfolio.credit and share is None:
        receipt = await sender.send(channels.withdraw_credit())
        credited = receipt.one_of(CreditWithdrawn, address=channels.address).amount
        done.append(ClaimedItem("credit from settlements", channels.address, Units(credited)))
    return done


async def _from_sale(sender: Sender, sale: OfferingHolding, now: UnixSeconds) -> list[ClaimedItem]:
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


async def _from_auction(
    sender: Sender, held: AuctionHolding, now: UnixSeconds
) -> list[ClaimedItem]:
    view, address = held.view, held.view.address
    auction = Auction(address)
    done: list[ClaimedItem] = []
    if view.stage not in (sales.Stage.FINISHED, sales.Stage.FAILED):
        return done
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


async def _from_curve(sender: Sender, held: CurveHolding, now: UnixSeconds) -> list[ClaimedItem]:
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
    over = view.stage in (sales.Stage.FINISHED, sales.Stage.FAILED) and view.unsold
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
