"""The acts of the market: pools that sales open, a curve that graduates, trades, and a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tessera.app import World
from tessera.bindings import Curve, Offering, Share
from tessera.bindings.curve import Bought, Graduated, ProceedsWithdrawn, SoldBack
from tessera.bindings.exchange import LiquidityAdded, LiquidityRemoved, RevenueClaimed
from tessera.bindings.launchpad import CurveOpened, CurveSale, Liquidity
from tessera.demo.market import Listed
from tessera.demo.telling import Narrator
from tessera.ownership.offering import EVERYBODY, allow
from tessera.spec.curve import shape_of, shares_for_curve
from tessera.units import SHARE_DECIMALS, Units

__all__ = ["Trading"]

_WHOLE: Final = 10**SHARE_DECIMALS
_PARENT, _BENT = "lsa-embed", "sentiment"
_CURVE_SHARES: Final = 200_000 * _WHOLE
_FIRST_PRICE: Final = 3_000
_LAST_PRICE: Final = 9_000
_POOL_BPS: Final = 3_000
_SURCHARGE_BPS: Final = 500
_CALM_S: Final = 60
_CURVE_S: Final = 86_400
_LOCKED_S: Final = 365 * 86_400
_STANDARD_TIER: Final = 1
_MINUTE_S: Final = 60
_EARLY, _LATE = "holder-4", "holder-3"
_BUYER, _SELLER, _PROVIDER = "consumer-1", "holder-2", "holder-4"


class Trading:
    """What is traded of two models' shares.

    Parameters
    ----------
    world
        Where it happens.
    market
        By slug.
    """

    def __init__(self, world: World, market: Mapping[str, Listed]) -> None:
        self._world = world
        self._market = market
        self._exchange = world.deployment.exchange
        self._curve: Curve | None = None

    def names(self) -> dict[str, str]:
        """Name what was made here, by address: shares there earn for the publisher."""
        publisher = self._market[_BENT].plan.publisher
        return {} if self._curve is None else {self._curve.address: f"{publisher} (curve)"}

    async def play(self, narrator: Narrator) -> None:
        """Play the chapter."""
        with narrator.step(f"the sale of {_PARENT} is sold out: its pool opens") as step:
            step.note = await self._open_pool()
        with narrator.step(f"{_BENT} is sold along a curve, and graduates") as step:
            step.note = await self._sell_along_a_curve()
        with narrator.step(f"{_PROVIDER} provides liquidity") as step:
            step.note = await self._provide()
        with narrator.step("shares are bought, sold, and changed into others") as step:
            step.note = await self._trade()

    async def close(self) -> Units:
        """Take out what is the publisher's of a curve that has graduated; base units."""
        if self._curve is None:
            return Units(0)
        sender = self._world.sender(self._market[_BENT].plan.publisher)
        receipt = await sender.send(self._curve.withdraw_proceeds())
        await sender.send(self._curve.return_unsold())
        await sender.send(self._curve.claim())
        return Units(receipt.one_of(ProceedsWithdrawn, address=self._curve.address).amount)

    async def leave(self) -> str:
        """Let providers take the revenue of their pools, and the one who is not locked leave."""
        world, exchange = self._world, self._exchange
        share = self._market[_PARENT].share
        earned: list[str] = []
        for name, of in (
            (_PROVIDER, share),
            (self._market[_PARENT].plan.publisher, share),
            (self._market[_BENT].plan.publisher, self._market[_BENT].share),
        ):
            receipt = await world.sender(name).send(exchange.claim(of.address))
            amount = receipt.one_of(RevenueClaimed, address=exchange.address).amount
            earned.append(f"{name} {world.currency.shown(amount)}")
        provider = world.sender(_PROVIDER)
        held = await world.reader.read(exchange.balanceOf(provider.address, int(share.address, 16)))
        receipt = await provider.send(
            exchange.remove_liquidity(
                share.address, held, 0, 0, provider.address, world.now() + _MINUTE_S
            )
        )
        left = receipt.one_of(LiquidityRemoved, address=exchange.address)
        return (
            f"{', '.join(earned)}; {_PROVIDER} leaves with "
            f"{left.tokens // _WHOLE:,} shares and {world.currency.shown(left.currency_amount)}"
        )

    async def _open_pool(self) -> str:
        listed = self._market[_PARENT]
        if isinstance(listed.offering, Offering):
            # Anyone may.
            await self._world.sender(_BUYER).send(listed.offering.open_pool())
        return await self._pool_told(listed.share)

    async def _pool_told(self, share: Share) -> str:
        tokens, money = await self._world.reader.read(self._exchange.reserves_of(share.address))
        price = self._world.currency.shown(Units(money * _WHOLE // tokens))
        return (
            f"{tokens // _WHOLE:,} shares and {self._world.currency.shown(Units(money))}, "
            f"{price} each"
        )

    async def _sell_along_a_curve(self) -> str:
        world, listed = self._world, self._market[_BENT]
        curve = self._curve = await self._open_curve(listed)
        currency = world.deployment.currency
        early, late = world.sender(_EARLY), world.sender(_LATE)
        target = (await world.reader.read(curve.terms()))[5]
        deadline = world.now() + _MINUTE_S
        await allow(early, currency, curve.address, target // 3)
        receipt = await early.send(curve.buy(target // 3, 0, deadline))
        bought = receipt.one_of(Bought, address=curve.address)
        # A part goes back, at what the curve gives.
        back = bought.amount // 10
        await allow(early, listed.share, curve.address, back)
        receipt = await early.send(curve.sell(back, 0, deadline))
        paid = receipt.one_of(SoldBack, address=curve.address).paid
        await allow(late, currency, curve.address, target)
        receipt = await late.send(curve.buy(target, 0, deadline))
        end = receipt.one_of(Graduated, address=curve.address)
        return (
            f"{_EARLY} buys {bought.amount // _WHOLE:,} shares and sells {back // _WHOLE:,} back "
            f"for {world.currency.shown(Units(paid))}, {_LATE} buys up to the target of "
            f"{world.currency.shown(Units(end.raised))}; the pool opens with "
            f"{await self._pool_told(listed.share)}"
        )

    async def _open_curve(self, listed: Listed) -> Curve:
        world, plan = self._world, listed.plan
        launchpad, sender = world.deployment.launchpad, world.sender(plan.publisher)
        shape = shape_of(_CURVE_SHARES, _FIRST_PRICE, _LAST_PRICE)
        begin = world.now()
        sale = CurveSale(
            publisher=sender.address,
            virtual_shares=shape.virtual_shares,
            virtual_currency=shape.virtual_currency,
            target=shape.target,
            cap_per_buyer=_CURVE_SHARES,
            start=begin,
            end=begin + _CURVE_S,
            allowed=EVERYBODY,
            liquidity=Liquidity(_POOL_BPS, _STANDARD_TIER, _LOCKED_S),
            surcharge_bps=_SURCHARGE_BPS,
            calm=_CALM_S,
        )
        await allow(sender, listed.share, launchpad.address, shares_for_curve(*shape, _POOL_BPS))
        receipt = await sender.send(launchpad.curve(listed.asset, sale))
        return Curve(receipt.one_of(CurveOpened).curve)

    async def _provide(self) -> str:
        world, exchange = self._world, self._exchange
        share, sender = self._market[_PARENT].share, world.sender(_PROVIDER)
        shares = 20_000 * _WHOLE
        tokens, money = await world.reader.read(exchange.reserves_of(share.address))
        most = shares * money // tokens + 1
        await allow(sender, share, exchange.address, shares)
        await allow(sender, world.deployment.currency, exchange.address, most)
        receipt = await sender.send(
            exchange.add_liquidity(
                share.address, shares, most, 0, sender.address, world.now() + _MINUTE_S
            )
        )
        added = receipt.one_of(LiquidityAdded, address=exchange.address)
        return (
            f"{added.tokens // _WHOLE:,} shares of {_PARENT} and "
            f"{world.currency.shown(Units(added.currency_amount))}"
        )

    async def _trade(self) -> str:
        world, exchange = self._world, self._exchange
        currency, parent = world.deployment.currency, self._market[_PARENT].share
        bent, deadline = self._market[_BENT].share, world.now() + _MINUTE_S
        shown = world.currency.shown

        buyer, amount = world.sender(_BUYER), 3_000 * _WHOLE
        cost = await world.reader.read(
            exchange.preview_exact_out(currency.address, parent.address, amount)
        )
        await allow(buyer, currency, exchange.address, cost)
        await buyer.send(
            exchange.swap_exact_out(
                currency.address, parent.address, amount, cost, buyer.address, deadline
            )
        )
        seller, sold = world.sender(_SELLER), 5_000 * _WHOLE
        await allow(seller, parent, exchange.address, 2 * sold)
        proceeds = await world.reader.read(
            exchange.preview_exact_in(parent.address, currency.address, sold)
        )
        await seller.send(
            exchange.swap_exact_in(
                parent.address, currency.address, sold, proceeds, seller.address, deadline
            )
        )
        changed = await world.reader.read(
            exchange.preview_exact_in(parent.address, bent.address, sold)
        )
        await seller.send(
            exchange.swap_exact_in(
                parent.address, bent.address, sold, changed, seller.address, deadline
            )
        )
        return (
            f"{_BUYER} buys 3,000 of {_PARENT} for {shown(Units(cost))}, {_SELLER} sells 5,000 for "
            f"{shown(Units(proceeds))} and changes 5,000 into {changed // _WHOLE:,} of {_BENT} "
            "by two hops"
        )
