"""First sales: what was paid for which shares, and that a sale keeps nothing that is somebody's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tessera.bindings import auction, curve, launchpad, offering, registry, share
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import Entry, Facts
from tessera.errors import TransactionReverted
from tessera.spec.auction import AuctionSale, price_at
from tessera.spec.curve import CurveModel, CurveSale
from tessera.spec.offering import WHOLE_SHARE, cost_of, pool_part
from tessera.spec.signatures import address_of

__all__ = ["check_sales"]


@dataclass(slots=True)
class _Sale:
    """One sale of any kind, written again from its events.

    Attributes
    ----------
    asset, liquidity_bps
        What is sold, and the part of the proceeds that opens its pool.
    money, shares
        Base units and raw shares that must be there now.
    raised, sold
        Of all purchases.
    earners
        Whose shares earn while they lie there.
    pulled, passed_on
        Revenue that came from the Share, and that was claimed.
    """

    asset: int
    liquidity_bps: int
    shares: int
    money: int = 0
    raised: int = 0
    sold: int = 0
    earners: set[str] = field(default_factory=set)
    pulled: int = 0
    passed_on: int = 0


class _Replay:
    def __init__(self, facts: Facts, checks: Checks) -> None:
        self._facts = facts
        self._checks = checks
        self.sales: dict[str, _Sale] = {}
        self.offered: dict[str, launchpad.Sale] = {}
        self.auctions: dict[str, AuctionSale] = {}
        self.curves: dict[str, CurveModel] = {}
        self._bids: dict[str, Counter[str]] = {}

    def take(self, entry: Entry) -> None:
        event = entry.event
        match event:
            case launchpad.OfferingOpened(sale=terms):
                self.offered[event.offering] = terms
                self._open(event.offering, event, terms.for_sale, terms.liquidity.bps)
            case launchpad.AuctionOpened(sale=fall):
                self.auctions[event.auction] = AuctionSale(
                    address_of(event.publisher), fall.first_price, fall.lowest_price,
                    fall.for_sale, fall.soft_cap, fall.cap_per_buyer, fall.start, fall.end,
                    fall.liquidity.bps,
                )  # fmt: skip
                self._bids[event.auction] = Counter()
                self._open(event.auction, event, fall.for_sale, fall.liquidity.bps)
            case launchpad.CurveOpened(sale=bent):
                self.curves[event.curve] = CurveModel(
                    CurveSale(
                        address_of(event.publisher),
                        bent.virtual_shares,
                        bent.virtual_currency,
                        bent.target,
                        bent.cap_per_buyer,
                        bent.start,
                        bent.end,
                        bent.liquidity.bps,
                        bent.surcharge_bps,
                        bent.calm,
                    )
                )
                self.sales[event.curve] = _Sale(
                    event.asset, bent.liquidity.bps, self.curves[event.curve].unsold
                )
                self._same("a curve takes the shares that it needs", event.curve,
                           event.shares, self.sales[event.curve].shares)  # fmt: skip
            case share.RevenueClaimed(holder=holder) if holder in self.sales:
                self.sales[holder].pulled += event.amount
            case _ if entry.address in self.offered:
                self._offering(entry, self.sales[entry.address], self.offered[entry.address])
            case _ if entry.address in self.auctions:
                self._auction(entry, self.sales[entry.address], self.auctions[entry.address])
            case _ if entry.address in self.curves:
                try:
                    self._curve(entry, self.sales[entry.address], self.curves[entry.address])
                except TransactionReverted as refused:
                    self._checks.refused(self._facts.name(entry.address), refused)
            case _:
                pass

    def _open(
        self,
        address: str,
        event: launchpad.OfferingOpened | launchpad.AuctionOpened,
        for_sale: int,
        bps: int,
    ) -> None:
        shares = for_sale + pool_part(for_sale, bps)
        self.sales[address] = _Sale(event.asset, bps, shares, earners={event.publisher})

    def _offering(self, entry: Entry, sale: _Sale, terms: launchpad.Sale) -> None:
        event = entry.event
        match event:
            case offering.Bought():
                sale.money += event.cost
                sale.raised += event.cost
                sale.sold += event.amount
                sale.earners.add(event.buyer)
                if sale.sold >= terms.soft_cap:
                    sale.shares -= event.amount
                self._same("shares cost their price, rounded up", event.buyer, event.cost,
                           cost_of(event.amount, terms.price))  # fmt: skip
            case offering.Collected() | offering.UnsoldReturned():
                sale.shares -= event.amount
            case offering.PoolOpened():
                self._pool(entry.address, sale, event)
            case offering.Refunded() | offering.ProceedsWithdrawn():
                sale.money -= event.amount
            case offering.RevenueClaimed():
                sale.passed_on += event.amount
            case _:
                pass

    def _auction(self, entry: Entry, sale: _Sale, terms: AuctionSale) -> None:
        event, bids = entry.event, self._bids[entry.address]
        match event:
            case auction.Bid():
                bids[event.bidder] += event.amount
                sale.money += event.amount
                sale.raised += event.amount
                sale.earners.add(event.bidder)
                worth = terms.for_sale * price_at(terms, entry.time) // WHOLE_SHARE
                about = self._facts.name(entry.address)
                rule = "bids are never above what all is worth"
                self._checks.within(rule, about, sale.raised, 0, worth)
                sale.sold = terms.for_sale if sale.raised == worth else 0
            case auction.Closed():
                sold = sale.sold or sale.raised * WHOLE_SHARE // terms.lowest_price
                final = sale.raised >= terms.soft_cap
                sale.sold = sold if final else 0
                self._same("an auction closes with all bids", entry.address, event.raised,
                           sale.raised)  # fmt: skip
                self._same("an auction sells at one price", entry.address, event.sold, sale.sold)
            case auction.Collected():
                sale.shares -= event.amount
                self._same("a bid is collected whole", event.bidder, event.cost,
                           bids.pop(event.bidder, 0))  # fmt: skip
                self._same("everybody pays the clearing price, rounded down", event.bidder,
                           event.amount, event.cost * sale.sold // sale.raised)  # fmt: skip
            case auction.UnsoldReturned():
                sale.shares -= event.amount
            case auction.PoolOpened():
                self._pool(entry.address, sale, event)
            case auction.Refunded() | auction.ProceedsWithdrawn():
                sale.money -= event.amount
            case auction.RevenueClaimed():
                sale.passed_on += event.amount
            case _:
                pass

    def _curve(self, entry: Entry, sale: _Sale, model: CurveModel) -> None:
        event, at = entry.event, self._facts.name(entry.address)
        match event:
            case curve.Bought():
                before = model.raised
                amount = model.buy(address_of(event.buyer), event.cost, entry.time)
                self._checks.same("the curve's price, bit for bit", at, event.amount, amount[0])
                self._checks.same("the curve takes what it says", at, event.cost,
                                  model.raised - before)  # fmt: skip
                sale.money += event.cost
                sale.shares -= event.amount
            case curve.SoldBack():
                paid = model.sell(address_of(event.seller), event.amount, entry.time)
                self._checks.same("the curve's price, bit for bit", at, event.paid, paid)
                sale.money -= event.paid
                sale.shares += event.amount
            case curve.Graduated():
                self._checks.same("a curve graduates at its target", at, event.raised, model.raised)
                self._checks.same("a curve graduates at its target", at, event.sold, model.sold)
                sale.raised = model.raised
            case curve.PoolOpened():
                self._checks.same("the pool opens at the curve's price", at,
                                  event.shares, model.pool[0])  # fmt: skip
                self._checks.same("the pool gets its part of the proceeds", at,
                                  event.amount, model.pool[1])  # fmt: skip
                sale.money -= event.amount
                sale.shares -= event.shares
            case curve.ProceedsWithdrawn():
                sale.money -= event.amount
            case curve.UnsoldReturned():
                sale.shares -= event.amount
            case _:
                pass

    def _pool(
        self, address: str, sale: _Sale, event: offering.PoolOpened | auction.PoolOpened
    ) -> None:
        sale.money -= event.amount
        sale.shares -= event.shares
        self._same("the pool gets its part of the proceeds", address, event.amount,
                   pool_part(sale.raised, sale.liquidity_bps))  # fmt: skip
        self._same("the pool opens at the closing price", address, event.shares,
                   pool_part(sale.sold, sale.liquidity_bps))  # fmt: skip

    def _same(self, rule: str, address: str, found: int, wanted: int) -> None:
        self._checks.same(rule, self._facts.name(address), found, wanted)


def check_sales(facts: Facts, checks: Checks) -> dict[str, int]:
    """Every sale's money is with a buyer, the publisher, the pool or in escrow, and so its shares.

    Returns
    -------
    dict
        By what it is: base units that lie in sales, in escrow or as dust of their revenue.
    """
    replay = _Replay(facts, checks)
    shares: dict[int, str] = {}
    for entry in facts.entries:
        if isinstance(entry.event, registry.Tokenized):
            shares[entry.event.asset] = entry.event.share
        replay.take(entry)
    left: dict[str, int] = {}
    for address, sale in replay.sales.items():
        about = facts.name(address)
        if address in facts.offering_flows:
            received, distributed = facts.offering_flows[address]
            checks.same("a sale received what its Share paid it", about, received, sale.pulled)
            checks.same("a sale passed on what was claimed", about, distributed, sale.passed_on)
        # A curve's publisher claims through it, and nothing of that stays.
        dust = 0 if address in replay.curves else sale.pulled - sale.passed_on
        checks.within(
            "a sale keeps less than a unit for each who earns there",
            about,
            dust,
            0,
            len(sale.earners),
        )
        checks.same(
            "a sale holds its escrow and that dust",
            about,
            facts.balances.get(address, 0),
            sale.money + dust,
        )
        held = facts.shares[shares[sale.asset]].balances.get(address, 0)
        checks.same("a sale holds the shares that left it to nobody", about, held, sale.shares)
        left[f"escrow of {about}"] = sale.money
        left[f"dust of {about}"] = dust
    return left
