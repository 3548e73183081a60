"""All that one account has: shares, grants, purchases that are not final, credits and channels."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from tessera.bindings import (
    Auction,
    Channels,
    Curve,
    Exchange,
    Governor,
    Launchpad,
    Offering,
    Share,
    Storefront,
    TestDollar,
)
from tessera.bindings.access import Access
from tessera.bindings.channels import ChannelOpened
from tessera.bindings.share import RevenueClaimed
from tessera.chain.reader import ChainReader
from tessera.ownership.access import orders_of, read_product
from tessera.ownership.auction import AuctionView, find_auctions, read_auction
from tessera.ownership.curve import CurveView, find_curves, read_curve
from tessera.ownership.exchange import find_pools
from tessera.ownership.offering import OfferingView, find_offerings, read_offering
from tessera.ownership.selling import Stage
from tessera.ownership.vesting import VestingView, find_vestings, read_vesting
from tessera.units import AssetId, ChannelNumber, Shares, Units, UnixSeconds

__all__ = [
    "AuctionHolding",
    "ChannelHolding",
    "CurveHolding",
    "Holding",
    "LockedHolding",
    "OfferingHolding",
    "PooledHolding",
    "Portfolio",
    "RefundableOrder",
    "read_channels",
    "read_portfolio",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Shares of one asset.

    Attributes
    ----------
    asset, share, symbol
        Which.
    amount, supply
        Raw shares held, and in all.
    claimable, claimed
        Base units that wait, and that were ever paid out to this account.
    """

    asset: AssetId
    share: str
    symbol: str
    amount: Shares
    supply: Shares
    claimable: Units
    claimed: Units


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedHolding:
    """Shares of one asset that are locked to vote.

    Attributes
    ----------
    asset, share, symbol
        Which.
    amount
        Raw shares.
    claimable
        Base units that they earned.
    """

    asset: AssetId
    share: str
    symbol: str
    amount: Shares
    claimable: Units


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledHolding:
    """Liquidity that the account provides to a pool.

    Attributes
    ----------
    token, symbol, decimals
        What is traded there.
    tokens, money
        What it would bring now, raw units and base units.
    claimable
        Base units that the pool's shares earned for it.
    """

    token: str
    symbol: str
    decimals: int
    tokens: int
    money: Units
    claimable: Units


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundableOrder:
    """An order of Access that was not served in time.

    Attributes
    ----------
    access, symbol, number
        Which.
    amount
        Base units that were paid for it.
    """

    access: str
    symbol: str
    number: int
    amount: Units


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingHolding:
    """What an account has in a sale.

    Attributes
    ----------
    view
        The sale.
    bought
        Raw shares that wait for `collect`, or for a refund.
    refundable
        Base units that `refund` would pay, once the sale failed.
    claimable
        Base units that the shares there earned.
    proceeds
        Base units that the publisher can take out.
    returned
        Whether the publisher has the unsold shares back.
    """

    view: OfferingView
    bought: Shares
    refundable: Units
    claimable: Units
    proceeds: Units
    returned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuctionHolding:
    """What an account has in an auction.

    Attributes
    ----------
    view
        The auction.
    bid
        Base units that were bid and neither collected nor refunded.
    bought
        Raw shares that the bid gets, once the auction is closed.
    claimable
        Base units that the shares there earned.
    proceeds
        Base units that the publisher can take out.
    """

    view: AuctionView
    bid: Units
    bought: Shares
    claimable: Units
    proceeds: Units


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveHolding:
    """What an account has on a curve.

    Attributes
    ----------
    view
        The curve.
    bought, paid
        Raw shares that can be sold back until it graduates, and base units paid for them.
    claimable, proceeds
        Base units for the publisher: what the shares there earned, and what was raised.
    """

    view: CurveView
    bought: Shares
    paid: Units
    claimable: Units
    proceeds: Units


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelHolding:
    """A channel that the account pays from.

    Attributes
    ----------
    operator, channel
        Its name.
    balance
        Base units that are deposited and not settled.
    available_at
        When a withdrawal is possible, unix seconds; 0 where none was asked for.
    """

    operator: str
    channel: ChannelNumber
    balance: Units
    available_at: UnixSeconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """All of it.

    Attributes
    ----------
    account
        Whose.
    money
        Base units of the currency in the account itself.
    credit
        Base units that Channels owes it: an operator's cut, the commons, an untokenized asset.
    """

    account: str
    money: Units
    credit: Units
    holdings: tuple[Holding, ...]
    vestings: tuple[VestingView, ...]
    offerings: tuple[OfferingHolding, ...]
    channels: tuple[ChannelHolding, ...]
    auctions: tuple[AuctionHolding, ...] = ()
    curves: tuple[CurveHolding, ...] = ()
    locked: tuple[LockedHolding, ...] = ()
    pooled: tuple[PooledHolding, ...] = ()
    refundable: tuple[RefundableOrder, ...] = ()

    @property
    def claimable(self) -> Units:
        """Base units that the account could claim now, from everything together."""
        return Units(
            self.credit
            + sum(holding.claimable for holding in self.holdings)
            + sum(lock.claimable for lock in self.locked)
            + sum(pooled.claimable for pooled in self.pooled)
            + sum(vesting.claimable for vesting in self.vestings)
            + sum(offering.claimable for offering in self.offerings)
            + sum(auction.claimable for auction in self.auctions)
            + sum(curve.claimable for curve in self.curves)
        )


async def read_portfolio(
    reader: ChainReader,
    account: str,
    *,
    shares: Iterable[tuple[AssetId, str]],
    launchpad: Launchpad,
    channels: Channels,
    currency: TestDollar,
    governor: Governor,
    exchange: Exchange,
    storefront: Storefront,
    first_block: int,
    now: UnixSeconds,
) -> Portfolio:
    """Read what an account has.

    Parameters
    ----------
    shares
        Every tokenized asset with the address of its Share.
    launchpad, channels, currency, governor, exchange, storefront
        Of the deployment.
    first_block
        From which on there can be events.
    now
        Unix seconds, for what depends on the time.
    """
    known = list(shares)
    holdings, vestings, offerings, paying, money, credit = await asyncio.gather(
        asyncio.gather(*(_holding(reader, account, *share, first_block) for share in known)),
        find_vestings(reader, launchpad, beneficiary=account, first=first_block),
        find_offerings(reader, launchpad, first=first_block),
        read_channels(reader, account, channels, first_block=first_block),
        reader.read(currency.balanceOf(account)),
        reader.read(channels.credit_of(account)),
    )
    auctions, curves, locked, pooled, refundable = await asyncio.gather(
        _auctions(reader, account, launchpad, first_block, now),
        _curves(reader, account, launchpad, first_block, now),
        asyncio.gather(*(_locked(reader, account, governor, *share) for share in known)),
        _pooled(reader, account, exchange, first_block),
        _refundable(reader, account, storefront, first_block, now),
    )
    grants, sales = await asyncio.gather(
        asyncio.gather(*(read_vesting(reader, vesting, now=now) for vesting in vestings)),
        asyncio.gather(*(_sale(reader, account, offering, now) for offering in offerings)),
    )
    return Portfolio(
        account=account,
        money=Units(money),
        credit=Units(credit),
        holdings=tuple(
            holding
            for holding in holdings
            if holding.amount or holding.claimable or holding.claimed
        ),
        vestings=tuple(grants),
        offerings=tuple(
            sale
            for sale in sales
            if sale.bought
            or sale.refundable
            or sale.claimable
            or sale.proceeds
            or sale.view.publisher == account
        ),
        channels=tuple(paying),
        auctions=tuple(
            auction
            for auction in auctions
            if auction.bid
            or auction.claimable
            or auction.proceeds
            or auction.view.publisher == account
        ),
        curves=tuple(curve for curve in curves if curve.bought or curve.view.publisher == account),
        locked=tuple(lock for lock in locked if lock.amount or lock.claimable),
        pooled=tuple(pooled),
        refundable=tuple(refundable),
    )


async def read_channels(
    reader: ChainReader, payer: str, channels: Channels, *, first_block: int
) -> list[ChannelHolding]:
    """Read all channels that somebody ever opened, oldest first."""
    opened = await reader.logs(
        ChannelOpened,
        address=channels.address,
        topics=ChannelOpened.topics(payer=payer),
        first=first_block,
    )
    names = [(log.event.operator, ChannelNumber(log.event.channel)) for log in opened]
    return list(await asyncio.gather(*(_channel(reader, channels, *name) for name in names)))


async def _holding(
    reader: ChainReader, account: str, asset: AssetId, address: str, first_block: int
) -> Holding:
    share = Share(address)
    amount, supply, claimable, symbol, paid = await asyncio.gather(
        reader.read(share.balanceOf(account)),
        reader.read(share.totalSupply()),
        reader.read(share.claimable(account), at="pending"),
        reader.read(share.symbol()),
        reader.logs(
            RevenueClaimed,
            address=address,
            topics=RevenueClaimed.topics(holder=account),
            first=first_block,
        ),
    )
    return Holding(
        asset=asset,
        share=address,
        symbol=symbol,
        amount=Shares(amount),
        supply=Shares(supply),
        claimable=Units(claimable),
        claimed=Units(sum(log.event.amount for log in paid)),
    )


async def _locked(
    reader: ChainReader, account: str, governor: Governor, asset: AssetId, address: str
) -> LockedHolding:
    amount, claimable, symbol = await asyncio.gather(
        reader.read(governor.locked_of(asset, account)),
        reader.read(governor.claimable(asset, account), at="pending"),
        reader.read(Share(address).symbol()),
    )
    return LockedHolding(
        asset=asset,
        share=address,
        symbol=symbol,
        amount=Shares(amount),
        claimable=Units(claimable),
    )


async def _pooled(
    reader: ChainReader, account: str, exchange: Exchange, first_block: int
) -> list[PooledHolding]:
    tokens = await find_pools(reader, exchange, first=first_block)
    liquidity = await reader.read_all(
        [exchange.balanceOf(account, int(token, 16)) for token in tokens]
    )
    earned = await reader.read_all(
        [exchange.claimable(token, account) for token in tokens], at="pending"
    )
    found = []
    for token, part, claimable in zip(tokens, liquidity, earned, strict=True):
        if part or claimable:
            (amount, money), symbol, decimals = await asyncio.gather(
                reader.read(exchange.preview_remove(token, part)),
                reader.read(Share(token).symbol()),
                reader.read(Share(token).decimals()),
            )
            found.append(
                PooledHolding(
                    token=token,
                    symbol=symbol,
                    decimals=decimals,
                    tokens=amount,
                    money=Units(money),
                    claimable=Units(claimable),
                )
            )
    return found


async def _refundable(
    reader: ChainReader, account: str, storefront: Storefront, first_block: int, now: UnixSeconds
) -> list[RefundableOrder]:
    open_ = [
        order
        for order in await orders_of(reader, storefront, account, first=first_block)
        if order.owner == account and not order.proved and not order.void
    ]
    products = {
        access: await read_product(reader, Access(access))
        for access in {order.access for order in open_}
    }
    found = []
    for order in open_:
        product = products[order.access]
        amount = Units(product.price * order.units)
        if amount and now > order.ordered_at + product.serve_window:
            found.append(
                RefundableOrder(
                    access=order.access, symbol=product.symbol, number=order.number, amount=amount
                )
            )
    return found


async def _sale(
    reader: ChainReader, account: str, offering: Offering, now: UnixSeconds
) -> OfferingHolding:
    view, bought, paid, claimable, proceeds, returned = await asyncio.gather(
        read_offering(reader, offering, now=now),
        reader.read(offering.bought(account)),
        reader.read(offering.paid_by(account)),
        reader.read(offering.claimable(account), at="pending"),
        reader.read(offering.proceeds()),
        reader.read(offering.returned()),
    )
    return OfferingHolding(
        view=view,
        bought=Shares(bought),
        refundable=Units(paid if view.stage is Stage.FAILED else 0),
        claimable=Units(claimable),
        proceeds=Units(proceeds if view.publisher == account else 0),
        returned=returned,
    )


async def _auctions(
    reader: ChainReader, account: str, launchpad: Launchpad, first_block: int, now: UnixSeconds
) -> list[AuctionHolding]:
    found = await find_auctions(reader, launchpad, first=first_block)
    return list(await asyncio.gather(*(_auction(reader, account, each, now) for each in found)))


async def _auction(
    reader: ChainReader, account: str, auction: Auction, now: UnixSeconds
) -> AuctionHolding:
    view, bid, bought, claimable, proceeds = await asyncio.gather(
        read_auction(reader, auction, now=now),
        reader.read(auction.bid_of(account)),
        reader.read(auction.bought_by(account)),
        reader.read(auction.claimable(account), at="pending"),
        reader.read(auction.proceeds()),
    )
    return AuctionHolding(
        view=view,
        bid=Units(bid),
        bought=Shares(bought),
        claimable=Units(claimable),
        proceeds=Units(proceeds if view.publisher == account else 0),
    )


async def _curves(
    reader: ChainReader, account: str, launchpad: Launchpad, first_block: int, now: UnixSeconds
) -> list[CurveHolding]:
    found = await find_curves(reader, launchpad, first=first_block)
    return list(await asyncio.gather(*(_curve(reader, account, each, now) for each in found)))


async def _curve(reader: ChainReader, account: str, curve: Curve, now: UnixSeconds) -> CurveHolding:
    view, bought, paid, proceeds = await asyncio.gather(
        read_curve(reader, curve, now=now),
        reader.read(curve.bought(account)),
        reader.read(curve.paid_by(account)),
        reader.read(curve.proceeds()),
    )
    claimable = await reader.read(Share(view.share).claimable(curve.address), at="pending")
    own = view.publisher == account
    return CurveHolding(
        view=view,
        bought=Shares(0 if view.graduated else bought),
        paid=Units(paid),
        claimable=Units(claimable if own else 0),
        proceeds=Units(proceeds if own else 0),
    )


async def _channel(
    reader: ChainReader, channels: Channels, operator: str, channel: ChannelNumber
) -> ChannelHolding:
    _, _, _, balance, available_at = await reader.read(channels.channel_of(operator, channel))
    return ChannelHolding(
        operator=operator,
        channel=channel,
        balance=Units(balance),
        available_at=UnixSeconds(available_at),
    )
