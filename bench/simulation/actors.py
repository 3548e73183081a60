"""What people do in the market, each by their role: one turn is one decision.

Everybody reads prices and limits from the chain, as a wallet would, and sends what follows from
them. A refusal is counted and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.simulation import licences
from bench.simulation.evm import CHAIN_ID
from bench.simulation.market import (
    DOLLAR,
    NOBODY,
    SHARE,
    SUPPLY,
    Actor,
    Asset,
    Channel,
    Limit,
    Market,
)
from bench.simulation.system import DAY
from tessera.spec.orders import LimitOrder, order_digest, orders_domain
from tessera.spec.signatures import address_of as key_of

# A lock is let go by at most so many proposals in one call.
MOST_BACKED = 16
# Voting, waiting or ready.
_OPEN = 0b1101
_LEAST_TRADE = DOLLAR
_DEPOSIT = 2_000 * DOLLAR


def act(market: Market, actor: Actor) -> None:
    """Let somebody take a turn."""
    if market.chance(0.06) and _leave_something(market, actor):
        return
    _ROLES[actor.role](market, actor)


# --- First sales ----------------------------------------------------------------------------------


def _buy_first(market: Market, actor: Actor, part: float) -> bool:
    """Buy in a first sale that is open, if there is one."""
    now = market.evm.now
    running = [
        asset
        for asset in market.assets
        if now + 1 < asset.sale_ends and not asset.prices and not _is_over(asset)
    ]
    if not running:
        return False
    asset = market.rng.choice(running)
    spend = int(market.cash(actor) * part)
    if spend < _LEAST_TRADE:
        return False
    sale, currency = asset.sale, market.system.currency
    market.allow(actor, currency, sale)
    if sale.name == "Offering":
        amount = min(spend * SHARE // DOLLAR, sale.read("unsold"))
        done = amount and market.attempt("buy at fixed price", actor, sale, "buy", amount)
    elif sale.name == "Auction":
        # Most people wait for a price that they like.
        if sale.read("price_at", now) > DOLLAR + int(2 * DOLLAR * actor.temper):
            return False
        done = market.attempt("bid in auction", actor, sale, "bid", spend)
    else:
        shares, _ = sale.read("preview_buy", spend)
        least = shares * 95 // 100
        done = market.attempt("buy on curve", actor, sale, "buy", spend, least, now + 60)
        if sale.read("graduated"):
            note_opening(market, asset)
    if done:
        asset.buyers[actor.address] = actor
    return bool(done)


def _is_over(asset: Asset) -> bool:
    sale = asset.sale
    if sale.name == "Auction":
        return bool(sale.read("is_over"))
    if sale.name == "Curve":
        return bool(sale.read("graduated"))
    return bool(sale.read("unsold") == 0)


def note_opening(market: Market, asset: Asset) -> None:
    """Remember the first price of a pool."""
    tokens, money = market.reserves(asset)
    if tokens and not asset.prices:
        asset.prices.append((market.evm.now, money * SHARE // tokens))
        asset.recent.append(asset.price)


def _sell_back(market: Market, actor: Actor) -> bool:
    """Sell back to the curve what was bought there."""
    for asset in market.assets:
        if asset.sale.name == "Curve" and not asset.prices:
            held = market.ledger.of(asset.share, actor.address)
            amount = min(held, asset.sale.read("bought", actor.address)) // 2
            if amount:
                market.allow(actor, asset.share, asset.sale)
                until = market.evm.now + 60
                return bool(
                    market.attempt("sell to curve", actor, asset.sale, "sell", amount, 0, until)
                )
    return False


# --- Trading --------------------------------------------------------------------------------------


def _open_pools(market: Market) -> list[Asset]:
    return [asset for asset in market.assets if asset.prices]


def _trade(market: Market, actor: Actor, asset: Asset, buys: bool, part: float) -> bool:
    """Swap a part of the cash, or of the shares; at most 3 % worse than shown."""
    exchange, currency = market.system.exchange, market.system.currency
    given, got = (currency, asset.share) if buys else (asset.share, currency)
    reserve = market.reserves(asset)[1 if buys else 0]
    amount = min(int(market.ledger.of(given, actor.address) * part), reserve // 10)
    if amount < (_LEAST_TRADE if buys else SHARE // 100):
        return False
    market.allow(actor, given, exchange)
    sides, until = (given.address, got.address), market.evm.now + 300
    shown = exchange.read("preview_exact_in", *sides, amount)
    if market.chance(0.2):
        # As much, said the other way round: exactly what comes out, and a limit on what goes in.
        wanted = max(1, shown * 97 // 100)
        done = market.attempt(
            *("swap exact out", actor, exchange, "swap_exact_out"),
            *(*sides, wanted, amount, actor.address, until),
        )
    else:
        done = market.attempt(
            *("swap exact in", actor, exchange, "swap_exact_in"),
            *(*sides, amount, shown * 97 // 100, actor.address, until),
        )
    if done:
        market.note_trades(market.logs)
    return bool(done)


def _trade_across(market: Market, actor: Actor) -> bool:
    """Swap one share for another, through the currency in between."""
    pools = _open_pools(market)
    if len(pools) < 2:
        return False
    one, other = market.rng.sample(pools, 2)
    exchange = market.system.exchange
    amount = market.ledger.of(one.share, actor.address) // 4
    if amount < SHARE:
        return False
    market.allow(actor, one.share, exchange)
    sides = (one.share.address, other.share.address)
    shown = exchange.read("preview_exact_in", *sides, amount)
    until = market.evm.now + 300
    done = market.attempt(
        *("swap two hops", actor, exchange, "swap_exact_in"),
        *(*sides, amount, shown * 97 // 100, actor.address, until),
    )
    if done:
        market.note_trades(market.logs)
    return bool(done)


def _noise(market: Market, actor: Actor) -> None:
    if _buy_first(market, actor, 0.05 + 0.15 * actor.temper):
        return
    if market.chance(0.1) and _sell_back(market, actor):
        return
    if market.chance(0.1) and _trade_across(market, actor):
        return
    pools = _open_pools(market)
    if pools:
        asset = market.rng.choice(pools)
        _trade(market, actor, asset, market.chance(0.5), 0.01 + 0.1 * market.rng.random())


def _momentum(market: Market, actor: Actor) -> None:
    for asset in _open_pools(market):
        if len(asset.recent) < 20:
            continue
        before, now = asset.recent[0], asset.price
        if now * 100 > before * 102 and _trade(market, actor, asset, True, 0.15 * actor.temper):
            return
        if now * 100 < before * 98 and _trade(market, actor, asset, False, 0.5 * actor.temper):
            return
    _buy_first(market, actor, 0.1)


def _value(market: Market, actor: Actor) -> None:
    """Compare the price with the revenue of the last days, at so many years of it as they like."""
    for asset in market.rng.sample(market.assets, len(market.assets)):
        fair = market.fair_price(asset, 0.5 + 1.5 * actor.temper)
        if not asset.prices or not fair:
            continue
        if asset.price * 10 < fair * 9:
            if _fill(market, actor, asset) or _trade(market, actor, asset, True, 0.2):
                return
        elif asset.price * 10 > fair * 11 and _trade(market, actor, asset, False, 0.3):
            return
    _buy_first(market, actor, 0.2)


def _provider(market: Market, actor: Actor) -> None:
    pools = _open_pools(market)
    if not pools:
        _buy_first(market, actor, 0.3)
        return
    asset, exchange = market.rng.choice(pools), market.system.exchange
    share, currency, until = asset.share, market.system.currency, market.evm.now + 300
    held = market.ledger.balances[market.ledger.liquidity(share)][actor.address]
    if held and market.chance(0.3):
        part = held if market.chance(0.3) else held // 3
        market.attempt(
            *("remove liquidity", actor, exchange, "remove_liquidity"),
            *(share.address, part, 0, 0, actor.address, until),
        )
    elif held and market.chance(0.4):
        market.attempt("claim as provider", actor, exchange, "claim", share.address)
    else:
        shares = market.ledger.of(share, actor.address) // 2
        if shares < SHARE:
            _trade(market, actor, asset, True, 0.2)
            return
        for token in (share, currency):
            market.allow(actor, token, exchange)
        money = market.cash(actor) // 2
        market.attempt(
            *("add liquidity", actor, exchange, "add_liquidity"),
            *(share.address, shares, money, 0, actor.address, until),
        )


# --- Signed orders --------------------------------------------------------------------------------


def _offer(market: Market, actor: Actor, asset: Asset) -> bool:
    """Sign an order that sells shares a little above the pool's price. Costs no gas."""
    held = market.ledger.of(asset.share, actor.address)
    amount = held // 4
    if amount < SHARE or not asset.price:
        return False
    price = asset.price * (1_000 + market.rng.randrange(0, 80)) // 1_000
    market.allow(actor, asset.share, market.system.orders)
    order = LimitOrder(
        maker=key_of(actor.address),
        sell=key_of(asset.share.address),
        sell_amount=amount,
        buy=key_of(market.system.currency.address),
        buy_amount=max(1, amount * price // SHARE),
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
    market.limits.append(Limit(actor, asset, row, signature, amount))
    return True


def _fill(market: Market, actor: Actor, asset: Asset) -> bool:
    """Fill the cheapest order of an asset that is cheaper than the pool."""
    now = market.evm.now
    market.limits = [one for one in market.limits if one.left and one.order[8] > now + 60]
    offers = [
        one
        for one in market.limits
        if one.asset is asset
        and one.maker is not actor
        and one.order[4] * SHARE <= asset.price * one.order[2]
    ]
    if not offers:
        return False
    best = min(offers, key=lambda one: one.order[4] * SHARE // one.order[2])
    has = market.ledger.of(asset.share, best.maker.address)
    wish = market.cash(actor) // 4 * best.order[2] // best.order[4]
    amount = min(best.left, has, wish)
    if amount < SHARE // 100:
        best.left = best.left if has else 0
        return False
    market.allow(actor, market.system.currency, market.system.orders)
    most = amount * best.order[4] // best.order[2] + 1
    done = market.attempt(
        *("fill order", actor, market.system.orders, "fill"),
        *(best.order, *best.signature, amount, most),
    )
    best.left = best.left - amount if done else 0
    return bool(done)


# --- Consumers ------------------------------------------------------------------------------------


def _consumer(market: Market, actor: Actor) -> None:
    """Pay for answers: by voucher, by a plain transfer to a Till, or with a pack of calls."""
    if market.chance(0.15):
        licences.turn(market, actor)
        return
    asset = _wanted(market)
    amount = int(DOLLAR * 100 * asset.popularity * (0.2 + market.rng.random()))
    way = market.rng.random()
    if way < 0.65:
        _pay_by_voucher(market, actor, asset, amount)
    elif way < 0.8:
        key = (asset.number, asset.operator.address, asset.terms)
        if key not in market.tills:
            market.tills[key] = market.system.channels.read("till_of", *key)
        if amount <= market.cash(actor):
            currency = market.system.currency
            market.send("pay a till", actor, currency, "transfer", market.tills[key], amount)
            market.unflushed[key] = None
    elif market.cash(actor) >= 50 * DOLLAR:
        market.allow(actor, market.system.currency, market.product)
        units = 1 + market.rng.randrange(8)
        number = market.attempt(
            "buy and order access", actor, market.product, "buy_and_redeem", units
        )
        if number is not None:
            # The contract numbers from 1, so an answer is never mistaken for none.
            market.orders[number] = actor
            if market.chance(0.2):
                market.never_served.add(number)


def _wanted(market: Market) -> Asset:
    for asset in market.assets:
        # What people like changes slowly.
        asset.popularity *= 1 + 0.02 * (market.rng.random() - 0.5)
        asset.popularity = min(3.0, max(0.2, asset.popularity))
    weights = [asset.popularity for asset in market.assets]
    return market.rng.choices(market.assets, weights)[0]


def _pay_by_voucher(market: Market, actor: Actor, asset: Asset, amount: int) -> None:
    key = (actor.address, asset.operator.address)
    channels = market.system.channels
    channel = market.channels.get(key)
    if channel is None or channel.signed + amount > channel.deposit:
        deposit = min(_DEPOSIT, market.cash(actor) // 2)
        if deposit < amount:
            return
        market.allow(actor, market.system.currency, channels)
        if channel is None:
            salt = market.rng.randbytes(32)
            number = market.send(
                *("open channel", actor, channels, "open"),
                *(asset.operator.address, salt, deposit, actor.address, []),
            )
            channel = Channel(actor, asset.operator, number, deposit)
            market.channels[key] = channel
        else:
            market.send(
                *("top up channel", actor, channels, "top_up"),
                *(asset.operator.address, channel.number, deposit),
            )
            channel.deposit += deposit
    till = (asset.number, asset.terms)
    channel.lines[till] = channel.lines.get(till, 0) + amount


# --- Holders --------------------------------------------------------------------------------------


def _holder(market: Market, actor: Actor) -> None:
    if _buy_first(market, actor, 0.3):
        return
    pools = _open_pools(market)
    owned = [a for a in market.assets if market.ledger.of(a.share, actor.address) >= SHARE]
    if not owned:
        if pools:
            _trade(market, actor, market.rng.choice(pools), True, 0.3)
        return
    asset = market.rng.choice(owned)
    held = market.ledger.of(asset.share, actor.address)
    way = market.rng.random()
    if way < 0.3:
        market.attempt("claim revenue", actor, asset.share, "claim")
    elif way < 0.5:
        receiver = market.rng.choice(market.people)
        market.send("transfer shares", actor, asset.share, "transfer", receiver.address, held // 10)
    elif way < 0.65:
        _lock(market, actor, asset, held // 2)
    elif way < 0.8:
        _vote(market, actor, asset)
    elif way < 0.9:
        market.attempt("claim as locker", actor, market.system.governor, "claim", asset.number)
    else:
        _offer(market, actor, asset)


def _leave_something(market: Market, actor: Actor) -> bool:
    """Take money off the table, whoever they are."""
    for asset in market.assets:
        if market.ledger.of(asset.share, actor.address) and asset.share.read(
            "claimable", actor.address
        ):
            return bool(market.attempt("claim revenue", actor, asset.share, "claim"))
    return False


# --- Votes ----------------------------------------------------------------------------------------


def _lock(market: Market, actor: Actor, asset: Asset, amount: int) -> None:
    governor = market.system.governor
    market.allow(actor, asset.share, governor)
    number = market.attempt("lock", actor, governor, "lock", asset.number, amount)
    if number is not None:
        market.locks[asset.number, number] = actor


def _vote(market: Market, actor: Actor, asset: Asset) -> None:
    """Vote on what is open, or propose something, or take an old lock back."""
    governor = market.system.governor
    mine = [
        number
        for (number_of_asset, number), owner in market.locks.items()
        if owner is actor and number_of_asset == asset.number
    ]
    if not mine:
        _lock(market, actor, asset, market.ledger.of(asset.share, actor.address) // 2)
        return
    for number_of_asset, proposal in market.proposals:
        if number_of_asset != asset.number:
            continue
        fresh = [
            lock for lock in mine if not governor.read("vote_of", asset.number, proposal, lock)
        ]
        support = market.chance(0.8)
        if fresh and market.attempt(
            "vote", actor, governor, "vote", asset.number, proposal, support, fresh[:4]
        ):
            if support:
                for number in fresh[:4]:
                    market.backed.setdefault((asset.number, number), []).append(proposal)
            return
    if market.chance(0.5):
        _unlock(market, actor, asset, mine[0])
    else:
        propose(market, actor, asset)


def _unlock(market: Market, actor: Actor, asset: Asset, number: int) -> None:
    backed = let_go(market, asset.number, number)
    governor = market.system.governor
    amount = market.attempt("unlock", actor, governor, "unlock", asset.number, number, backed)
    if amount is not None:
        del market.locks[asset.number, number]
        market.backed.pop((asset.number, number), None)


def let_go(market: Market, asset: int, number: int) -> list[int]:
    """Free a lock of proposals that are over, but for the last few that `unlock` takes itself."""
    governor, backed = market.system.governor, market.backed.get((asset, number), [])
    over = [each for each in backed if governor.read("state_of", asset, each) & _OPEN == 0]
    while len(over) > MOST_BACKED:
        some, over = over[:MOST_BACKED], over[MOST_BACKED:]
        market.send("let go", market.keeper, governor, "let_go", asset, number, some)
        backed[:] = [each for each in backed if each not in some]
    return over


def propose(market: Market, actor: Actor, asset: Asset) -> None:
    """Propose another price list, a discount, or a payment out of the treasury."""
    governor = market.system.governor
    held = governor.read("locked_of", asset.number, actor.address)
    if held * 100 < SUPPLY:
        return
    treasury = governor.read("treasury_of", asset.number)
    nothing = ("", "", bytes(32))
    endpoint = (NOBODY, 0, (0, 0, 0), "")
    discount, payment = (0, 0), (NOBODY, 0)
    if treasury and market.chance(0.5):
        kind, payment = 32, (actor.address, treasury // 2)
    elif market.chance(0.5):
        kind, discount = 8, (1_000, SUPPLY // 1_000)
        endpoint = (asset.operator.address, 0, (0, 0, 0), "")
    else:
        kind = 2
        price = (1_000 + market.rng.randrange(1_000), 0, 0)
        cut = market.system.registry.read("largest_cut_of", asset.number)
        endpoint = (asset.operator.address, cut, price, "https://example.org")
    action = (
        kind,
        (bytes(32), 0, ""),
        endpoint,
        discount,
        (nothing[2], nothing[0], nothing[1]),
        payment,
        (0, 0),
        (NOBODY, 0, 0, 0, 0, 0, 0, 0, 0, 0, bytes(32), "", "", ""),
        (NOBODY, False),
    )
    number = market.attempt(
        "propose", actor, governor, "propose", asset.number, action, "a proposal of the simulation"
    )
    if number is not None:
        market.proposals[asset.number, number] = action


_ROLES: dict[str, Callable[[Market, Actor], None]] = {
    "noise": _noise,
    "momentum": _momentum,
    "value": _value,
    "provider": _provider,
    "consumer": _consumer,
    "holder": _holder,
}

__all__ = ["act", "let_go", "note_opening", "propose"]
