"""First sales of every kind: finding them, opening several at once, and lists of buyers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tessera.assets.references import is_address
from tessera.bindings import Auction, Curve, Launchpad, Offering, Share
from tessera.bindings.launchpad import (
    AllocationOpened,
    AuctionOpened,
    AuctionSale,
    CurveOpened,
    CurveSale,
    Grant,
    Liquidity,
    OfferingOpened,
    Sale,
    Schedule,
    VestingOpened,
)
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import InputError, NotFound
from tessera.ownership.allowing import allow, check_shares
from tessera.ownership.auction import find_auctions
from tessera.ownership.curve import find_curves
from tessera.ownership.offering import find_offerings
from tessera.ownership.selling import EVERYBODY, with_pool
from tessera.spec import auction as spec_auction
from tessera.spec import curve as spec_curve
from tessera.spec import offering as spec_offering
from tessera.spec import vesting as spec_vesting
from tessera.spec.curve import shares_for_curve
from tessera.spec.launchpad import LaunchpadModel, Situation
from tessera.spec.launchpad import Liquidity as PoolTerms
from tessera.spec.merkle import AllowList
from tessera.spec.signatures import Address, address_of
from tessera.units import AssetId, Shares, parse_amount

__all__ = [
    "AnySale",
    "check_terms",
    "find_sales",
    "launch",
    "read_list",
    "shares_needed",
    "shown_part",
]

AnySale = Offering | Auction | Curve
AnyTerms = Sale | AuctionSale | CurveSale
_Twin = TypeVar("_Twin", spec_offering.Sale, spec_auction.AuctionSale, spec_curve.CurveSale)
_LINE = re.compile(r"(0x[0-9a-fA-F]{40})[\s,;]+(\S+)")


async def find_sales(
    reader: ChainReader, launchpad: Launchpad, *, asset: AssetId | None = None, first: int = 0
) -> list[AnySale]:
    """Return the sales of an asset's shares of every kind, or of all assets', by kind."""
    fixed, auctions, curves = await asyncio.gather(
        find_offerings(reader, launchpad, asset=asset, first=first),
        find_auctions(reader, launchpad, asset=asset, first=first),
        find_curves(reader, launchpad, asset=asset, first=first),
    )
    return [*fixed, *auctions, *curves]


def shares_needed(
    sales: Sequence[Sale] = (),
    auctions: Sequence[AuctionSale] = (),
    curves: Sequence[CurveSale] = (),
    schedules: Sequence[Schedule] = (),
    grants: Sequence[Grant] = (),
) -> Shares:
    """Compute the raw shares that a launch takes: for sale, pools, vestings and contributors."""
    return Shares(
        sum(with_pool(sale.for_sale, sale.liquidity) for sale in sales)
        + sum(with_pool(sale.for_sale, sale.liquidity) for sale in auctions)
        + sum(
            shares_for_curve(
                sale.virtual_shares, sale.virtual_currency, sale.target, sale.liquidity.bps
            )
            for sale in curves
        )
        + sum(schedule.amount for schedule in schedules)
        + sum(grant.amount for grant in grants)
    )


def check_terms(
    launchpad: LaunchpadModel,
    on: Situation,
    sales: Sequence[Sale] = (),
    auctions: Sequence[AuctionSale] = (),
    curves: Sequence[CurveSale] = (),
    schedules: Sequence[Schedule] = (),
    grants: Sequence[Grant] = (),
) -> None:
    """Let the Launchpad's twin judge a launch, before anything is approved or asked.

    Parameters
    ----------
    launchpad
        A fresh one: what other sales promised is for the chain to say.
    on
        The asset, the time, and what else the Launchpad would ask.

    Raises
    ------
    TransactionReverted
        With the contract's own reason.
    """
    for sale in sales:
        launchpad.offer(_twin(spec_offering.Sale, sale), _pool(sale.liquidity), on)
    for auction in auctions:
        launchpad.auction(_twin(spec_auction.AuctionSale, auction), _pool(auction.liquidity), on)
    for curve in curves:
        launchpad.curve(_twin(spec_curve.CurveSale, curve), _pool(curve.liquidity), on)
    launchpad.vest([(address_of(part.beneficiary), _plan(part)) for part in schedules], on)
    for grant in grants:
        launchpad.contribute(_plan(grant), on, contributors=True)


def _twin(kind: type[_Twin], sale: AnyTerms) -> _Twin:
    """Spell the terms of a sale as its twin does: the same names, but for three."""
    same = set(kind._fields) - {"publisher", "liquidity_bps", "allowed"}
    return kind(
        publisher=address_of(sale.publisher),
        liquidity_bps=sale.liquidity.bps,
        **{name: getattr(sale, name) for name in same},
    )


def _pool(liquidity: Liquidity) -> PoolTerms:
    return PoolTerms(liquidity.tier, liquidity.locked)


def _plan(part: Schedule | Grant) -> spec_vesting.Schedule:
    return spec_vesting.Schedule(part.amount, part.start, part.cliff, part.duration)


async def launch(
    sender: Sender,
    launchpad: Launchpad,
    asset: AssetId,
    share: Share,
    *,
    sales: Sequence[Sale] = (),
    auctions: Sequence[AuctionSale] = (),
    curves: Sequence[CurveSale] = (),
    schedules: Sequence[Schedule] = (),
    grants: Sequence[Grant] = (),
) -> tuple[list[str], str]:
    """Open sales, vestings and an allocation in one transaction, after an approval, or none.

    Parameters
    ----------
    grants
        For all contributors of the asset together; at most one.

    Returns
    -------
    tuple of (list of str, str)
        Addresses of what was made, in the order of the arguments, and the transaction.

    Raises
    ------
    InputError
        The sender has fewer shares than it takes.
    TransactionReverted
        The Launchpad refuses one of them, so all.
    """
    needed = shares_needed(sales, auctions, curves, schedules, grants)
    await check_shares(sender, share, needed)
    await allow(sender, share, launchpad.address, needed)
    receipt = await sender.send(
        launchpad.launch(
            asset, list(sales), list(auctions), list(curves), list(schedules), list(grants)
        )
    )
    made = [
        *(event.offering for event in receipt.all_of(OfferingOpened)),
        *(event.auction for event in receipt.all_of(AuctionOpened)),
        *(event.curve for event in receipt.all_of(CurveOpened)),
        *(event.vesting for event in receipt.all_of(VestingOpened)),
        *(event.allocation for event in receipt.all_of(AllocationOpened)),
    ]
    return made, receipt.tx_hash


def read_list(file: Path, *, decimals: int) -> AllowList:
    """Read a list of buyers: one address and one amount in each line.

    Parameters
    ----------
    file
        Lines such as `0xabc... 12.5`; empty ones and those that begin with # do not count.
    decimals
        Of the amounts: those of shares, or of the currency for an auction.

    Raises
    ------
    NotFound
        There is no such file.
    InputError
        A line is none of these, or an address stands there twice.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise NotFound("list of buyers", found=f"no file {file}", wanted="a file") from error
    parts: dict[Address, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        buyer = Address(bytes.fromhex(match[1][2:])) if match and is_address(match[1]) else None
        if match is None or buyer is None or buyer in parts:
            raise InputError(
                f"list of buyers, line {number}",
                found=line.strip(),
                wanted="an address that stands there once, and an amount",
            )
        thing = f"list of buyers, line {number}"
        parts[buyer] = parse_amount(match[2], decimals=decimals, thing=thing)
    return AllowList(parts)


def shown_part(
    root: bytes, listed: AllowList | None, buyer: str
) -> tuple[int, tuple[bytes, ...]] | None:
    """Return what a buyer shows a sale: nothing where everybody may buy.

    Raises
    ------
    InputError
        The sale has a list, and none was given, or another one.
    NotFound
        The buyer is not on it.
    """
    if root == EVERYBODY:
        return None
    if listed is None or listed.root != root:
        raise InputError(
            "list of buyers",
            found="none" if listed is None else f"root 0x{listed.root.hex()}",
            wanted=f"the one of the sale, root 0x{root.hex()}",
            next_step="get the file from the publisher: --list FILE",
        )
    return listed.proof(Address(bytes.fromhex(buyer[2:])))
