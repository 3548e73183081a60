"""The accountant of each kind of books, alone: nothing in true ones, each lie by its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.unit.demo import fair

from tessera.bindings import (
    access,
    allocation,
    auction,
    channels,
    curve,
    exchange,
    governor,
    launchpad,
    offering,
    orders,
    registry,
    share,
    storefront,
    test_dollar,
)
from tessera.bindings.calls import Event
from tessera.demo.accountant import Entry, Facts
from tessera.demo.accountant.charges import check_charges
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.contributors import check_contributors
from tessera.demo.accountant.pools import check_pools
from tessera.demo.accountant.rights import check_rights
from tessera.demo.accountant.sales import check_sales
from tessera.demo.accountant.votes import check_votes
from tessera.ownership import governance
from tessera.units import Units

Story = tuple[Callable[[], Facts], Callable[[Facts, Checks], Any]]
Lie = Callable[[Facts], Facts]

OFFERING: Story = (fair.offering_books, check_sales)
FAILED: Story = (fair.failed_offering_books, check_sales)
AUCTION: Story = (fair.auction_books, check_sales)
CURVE: Story = (fair.curve_books, check_sales)
POOL: Story = (fair.pool_books, check_pools)
ACCESS: Story = (fair.access_books, check_rights)
VOTES: Story = (fair.governor_books, check_votes)
PARTS: Story = (fair.contributors_books, check_contributors)
CHARGES: Story = (fair.charged_books, check_charges)


def found(story: Story, facts: Facts) -> list[str]:
    checks = Checks()
    story[1](facts, checks)
    assert checks.made
    return [str(difference) for difference in checks.differences]


@pytest.mark.parametrize(
    "story", [OFFERING, FAILED, AUCTION, CURVE, POOL, ACCESS, VOTES, PARTS, CHARGES]
)
def test_true_books_of_every_kind_balance(story: Story) -> None:
    assert found(story, story[0]()) == []


def changed(kind: type[Event], nth: int = 0, *, shift: int = 0, **change: Any) -> Lie:
    """Add to numbers of the nth event of a kind, exchange other fields, or move it in time."""

    def lie(facts: Facts) -> Facts:
        at = [i for i, entry in enumerate(facts.entries) if isinstance(entry.event, kind)][nth]
        entries = list(facts.entries)
        old = entries[at]
        fields = {
            name: getattr(old.event, name) + by if type(by) is int else by
            for name, by in change.items()
        }
        event = msgspec.structs.replace(old.event, **fields)
        entries[at] = Entry(event, old.address, old.time + shift, old.tx)
        return dataclasses.replace(facts, entries=tuple(entries))

    return lie


def dropped(kind: type[Event], nth: int = 0) -> Lie:
    def lie(facts: Facts) -> Facts:
        gone = [entry for entry in facts.entries if isinstance(entry.event, kind)][nth]
        kept = tuple(entry for entry in facts.entries if entry is not gone)
        return dataclasses.replace(facts, entries=kept)

    return lie


def twice(kind: type[Event]) -> Lie:
    def lie(facts: Facts) -> Facts:
        last = [entry for entry in facts.entries if isinstance(entry.event, kind)][-1]
        return dataclasses.replace(facts, entries=(*facts.entries, last))

    return lie


def other(field: str, *path: Any, by: int = 1) -> Lie:
    """Say that the chain has a unit more somewhere."""

    def lie(facts: Facts) -> Facts:
        table = _shifted(getattr(facts, field), path, by)
        return dataclasses.replace(facts, **{field: table})

    return lie


def _shifted(table: Any, path: tuple[Any, ...], by: int) -> Any:
    if not path:
        return table + by
    if isinstance(table, tuple):
        return tuple(_shifted(each, path[1:], by) if at == path[0] else each
                     for at, each in enumerate(table))  # fmt: skip
    return {**table, path[0]: _shifted(table.get(path[0], 0), path[1:], by)}


def held(who: str, by: int = 1) -> Lie:
    def lie(facts: Facts) -> Facts:
        row = facts.shares[fair.SHARE]
        balances = {**row.balances, who: row.balances.get(who, 0) + by}
        row = dataclasses.replace(row, balances=balances)
        return dataclasses.replace(facts, shares={fair.SHARE: row})

    return lie


def another_call(**change: Any) -> Lie:
    """Exchange fields of the last receipt, which was a discounted one."""

    def lie(facts: Facts) -> Facts:
        last = facts.calls[-1]
        fields = {name: getattr(last, name) + by for name, by in change.items()}
        return dataclasses.replace(facts, calls=(*facts.calls[:-1], last._replace(**fields)))

    return lie


def other_terms(facts: Facts) -> Facts:
    """A payer without locked shares says that its call was under the discount's terms."""
    first = facts.calls[0]
    call = first._replace(line=first.line._replace(terms=2), cost=1_545, time=facts.time)
    return dataclasses.replace(facts, calls=(call._replace(version=2),))


def without_a_vote(facts: Facts) -> Facts:
    """The owner of a model that has a Share sets a price by himself."""
    price = registry.Price(1, 0, 0)
    event = registry.EndpointSet(fair.ASSET, fair.OPERATOR, 3, 0, 100, price, "")
    entry = Entry(event, fair.REGISTRY, facts.time, "0xown")
    return dataclasses.replace(facts, entries=(*facts.entries, entry))


@pytest.mark.parametrize(
    ("story", "lie", "rule"),
    [
        (OFFERING, changed(offering.Bought, cost=1), "shares cost their price"),
        (OFFERING, changed(offering.Bought, 1, amount=fair.ONE), "shares cost their price"),
        (OFFERING, changed(offering.Collected, amount=-1), "a sale holds the shares"),
        (OFFERING, changed(offering.PoolOpened, amount=1), "the pool gets its part"),
        (OFFERING, changed(offering.PoolOpened, shares=1), "the pool opens at the closing price"),
        (OFFERING, changed(offering.ProceedsWithdrawn, amount=1), "a sale holds its escrow"),
        (OFFERING, changed(offering.RevenueClaimed, amount=2), "a sale keeps less than a unit"),
        (OFFERING, changed(share.RevenueClaimed, amount=1), "a sale received what its Share"),
        (OFFERING, other("offering_flows", fair.SALE, 1), "a sale passed on what was claimed"),
        (OFFERING, other("balances", fair.SALE), "a sale holds its escrow"),
        (OFFERING, held(fair.SALE), "a sale holds the shares"),
        (FAILED, changed(offering.Refunded, amount=-1), "a sale holds its escrow"),
        (FAILED, twice(offering.Refunded), "a sale holds its escrow"),
        (FAILED, changed(offering.UnsoldReturned, amount=1), "a sale holds the shares"),
        (AUCTION, changed(auction.Bid, amount=1), "an auction closes with all bids"),
        (AUCTION, changed(auction.Bid, 1, shift=9), "bids are never above what all is worth"),
        (AUCTION, changed(auction.Closed, sold=-1), "an auction sells at one price"),
        (AUCTION, changed(auction.Collected, amount=1), "everybody pays the clearing price"),
        (AUCTION, changed(auction.Collected, cost=-1), "a bid is collected whole"),
        (AUCTION, twice(auction.Collected), "a bid is collected whole"),
        (AUCTION, changed(auction.ProceedsWithdrawn, amount=1), "a sale holds its escrow"),
        (CURVE, changed(launchpad.CurveOpened, shares=1), "a curve takes the shares"),
        (CURVE, changed(curve.Bought, amount=1), "the curve's price, bit for bit"),
        (CURVE, changed(curve.Bought, shift=-5), "the curve's price, bit for bit"),
        (CURVE, changed(curve.SoldBack, paid=1), "the curve's price, bit for bit"),
        (CURVE, changed(curve.SoldBack, amount=fair.ONE), "the curve's price, bit for bit"),
        (CURVE, changed(curve.Graduated, raised=-1), "a curve graduates at its target"),
        (CURVE, changed(curve.PoolOpened, shares=1), "the pool opens at the curve's price"),
        (CURVE, changed(curve.PoolOpened, amount=1), "the pool gets its part"),
        (CURVE, changed(curve.ProceedsWithdrawn, amount=1), "a sale holds its escrow"),
        (CURVE, twice(curve.SoldBack), "the twin allows it"),
        (POOL, changed(exchange.PoolOpened, tokens=10**6), "liquidity is the twin's"),
        (POOL, changed(exchange.Bought, tokens=1), "a purchase has the pool's price"),
        (POOL, changed(exchange.Bought, cost=-1), "a purchase has the pool's price"),
        (POOL, changed(exchange.Sold, proceeds=1), "a sale has the pool's price"),
        (POOL, changed(exchange.LiquidityAdded, liquidity=1), "liquidity is the twin's"),
        (POOL, changed(exchange.LiquidityAdded, tokens=-(10**6)), "liquidity"),
        (POOL, changed(exchange.LiquidityRemoved, tokens=1), "liquidity is worth its part"),
        (POOL, changed(exchange.LiquidityRemoved, currency_amount=1), "liquidity is worth"),
        (POOL, twice(exchange.LiquidityRemoved), "the twin allows it"),
        (POOL, changed(exchange.RevenueClaimed, amount=1), "a provider's revenue is the twin's"),
        (POOL, changed(share.RevenueClaimed, amount=1_000), "a provider's revenue is the twin's"),
        (POOL, dropped(exchange.RevenueClaimed, 1), "providers have claimed all but dust"),
        (POOL, other("reserves", fair.SHARE, 1), "a pool's money"),
        (POOL, other("positions", fair.SHARE, fair.SECOND), "liquidity of a provider"),
        (POOL, other("balances", fair.EXCHANGE), "the Exchange holds reserves and dust"),
        (POOL, held(fair.EXCHANGE), "the Exchange holds a pool's tokens"),
        (ACCESS, changed(access.Bought, cost=1), "units cost their price"),
        (ACCESS, changed(access.Transfer, value=1), "units held"),
        (ACCESS, changed(access.Ordered, units=1), "a unit is held, waits or was served"),
        (ACCESS, changed(access.Proved, response=bytes(32)), "a proof is of an answer"),
        (ACCESS, changed(access.Proved, shift=50), "served within the window"),
        (ACCESS, twice(access.Proved), "an order is served or given up once"),
        (ACCESS, changed(access.Refunded, order=-1), "an order is served or given up once"),
        (ACCESS, changed(access.Refunded, shift=-40), "served within the window"),
        (ACCESS, changed(access.Refunded, amount=1), "a refund is the price of its units"),
        (ACCESS, twice(access.Refunded), "an order is served or given up once"),
        (ACCESS, changed(access.RentOffered, daily_price=86_400), "a rent costs its price a day"),
        (ACCESS, changed(access.Rented, cost=1), "a rent costs its price a day"),
        (ACCESS, changed(access.Rented, royalty=1), "the creator's royalty"),
        (ACCESS, changed(test_dollar.Transfer, 4, receiver=fair.BUYER), "a royalty goes to"),
        (ACCESS, changed(orders.Filled, paid=-1), "a fill pays the signed price"),
        (ACCESS, changed(orders.Filled, royalty=-1), "the creator's royalty"),
        (ACCESS, changed(orders.Filled, sold=2), "an order is not filled beyond itself"),
        (ACCESS, changed(test_dollar.Transfer, 7, value=-1), "a seller gets the price less"),
        (ACCESS, other("units", fair.ACCESS, fair.BUYER), "units held"),
        (ACCESS, other("backing", fair.ACCESS), "the chain backs what is backed"),
        (ACCESS, other("balances", fair.ACCESS), "a product holds what backs its units"),
        (ACCESS, other("balances", fair.TILL), "a Till keeps nothing"),
        (ACCESS, other("balances", fair.ORDERS), "the order book holds nothing"),
        (VOTES, changed(governor.Locked, amount=1), "a vote weighs what is locked"),
        (VOTES, changed(governor.Locked, lock=1), "locks are numbered"),
        (VOTES, changed(governor.Voted, weight=1), "a vote weighs what is locked"),
        (VOTES, changed(governor.Voted, support=False), "votes for it"),
        (VOTES, changed(governor.Voted, shift=30), "the twin allows it"),
        (VOTES, changed(governor.Locked, shift=60), "the twin allows it"),
        (VOTES, changed(governor.Executed, shift=-25), "the twin allows it"),
        (VOTES, twice(governor.Executed), "the twin allows it"),
        (VOTES, changed(governor.Unlocked, amount=1), "a lock gives back what was locked"),
        (VOTES, twice(governor.Unlocked), "the twin allows it"),
        (VOTES, changed(governor.RevenueClaimed, amount=1), "what locked shares earned"),
        (VOTES, dropped(governor.RevenueClaimed, 1), "lockers have claimed all but dust"),
        (VOTES, changed(governor.TreasuryDeposited, amount=1), "a treasury is what came"),
        (VOTES, changed(governor.TreasuryPaid, amount=1), "what is executed is what was shown"),
        (VOTES, changed(governor.TreasuryPaid, receiver=fair.BUYER), "what is executed is what"),
        (VOTES, twice(governor.TreasuryPaid), "nothing changes without a vote"),
        (VOTES, dropped(governor.TreasuryPaid), "what was executed was done"),
        (VOTES, changed(registry.DiscountSet, discount_bps=1), "what is executed is what"),
        (VOTES, changed(registry.DiscountSet, min_locked=-1), "what is executed is what"),
        (VOTES, without_a_vote, "nothing changes without a vote"),
        (VOTES, twice(storefront.ProductCreated), "nothing changes without a vote"),
        (VOTES, twice(access.SaleSwitched), "nothing changes without a vote"),
        (VOTES, dropped(access.SaleSwitched), "what was executed was done"),
        (VOTES, changed(access.SaleSwitched, on=True), "what is executed is what was shown"),
        (VOTES, changed(governor.Proposed, 2, action=governance.sale(fair.ACCESS, False)),
         "what is executed is what was shown"),
        (VOTES, changed(governor.Proposed, 3, action=governance.sale(fair.SALE, False)),
         "what is executed is what was shown"),
        (VOTES, changed(governor.Proposed, action=governance.payment(fair.BUYER, Units(1))),
         "what is executed is what was shown"),
        (VOTES, other("treasuries", fair.ASSET), "a treasury is what came"),
        (VOTES, other("locked", fair.ASSET, fair.SECOND), "shares locked"),
        (VOTES, other("votes", (fair.ASSET, 1), 2), "shares that could vote"),
        (VOTES, other("balances", fair.GOVERNOR), "the Governor holds treasuries and dust"),
        (VOTES, held(fair.GOVERNOR), "the Governor holds what is locked"),
        (PARTS, changed(launchpad.AllocationOpened, root=bytes(32)), "shares are set aside for"),
        (PARTS, changed(launchpad.ContributionClaimed, weight=1), "a contributor gets the part"),
        (PARTS, changed(launchpad.ContributionClaimed, account=fair.BUYER), "a part vests for"),
        (PARTS, changed(allocation.HandedOver, amount=1), "a contributor gets the part"),
        (PARTS, changed(allocation.HandedOver, revenue=1), "a part has earned from the first"),
        (PARTS, changed(allocation.HandedOver, 1, leaf=b"\5" * 32), "the twin allows it"),
        (PARTS, dropped(allocation.HandedOver), "a contributor's part leaves what was set aside"),
        (PARTS, dropped(share.RevenueClaimed), "a part has earned from the first"),
        (PARTS, changed(launchpad.ContributionClaimed, 1, weight=10), "the twin allows it"),
        (PARTS, other("balances", fair.ALLOCATION), "an allocation holds that dust"),
        (PARTS, held(fair.ALLOCATION), "what nobody claimed is there"),
        (CHARGES, another_call(cost=1), "a call costs what was listed"),
        (CHARGES, another_call(cost=-376), "a call costs what was listed"),
        (CHARGES, another_call(version=-1), "a call is answered by the newest version"),
        (CHARGES, another_call(time=-50), "a call costs what was listed"),
        (CHARGES, changed(registry.DiscountSet, discount_bps=900), "a call costs what was listed"),
        (CHARGES, changed(registry.DiscountSet, min_locked=1), "a discount is for who locked"),
        (CHARGES, dropped(governor.Locked), "a discount is for who locked"),
        (CHARGES, changed(governor.Locked, shift=90), "a discount is for who locked"),
        (CHARGES, changed(channels.ChannelOpened, 1, payer=fair.BUYER), "a discount is for who"),
        (CHARGES, other_terms, "a discount is for who locked"),
    ],
)  # fmt: skip
def test_a_lie_in_any_of_these_books_is_found(story: Story, lie: Lie, rule: str) -> None:
    told = found(story, lie(story[0]()))
    assert any(line.startswith(rule) for line in told), told
