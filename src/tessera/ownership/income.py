"""Income of assets that has not reached their accounts yet, and sending it on. Anyone may.

A resale's or a rent's royalty lies in a Till until somebody splits it, and what was split lies in
Channels until somebody hands it to the Share or to the owner. Here both are done at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tessera.assets.directory import AssetRecord
from tessera.bindings import Channels, TestDollar
from tessera.bindings.channels import Flushed, IncomeReceived
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import TransactionReverted
from tessera.units import AssetId, Units

__all__ = ["SentOn", "WaitingIncome", "read_waiting", "send_on"]


@dataclass(frozen=True, slots=True)
class WaitingIncome:
    """What of one asset's income waits.

    Attributes
    ----------
    asset, slug
        Which.
    tills
        Operator, terms and base units of each Till that holds something.
    pending
        Base units that are split already and wait in Channels.
    """

    asset: AssetId
    slug: str
    tills: tuple[tuple[str, int, Units], ...]
    pending: Units

    @property
    def in_tills(self) -> Units:
        """Base units in all of its Tills."""
        return Units(sum(amount for _, _, amount in self.tills))


@dataclass(frozen=True, slots=True)
class SentOn:
    """What became of one asset's waiting income.

    Attributes
    ----------
    asset, slug
        Which.
    split
        Base units taken out of its Tills: parts of the operator, the network and parents included.
    handed_on
        Base units that its holders, or its owner's credit, got.
    failure
        What the chain said where it refused; the money stays where it is.
    """

    asset: AssetId
    slug: str
    split: Units
    handed_on: Units
    failure: str = ""


async def read_waiting(
    reader: ChainReader, channels: Channels, currency: TestDollar, records: Iterable[AssetRecord]
) -> list[WaitingIncome]:
    """Return the assets of which something waits."""
    known = list(records)
    keys = [
        (record.asset, endpoint.operator, terms)
        for record in known
        for endpoint in record.endpoints.values()
        for terms in range(endpoint.last_terms + 1)
    ]
    addresses = await reader.read_all([channels.till_of(*key) for key in keys])
    held = await reader.read_all([currency.balanceOf(address) for address in addresses])
    pending = await reader.read_all([channels.pending_of(record.asset) for record in known])
    tills: dict[AssetId, list[tuple[str, int, Units]]] = {record.asset: [] for record in known}
    for (asset, operator, terms), amount in zip(keys, held, strict=True):
        if amount:
            tills[asset].append((operator, terms, Units(amount)))
    return [
        WaitingIncome(record.asset, record.slug, tuple(tills[record.asset]), Units(waits))
        for record, waits in zip(known, pending, strict=True)
        if tills[record.asset] or waits
    ]


async def send_on(
    sender: Sender, channels: Channels, currency: TestDollar, records: Iterable[AssetRecord]
) -> list[SentOn]:
    """Split what lies in these assets' Tills, and hand on what was split.

    An asset whose Share can take no more does not hold up the others.
    """
    known = list(records)
    done: dict[AssetId, SentOn] = {}
    for income in await read_waiting(sender.reader, channels, currency, known):
        split, failure = 0, ""
        for operator, terms, _ in income.tills:
            try:
                receipt = await sender.send(channels.flush_till(income.asset, operator, terms))
            except TransactionReverted as error:
                failure = error.reason
                continue
            arrived = receipt.all_of(IncomeReceived, address=channels.address)
            split += sum(event.amount for event in arrived)
        done[income.asset] = SentOn(income.asset, income.slug, Units(split), Units(0), failure)
    # Read again: a parent among them has got its royalty meanwhile.
    for income in await read_waiting(sender.reader, channels, currency, known):
        if not income.pending:
            continue
        before = done.get(income.asset, SentOn(income.asset, income.slug, Units(0), Units(0)))
        try:
            receipt = await sender.send(channels.flush(income.asset))
        except TransactionReverted as error:
            done[income.asset] = replace(before, failure=error.reason)
            continue
        amount = receipt.one_of(Flushed, address=channels.address).amount
        done[income.asset] = replace(before, handed_on=Units(amount))
    return list(done.values())
