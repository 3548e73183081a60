"""The first sale of shares, and shares that unlock on a schedule."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode
from eth_utils.address import to_checksum_address

from bench.gas.chain import Contract, Receipt, account, bytes_of, event_topic
from bench.gas.dollar import UNIT
from bench.gas.ours.market import DAY, SUPPLY, WHO, Market, code
from bench.gas.rows import Action, Row
from tessera.assets.contributions import Contribution, ContributionTree
from tessera.assets.manifest import Role
from tessera.units import Bps

_UNLIMITED = 2**256 - 1
_SHARES = 10**18
_PRICE = 2 * UNIT
_FOR_EVER = 2**40
# Sold to everybody, and without a part for a pool.
_TO_ALL = (bytes(32), (0, 0, 0))


def measure(market: Market) -> list[Row]:
    """Measure a sale before and after its soft cap, and a grant of vested shares."""
    publisher = account("publisher")
    asset, _ = market.publish()
    share, _ = market.tokenize(asset, publisher.address)
    market.chain.transact(publisher, share, "approve", market.launchpad.address, _UNLIMITED)
    return [
        *_sale(market, asset),
        *_auction(market, asset),
        *_curve(market, asset, share),
        *_vesting(market, asset),
        *_launch(market, asset),
        *_contribution(market),
    ]


def _clone(name: str, receipt: Receipt, event: str) -> Contract:
    topics = next(log["topics"] for log in receipt.logs if log["topics"][0] == event)
    (address,) = decode(["address"], bytes_of(topics[2]))
    return Contract(name, to_checksum_address(address), code(name).abi)


def _sale(market: Market, asset: int) -> list[Row]:
    chain, publisher, buyer = market.chain, account("publisher"), account("buyer")

    def open_sale(soft_cap: int) -> tuple[Contract, int]:
        terms: tuple[Any, ...] = (
            publisher.address,
            _PRICE,
            1_000 * _SHARES,
            soft_cap,
            1_000 * _SHARES,
            chain.now,
            chain.now + 30 * DAY,
            *_TO_ALL,
        )
        receipt = chain.transact(publisher, market.launchpad, "offer", asset, terms)
        event = event_topic(market.launchpad.abi, "OfferingOpened")
        return _clone("Offering", receipt, event), receipt.gas

    _, opened_first = open_sale(0)
    capped, opened = open_sale(100 * _SHARES)
    final, _ = open_sale(0)
    rows = [
        Row(
            Action.OPEN_SALE,
            WHO,
            "Launchpad.offer",
            "a clone; the shares moved into it",
            opened,
            opened_first,
        )
    ]
    for sale, what in (
        (final, "no soft cap: shares delivered at once"),
        (capped, "below the soft cap: shares and money kept in escrow"),
    ):
        market.fund(buyer, sale)
        first, warm = (chain.transact(buyer, sale, "buy", _SHARES).gas for _ in "12")
        rows.append(Row(Action.BUY_OFFERING, WHO, "Offering.buy", what, warm, first))
    return rows


def _auction(market: Market, asset: int) -> list[Row]:
    chain, publisher = market.chain, account("publisher")
    buyer, holder, keeper = account("buyer"), account("holder"), account("keeper")
    terms = (
        publisher.address,
        2 * _PRICE,
        _PRICE,
        1_000 * _SHARES,
        UNIT,
        10_000 * UNIT,
        chain.now,
        chain.now + 30 * DAY,
        *_TO_ALL,
    )
    opened = chain.transact(publisher, market.launchpad, "auction", asset, terms)
    event = event_topic(market.launchpad.abi, "AuctionOpened")
    auction = _clone("Auction", opened, event)
    for bidder in (buyer, holder):
        market.fund(bidder, auction)
    first, warm = (chain.transact(buyer, auction, "bid", 10 * UNIT).gas for _ in "12")
    chain.transact(holder, auction, "bid", 10 * UNIT)
    chain.pass_time(30 * DAY)
    closed = chain.transact(keeper, auction, "close").gas
    collected = [
        chain.transact(keeper, auction, "collect", bidder.address).gas for bidder in (buyer, holder)
    ]
    opening = "a clone; the shares moved into it"
    return [
        Row(Action.OPEN_SALE, WHO, "Launchpad.auction", opening, opened.gas),
        Row(Action.BID, WHO, "Auction.bid", "price read, money kept until it closes", warm, first),
        Row(Action.CLOSE_AUCTION, WHO, "Auction.close", "the one price fixed, by anyone", closed),
        Row(Action.COLLECT, WHO, "Auction.collect", "by anyone", collected[1], collected[0]),
    ]


def _curve(market: Market, asset: int, share: Contract) -> list[Row]:
    chain, publisher, buyer = market.chain, account("publisher"), account("buyer")
    terms = (
        publisher.address,
        2_000 * _SHARES,
        2_000 * UNIT,
        2_000 * UNIT,
        2_000 * _SHARES,
        chain.now,
        chain.now + 30 * DAY,
        bytes(32),
        (5_000, 1, 365 * DAY),
        3_000,
        3_600,
    )
    opened = chain.transact(publisher, market.launchpad, "curve", asset, terms)
    curve = _clone("Curve", opened, event_topic(market.launchpad.abi, "CurveOpened"))
    market.fund(buyer, curve)
    chain.transact(buyer, share, "approve", curve.address, _UNLIMITED)
    first, warm = (chain.transact(buyer, curve, "buy", UNIT, 0, _FOR_EVER).gas for _ in "12")
    sold = chain.transact(buyer, curve, "sell", _SHARES // 2, 0, _FOR_EVER).gas
    graduated = chain.transact(buyer, curve, "buy", 9_000 * UNIT, 0, _FOR_EVER).gas
    opening = "a clone; the shares moved into it"
    return [
        Row(Action.OPEN_SALE, WHO, "Launchpad.curve", opening, opened.gas),
        Row(
            Action.BUY_CURVE, WHO, "Curve.buy", "shares delivered; limit and deadline", warm, first
        ),
        Row(
            Action.BUY_CURVE,
            WHO,
            "Curve.buy, the last one",
            "it graduates: the pool opens with locked liquidity",
            graduated,
        ),
        Row(Action.SELL_CURVE, WHO, "Curve.sell", "shares taken, money paid", sold),
    ]


def _launch(market: Market, asset: int) -> list[Row]:
    chain, publisher = market.chain, account("publisher")
    sale = (
        publisher.address,
        _PRICE,
        1_000 * _SHARES,
        0,
        1_000 * _SHARES,
        chain.now,
        chain.now + 30 * DAY,
        *_TO_ALL,
    )
    schedules = [
        (account(role).address, SUPPLY // 100, chain.now, 0, 100 * DAY)
        for role in ("contributor", "holder")
    ]
    receipt = chain.transact(
        publisher, market.launchpad, "launch", asset, [sale], [], [], schedules, []
    )
    what = "three clones, and the shares moved into them"
    return [Row(Action.LAUNCH, WHO, "Launchpad.launch", what, receipt.gas)]


def _contribution(market: Market) -> list[Row]:
    chain, publisher, keeper = market.chain, account("publisher"), account("keeper")
    contributors = [account(role).address for role in ("contributor", "holder", "buyer")]
    leaves = {
        person: Contribution(person, Role.DATA, Bps(3_000), bytes(32)) for person in contributors
    }
    tree = ContributionTree(leaves.values())
    asset, _ = market.publish(contributions=tree.root)
    share, _ = market.tokenize(asset, publisher.address)
    chain.transact(publisher, share, "approve", market.launchpad.address, _UNLIMITED)
    grant = (SUPPLY // 10, chain.now, 0, 100 * DAY)
    opened = chain.transact(publisher, market.launchpad, "contribute", asset, grant)
    event = event_topic(market.launchpad.abi, "AllocationOpened")
    allocation = _clone("Allocation", opened, event)
    claimed = []
    for person, leaf in leaves.items():
        contribution = (person, int(leaf.role), int(leaf.weight), leaf.evidence)
        proof = list(tree.proof(leaf))
        claimed.append(
            chain.transact(
                keeper,
                market.launchpad,
                "claim_contribution",
                allocation.address,
                contribution,
                proof,
            ).gas
        )
    return [
        Row(
            Action.CLAIM_CONTRIBUTION,
            WHO,
            "Launchpad.claim_contribution",
            "proof checked; a vesting made and filled",
            claimed[1],
            claimed[0],
        )
    ]


def _vesting(market: Market, asset: int) -> list[Row]:
    chain, publisher, contributor = market.chain, account("publisher"), account("contributor")
    schedule = (contributor.address, SUPPLY // 10, chain.now, 0, 100 * DAY)
    first_grant, granted = (
        chain.transact(publisher, market.launchpad, "vest", asset, [schedule]) for _ in "12"
    )
    event = event_topic(market.launchpad.abi, "VestingOpened")
    vesting = _clone("Vesting", granted, event)
    released = []
    for _ in "12":
        chain.pass_time(DAY)
        released.append(chain.transact(contributor, vesting, "release").gas)
    return [
        Row(
            Action.OPEN_VESTING,
            WHO,
            "Launchpad.vest",
            "one beneficiary: a clone; the shares moved into it",
            granted.gas,
            first_grant.gas,
        ),
        Row(
            Action.VESTING_CLAIM,
            WHO,
            "Vesting.release",
            "locked shares go on earning for their beneficiary",
            released[1],
            released[0],
        ),
    ]
