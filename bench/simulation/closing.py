"""The end: everybody claims and leaves, and every unit that stays behind gets a name."""

from __future__ import annotations

from dataclasses import dataclass

from bench.simulation.actors import let_go
from bench.simulation.evm import NOBODY, Contract
from bench.simulation.keepers import close_sales, flush, govern, serve, settle
from bench.simulation.market import Actor, Market
from bench.simulation.system import (
    DAY,
    EXECUTION_WINDOW,
    EXIT_DELAY,
    SERVE_WINDOW,
    TIMELOCK,
    VOTING_TIME,
    WITHDRAW_DELAY,
)
from tessera.errors import InvariantViolation

_FRACTION = 2**32


@dataclass(frozen=True, slots=True)
class Remainder:
    """What stays in a contract for good: base units of the currency, or raw units of a token."""

    contract: str
    token: str
    what: str
    amount: int


def leave(market: Market) -> None:
    """Let everybody out: orders, channels, votes, pools, vestings, sales, revenue."""
    evm, system, keeper = market.evm, market.system, market.keeper
    evm.pass_time(max(0, max(asset.sale_ends for asset in market.assets) - evm.now))
    _end_sales(market)
    settle(market, most=len(market.channels))
    _leave_product(market)
    for channel in market.channels.values():
        market.send(
            *("request withdrawal", channel.consumer, system.channels, "request_withdrawal"),
            *(channel.operator.address, channel.number),
        )
    evm.pass_time(WITHDRAW_DELAY)
    for channel in market.channels.values():
        left = system.channels.read("channel_of", channel.operator.address, channel.number)[3]
        if left:
            market.send(
                *("withdraw from channel", channel.consumer, system.channels, "withdraw"),
                *(channel.operator.address, channel.number),
            )
    _flush_everything(market)
    govern(market)
    evm.pass_time(VOTING_TIME + TIMELOCK + EXIT_DELAY + EXECUTION_WINDOW + 1)
    _unlock_everything(market)
    # Locked liquidity, vestings, and the last stream of revenue: all of them end within this.
    evm.pass_time(40 * DAY)
    _leave_pools(market)
    for asset in market.assets:
        for vesting in asset.vestings:
            owner = market.everybody[vesting.read("schedule")[1]]
            market.send("release vesting", keeper, vesting, "release")
            market.send("claim from vesting", owner, vesting, "claim")
    _claim_everything(market)


def _end_sales(market: Market) -> None:
    close_sales(market)
    for _ in market.contributors:
        market.claim_next_part()
    for asset in market.assets:
        while asset.buyers and asset.sale.name != "Curve":
            close_sales(market)
        sale, publisher = asset.sale, asset.publisher
        waits = sale.name == "Offering" and not sale.read("returned")
        if waits or market.ledger.of(asset.share, sale.address):
            market.send("return unsold", market.keeper, sale, "return_unsold")
        if sale.read("proceeds"):
            market.send("withdraw proceeds", publisher, sale, "withdraw_proceeds")


def _leave_product(market: Market) -> None:
    serve(market)
    market.evm.pass_time(SERVE_WINDOW + 1)
    for number, owner in list(market.orders.items()):
        market.send("refund access", owner, market.product, "refund", number)
        del market.orders[number]
    market.send("flush product", market.keeper, market.product, "flush")
    for number in list(market.unserved):
        owner = market.licences.pop(number)
        market.send("refund access", owner, market.licence, "refund", number)
        del market.unserved[number]
    market.send("flush product", market.keeper, market.licence, "flush")


def _flush_everything(market: Market) -> None:
    channels = market.system.channels
    flush(market)
    for number in [market.parent, *(asset.number for asset in market.assets)]:
        if channels.read("pending_of", number):
            market.send("flush income", market.keeper, channels, "flush", number)
    for address in sorted({*market.everybody, *_network(market)}):
        if channels.read("credit_of", address):
            who = market.everybody.get(address) or _outsider(address)
            market.send("withdraw credit", who, channels, "withdraw_credit")


def _network(market: Market) -> tuple[str, ...]:
    registry = market.system.registry
    return registry.read("commons"), registry.read("validators")


def _outsider(address: str) -> Actor:
    """Whoever the network's fee belongs to: an address is all that the books need."""
    actor = Actor("network", "network", 0.0)
    actor.address = address
    return actor


def _unlock_everything(market: Market) -> None:
    governor = market.system.governor
    for (locked, number), owner in list(market.locks.items()):
        backed = let_go(market, locked, number)
        market.send("unlock", owner, governor, "unlock", locked, number, backed)
    market.locks.clear()
    for asset in market.assets:
        for actor in market.everybody.values():
            if governor.read("claimable", asset.number, actor.address):
                market.send("claim as locker", actor, governor, "claim", asset.number)


def _leave_pools(market: Market) -> None:
    exchange = market.system.exchange
    units = market.ledger.liquidity(market.licence)
    for address in [who for who in market.ledger.balances[units] if who != NOBODY]:
        plan = (market.licence.address, market.ledger.of(units, address), 0, 0, address)
        market.send(
            *("remove liquidity", market.everybody[address], exchange, "remove_liquidity"),
            *(*plan, market.evm.now + 60),
        )
    for asset in market.assets:
        if not asset.prices:
            continue
        name = market.ledger.liquidity(asset.share)
        providers = [who for who in market.ledger.balances[name] if who != NOBODY]
        for address in providers:
            actor = market.everybody[address]
            if exchange.read("claimable", asset.share.address, address):
                market.send("claim as provider", actor, exchange, "claim", asset.share.address)
            held = market.ledger.of(name, address)
            if held:
                market.send(
                    *("remove liquidity", actor, exchange, "remove_liquidity"),
                    *(asset.share.address, held, 0, 0, address, market.evm.now + 60),
                )


def _claim_everything(market: Market) -> None:
    for asset in market.assets:
        sale = asset.sale
        if sale.name != "Curve":
            for actor in market.everybody.values():
                if sale.read("claimable", actor.address):
                    market.send("claim from sale", actor, sale, "claim")
        elif asset.share.read("claimable", sale.address):
            market.send("claim from sale", asset.publisher, sale, "claim")
        for address in market.ledger.balances[asset.share.address]:
            if address in market.everybody and asset.share.read("claimable", address):
                actor = market.everybody[address]
                market.send("claim revenue", actor, asset.share, "claim")


def remainders(market: Market) -> list[Remainder]:
    """Name everything that nobody can take any more, and prove that the names say all of it.

    Raises
    ------
    InvariantViolation
        A unit is left without a name, or missing.
    """
    found = [*_money(market), *_shares(market)]
    currency = market.system.currency
    books = {currency.address: "currency"}
    books[market.licence.address] = "licences"
    books.update({asset.share.address: f"shares of {asset.name}" for asset in market.assets})
    people = {*market.everybody, *_network(market)}
    for token, name in books.items():
        left = sum(row.amount for row in found if row.token == name)
        held = sum(market.ledger.of(token, who) for who in people)
        supply = market.ledger.supply[token]
        if held + left != supply:
            raise InvariantViolation(
                f"conserved: {name} in the end",
                found=f"{held} with people and {left} named remainders",
                wanted=f"{supply} in all",
            )
    return [row for row in found if row.amount]


def _money(market: Market) -> list[Remainder]:
    system, currency = market.system, market.system.currency
    rows = [_of(market, "Channels", system.channels, "splits that do not divide", "obligations")]
    rows.append(_of(market, "Access", market.product, "backing of units", "backing"))
    rows.append(_of(market, "Access", market.licence, "backing of licences", "backing"))
    _, pooled = system.exchange.read("reserves_of", market.licence.address)
    what = "the liquidity that belongs to nobody, and what rounding gave it"
    rows.append(Remainder("Exchange, pool of licences", "currency", what, pooled))
    treasuries = 0
    for asset in market.assets:
        share = asset.share
        fractions = share.read("obligations")
        _must_be_small(market, f"Share of {asset.name}", fractions)
        rows.append(
            Remainder(
                f"Share of {asset.name}",
                "currency",
                "fractions of a unit, on every account that ever held",
                fractions,
            )
        )
        tokens, money = market.reserves(asset)
        received, paid = system.exchange.read("revenue_of", share.address) if tokens else (0, 0)
        label = f"Exchange, pool of {asset.name}"
        burnt = "the liquidity that belongs to nobody"
        rows.append(Remainder(label, "currency", f"{burnt}, and what rounding gave it", money))
        _must_be_small(market, label, received - paid)
        rows.append(Remainder(label, "currency", "fractions of revenue", received - paid))
        treasury = system.governor.read("treasury_of", asset.number)
        treasuries += treasury
        rows.append(Remainder("Governor", "currency", f"treasury of {asset.name}", treasury))
        if asset.sale.name != "Curve":
            left = asset.sale.read("received") - asset.sale.read("distributed")
            _must_be_small(market, f"sale of {asset.name}", left)
            rows.append(
                Remainder(f"sale of {asset.name}", "currency", "fractions of revenue", left)
            )
        else:
            rows.append(
                Remainder(
                    f"sale of {asset.name}",
                    "currency",
                    "fractions of shares sold back",
                    market.ledger.of(currency, asset.sale.address),
                )
            )
    reserved = system.governor.read("reserved", currency.address)
    _must_be_small(market, "Governor", reserved - treasuries)
    rows.append(Remainder("Governor", "currency", "fractions of revenue", reserved - treasuries))
    allocation = market.ledger.of(currency, market.allocation)
    rows.append(Remainder("Allocation", "currency", "fractions of revenue", allocation))
    return rows


def _shares(market: Market) -> list[Remainder]:
    units, _ = market.system.exchange.read("reserves_of", market.licence.address)
    what = "the liquidity that belongs to nobody, and what rounding gave it"
    rows = [Remainder("Exchange, pool of licences", "licences", what, units)]
    for asset in market.assets:
        tokens, _ = market.reserves(asset)
        token = f"shares of {asset.name}"
        what = "the liquidity that belongs to nobody, and what rounding gave it"
        rows.append(Remainder(f"Exchange, pool of {asset.name}", token, what, tokens))
        for vesting in asset.vestings:
            held = market.ledger.of(asset.share, vesting.address)
            rows.append(Remainder("Vesting", token, "locked", held))
    return rows


def _of(market: Market, label: str, contract: Contract, what: str, view: str) -> Remainder:
    amount = contract.read(view)
    if label == "Channels":
        # One split leaves less than a unit for each of those it names.
        _must_be_small(market, label, amount)
    return Remainder(label, "currency", what, amount)


def _must_be_small(market: Market, where: str, amount: int) -> None:
    """Fractions are less than one base unit for each account there is."""
    most = 2 * len(market.everybody) + 64
    if not 0 <= amount <= most:
        raise InvariantViolation(
            f"can_always_claim: {where}",
            found=f"{amount} base units left when everybody had left",
            wanted=f"fractions alone, {most} or fewer",
        )


__all__ = ["Remainder", "leave", "remainders"]
