"""The acts of the market: pools that sales open, a curve that graduates, trades, and a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tessera.app import World
from tessera.bindings import Curve, Offering, Share
from tessera.bindings.launchpad import CurveSale, Liquidity
from tessera.chain.sender import Sender
from tessera.demo.market import Listed
from tessera.demo.telling import Narrator, whole
from tessera.ownership import curve as curves
from tessera.ownership import exchange as pools
from tessera.ownership import offering as sales
from tessera.ownership import selling
from tessera.spec.curve import shape_of
from tessera.units import SHARE_DECIMALS, Bps, Shares, Units, UnixSeconds

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
_NONE: Final = Bps(0)
"""Nobody else trades between a quote and its swap here."""
_PROVIDED: Final = 20_000 * _WHOLE
_BOUGHT: Final = 3_000 * _WHOLE
_SOLD: Final = 5_000 * _WHOLE
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
        closing = await curves.close(sender, self._curve, now=self._world.now())
        await curves.claim(sender, self._curve)
        return closing.proceeds

    async def leave(self) -> str:
        """Let providers take the revenue of their pools, and the one who is not locked leave."""
        world, exchange = self._world, self._exchange
        token = self._market[_PARENT].share.address
        earned: list[str] = []
        for name, of in (
            (_PROVIDER, token),
            (self._market[_PARENT].plan.publisher, token),
            (self._market[_BENT].plan.publisher, self._market[_BENT].share.address),
        ):
            claimed = await pools.claim(world.sender(name), exchange, of)
            earned.append(f"{name} {world.currency.shown(claimed.amount)}")
        provider = world.sender(_PROVIDER)
        position = await pools.read_position(world.reader, exchange, token, provider.address)
        left, _ = await pools.remove_liquidity(
            provider, exchange, token, position.liquidity,
            slippage=_NONE, deadline=self._soon(),
        )  # fmt: skip
        return (
            f"{', '.join(earned)}; {_PROVIDER} leaves with {whole(left.tokens)} shares "
            f"and {world.currency.shown(left.currency_amount)}"
        )

    async def _open_pool(self) -> str:
        listed = self._market[_PARENT]
        if isinstance(listed.offering, Offering):
            # Anyone may close a sale that is sold out, and so open the pool that it promised.
            await sales.close(self._world.sender(_BUYER), listed.offering, now=self._world.now())
        return await self._pool_told(listed.share)

    async def _pool_told(self, share: Share) -> str:
        pool = await pools.read_pool(self._world.reader, self._exchange, share.address)
        shown = self._world.currency.shown
        # The price of one is rounded down; it is only told.
        return (
            f"{whole(pool.tokens)} shares and {shown(pool.currency)}, "
            f"{shown(Units(int(pool.price)))} each"
        )

    async def _sell_along_a_curve(self) -> str:
        world, listed = self._world, self._market[_BENT]
        curve = self._curve = await self._open_curve(listed)
        early, late = world.sender(_EARLY), world.sender(_LATE)
        target = (await curves.read_curve(world.reader, curve, now=world.now())).target
        bought = await self._buy(early, curve, Units(target // 3))
        # A part goes back, at what the curve gives.
        back = Shares(bought.shares // 10)
        now = world.now()
        least = await curves.preview_sell(world.reader, curve, back, seller=early.address, now=now)
        paid, _ = await curves.sell(early, curve, listed.share, back, least=least, now=now)
        await self._buy(late, curve, target)
        return (
            f"{_EARLY} buys {whole(bought.shares)} shares and sells {whole(back)} back "
            f"for {world.currency.shown(paid)}, {_LATE} buys up to the target of "
            f"{world.currency.shown(target)}; the pool opens with "
            f"{await self._pool_told(listed.share)}"
        )

    async def _buy(self, buyer: Sender, curve: Curve, spend: Units) -> curves.CurvePurchase:
        now, currency = self._world.now(), self._world.deployment.currency
        least, _ = await curves.preview_buy(
            buyer.reader, curve, spend, buyer=buyer.address, now=now
        )
        return await curves.buy(buyer, curve, currency, spend, least=least, now=now)

    async def _open_curve(self, listed: Listed) -> Curve:
        world, plan = self._world, listed.plan
        shape = shape_of(_CURVE_SHARES, _FIRST_PRICE, _LAST_PRICE)
        begin = world.now()
        sale = CurveSale(
            publisher=world.account(plan.publisher).address,
            virtual_shares=shape.virtual_shares,
            virtual_currency=shape.virtual_currency,
            target=shape.target,
            cap_per_buyer=_CURVE_SHARES,
            start=begin,
            end=begin + _CURVE_S,
            allowed=selling.EVERYBODY,
            liquidity=Liquidity(_POOL_BPS, _STANDARD_TIER, _LOCKED_S),
            surcharge_bps=_SURCHARGE_BPS,
            calm=_CALM_S,
        )
        return await curves.open_curve(
            world.sender(plan.publisher), world.deployment.launchpad, listed.asset, listed.share,
            sale,
        )  # fmt: skip

    async def _provide(self) -> str:
        world, exchange = self._world, self._exchange
        token, sender = self._market[_PARENT].share.address, world.sender(_PROVIDER)
        pool = await pools.read_pool(world.reader, exchange, token)
        # As much money as the shares are worth now, rounded up.
        most = Units(-(-_PROVIDED * pool.currency // pool.tokens))
        added, _ = await pools.add_liquidity(
            sender, exchange, world.deployment.currency, token, _PROVIDED, most,
            slippage=_NONE, deadline=self._soon(),
        )  # fmt: skip
        return (
            f"{whole(added.tokens)} shares of {_PARENT} and "
            f"{world.currency.shown(Units(added.currency_amount))}"
        )

    async def _trade(self) -> str:
        world, exchange, shown = self._world, self._exchange, self._world.currency.shown
        currency = world.deployment.currency
        money, parent = currency.address, self._market[_PARENT].share.address
        bent = self._market[_BENT].share.address
        buyer, seller = world.sender(_BUYER), world.sender(_SELLER)

        wanted = await pools.quote_exact_out(
            world.reader, exchange, currency, money, parent, _BOUGHT, slippage=_NONE
        )
        bought = await pools.swap(buyer, exchange, currency, wanted, deadline=self._soon())
        done = [bought]
        for token in (money, bent):
            quote = await pools.quote_exact_in(
                world.reader, exchange, currency, parent, token, _SOLD, slippage=_NONE
            )
            done.append(await pools.swap(seller, exchange, currency, quote, deadline=self._soon()))
        _, sold, changed = done
        return (
            f"{_BUYER} buys {whole(_BOUGHT)} of {_PARENT} for {shown(Units(bought.amount_in))}, "
            f"{_SELLER} sells {whole(_SOLD)} for {shown(Units(sold.amount_out))} and changes "
            f"{whole(_SOLD)} into {whole(changed.amount_out)} of {_BENT} by two hops"
        )

    def _soon(self) -> UnixSeconds:
        return UnixSeconds(self._world.now() + _MINUTE_S)
