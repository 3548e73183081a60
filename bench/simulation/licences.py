"""A second product: licences for good, which people rent out, resell by orders, and pool."""

from __future__ import annotations

from bench.simulation.evm import CHAIN_ID
from bench.simulation.market import (
    DOLLAR,
    LICENCE_PRICE,
    LICENCE_ROYALTY_BPS,
    NOBODY,
    Actor,
    Limit,
    Market,
)
from bench.simulation.system import DAY
from tessera.errors import InvariantViolation
from tessera.spec.access import rent_cost, royalty_of
from tessera.spec.orders import LimitOrder, order_digest, orders_domain
from tessera.spec.signatures import address_of as key_of


def turn(market: Market, actor: Actor) -> None:
    """Do one thing with licences."""
    way = market.rng.random()
    if way < 0.35:
        _order(market, actor)
    elif way < 0.6:
        _rent(market, actor)
    elif way < 0.8:
        _trade(market, actor)
    else:
        _resell(market, actor)


def _order(market: Market, actor: Actor) -> None:
    """Get a licence that is served: a unit that one has, or a new one."""
    market.allow(actor, market.system.currency, market.licence)
    if market.ledger.of(market.licence, actor.address):
        number = market.attempt("order access", actor, market.licence, "redeem", 1)
    elif market.cash(actor) >= LICENCE_PRICE:
        number = market.attempt("buy and order access", actor, market.licence, "buy_and_redeem", 1)
    else:
        return
    if number is not None:
        market.licences[number] = actor
        market.unserved[number] = None


def _rent(market: Market, actor: Actor) -> None:
    """Rent somebody's licence for some days, at the owner's price."""
    licence = market.licence
    served = [number for number in market.licences if number not in market.unserved]
    if not served:
        return
    number = market.rng.choice(served)
    owner, seconds = market.licences[number], market.rng.randrange(1, 3 * DAY)
    daily = market.rng.randrange(2 * DOLLAR)
    cost = rent_cost(daily, seconds)
    if owner is actor or cost > market.cash(actor):
        return
    market.allow(actor, market.system.currency, licence)
    market.send("offer rent", owner, licence, "offer_rent", number, daily, 3 * DAY)
    before = market.cash(owner)
    if market.attempt("rent", actor, licence, "rent", number, seconds, cost):
        market.unflushed[market.licence_till] = None
        due = cost - royalty_of(cost, LICENCE_ROYALTY_BPS)
        if market.cash(owner) - before != due:
            raise InvariantViolation(
                f"rent of order {number}", found=market.cash(owner) - before, wanted=str(due)
            )


def _trade(market: Market, actor: Actor) -> None:
    """Buy a unit in the pool, or sell one there."""
    licence, exchange, currency = market.licence, market.system.exchange, market.system.currency
    until = market.evm.now + 300
    if market.ledger.of(licence, actor.address):
        market.allow(actor, licence, exchange)
        sides = (licence.address, currency.address)
        shown = exchange.read("preview_exact_in", *sides, 1)
        plan = (*sides, 1, shown, actor.address, until)
        market.attempt("swap exact in", actor, exchange, "swap_exact_in", *plan)
        return
    units = exchange.read("token_reserve", licence.address)
    if units > 1:
        sides = (currency.address, licence.address)
        cost = exchange.read("preview_exact_out", *sides, 1)
        if cost <= market.cash(actor):
            market.allow(actor, currency, exchange)
            plan = (*sides, 1, cost, actor.address, until)
            market.attempt("swap exact out", actor, exchange, "swap_exact_out", *plan)


def _resell(market: Market, actor: Actor) -> None:
    """Fill somebody's order for a unit, or sign one."""
    now, licence, orders = market.evm.now, market.licence, market.system.orders
    market.resales = [one for one in market.resales if one.left and one.order[8] > now + 60]
    if market.ledger.of(licence, actor.address):
        market.allow(actor, licence, orders)
        market.resales.append(_signed(market, actor))
        return
    offers = [one for one in market.resales if one.order[4] <= market.cash(actor)]
    if not offers:
        return
    best = min(offers, key=lambda one: int(one.order[4]))
    market.allow(actor, market.system.currency, orders)
    plan = (best.order, *best.signature, 1, best.order[4])
    if market.attempt("fill order", actor, orders, "fill", *plan):
        market.unflushed[market.licence_till] = None
    best.left = 0


def _signed(market: Market, actor: Actor) -> Limit:
    order = LimitOrder(
        maker=key_of(actor.address),
        sell=key_of(market.licence.address),
        sell_amount=1,
        buy=key_of(market.system.currency.address),
        buy_amount=LICENCE_PRICE * market.rng.randrange(50, 150) // 100,
        taker=key_of(NOBODY),
        series=0,
        salt=market.rng.randbytes(32),
        expires=market.evm.now + 3 * DAY,
    )
    domain = orders_domain(CHAIN_ID, key_of(market.system.orders.address))
    signature = actor.sign(order_digest(domain, order))
    row = tuple(
        "0x" + part.hex() if isinstance(part, bytes) and len(part) == 20 else part for part in order
    )
    return Limit(actor, market.assets[0], row, signature, 1)


__all__ = ["turn"]
