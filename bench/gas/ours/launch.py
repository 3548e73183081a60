"""The first sale of shares, and shares that unlock on a schedule."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode
from eth_utils.address import to_checksum_address

from bench.gas.chain import Contract, Receipt, account, bytes_of, event_topic
from bench.gas.dollar import UNIT
from bench.gas.ours.market import DAY, SUPPLY, WHO, Market, code
from bench.gas.rows import Action, Row

_UNLIMITED = 2**256 - 1
_SHARES = 10**18
_PRICE = 2 * UNIT


def measure(market: Market) -> list[Row]:
    """Measure a sale before and after its soft cap, and a grant of vested shares."""
    publisher = account("publisher")
    asset, _ = market.publish()
    share, _ = market.tokenize(asset, publisher.address)
    market.chain.transact(publisher, share, "approve", market.launchpad.address, _UNLIMITED)
    return [*_sale(market, asset), *_vesting(market, asset)]


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
            bytes(32),
            (0, 0, 0),
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
