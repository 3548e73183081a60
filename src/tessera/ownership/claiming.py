"""Taking everything that is an account's, from wherever it waits."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.bindings import Channels, Offering, Share, Vesting
from tessera.bindings.channels import CreditWithdrawn
from tessera.chain.sender import Sender
from tessera.errors import InputError
from tessera.ownership import offering as sales
from tessera.ownership import share as shares
from tessera.ownership import vesting as grants
from tessera.ownership.portfolio import OfferingHolding, Portfolio
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
    over = sale.view.publisher == sender.address and now >= sale.view.end and not sale.returned
    if sale.proceeds or over:
        closing = await sales.close(sender, offering, now=now)
        if closing.proceeds:
            done.append(ClaimedItem("proceeds of a sale", address, closing.proceeds))
        if closing.unsold:
            done.append(ClaimedItem("unsold shares", address, shares=closing.unsold))
    return done
