"""Who paid for an asset of our own: what events, calldata and the currency's transfers say.

A settlement takes from channels and credits assets, and its events say how much of each, not which
channel paid for which asset. Where there is one asset or one channel the sums say it; else the
calldata does, and is believed only where it adds up with every sum that the chain logged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tessera.bindings import channels, workflows
from tessera.bindings.codec import decode
from tessera.bindings.registry import AssetRegistered, Registry
from tessera.diligence.own.movements import Movement
from tessera.errors import DataError
from tessera.facts import Event, Transfers
from tessera.spec.vouchers import TillKey

__all__ = ["ChannelPayers", "Settlement", "channels_of", "deployment_of", "till_payers"]

_MASK_64: Final = 2**64 - 1
_MASK_96: Final = 2**96 - 1
_SETTLE: Final = bytes.fromhex("6c13664c")
"""Selector of `Channels.settle`."""


@dataclass(slots=True)
class Settlement:
    """One settlement, as its events say.

    Attributes
    ----------
    taken
        (channel, base units) for each voucher that counted.
    parts
        What each row of terms was credited.
    """

    operator: str
    taken: list[tuple[int, int]]
    parts: list[tuple[TillKey, Movement]] = field(default_factory=list)


class ChannelPayers:
    """Whose channels there are, and what is charged on their lines so far."""

    def __init__(self) -> None:
        self._payers: dict[tuple[str, int], str] = {}
        self._lines: dict[tuple[str, int, TillKey], int] = {}

    def opened(self, operator: str, channel: int, payer: str) -> None:
        """Take note of a channel."""
        self._payers[operator, channel] = payer

    def of(self, operator: str, channel: int) -> str | None:
        """Return whose a channel is; None where it was opened before the facts begin."""
        return self._payers.get((operator, channel))

    def shares_of(self, settlement: Settlement, calldata: bytes) -> list[Counter[int]] | None:
        """Return what each channel paid, for each part of a settlement.

        Parameters
        ----------
        calldata
            Of its transaction; empty where it was not kept.

        Returns
        -------
        list of Counter or None
            Base units by channel; None where that cannot be said.
        """
        if calldata[:4] == _SETTLE:
            found = self._from_calldata(settlement, calldata[4:])
            return found or _from_sums(settlement)
        found = _from_sums(settlement)
        for (key, _), paid in zip(settlement.parts, found or (), strict=False):
            for channel, amount in paid.items():
                line = (settlement.operator, channel, key)
                self._lines[line] = self._lines.get(line, 0) + amount
        return found

    def _from_calldata(self, settlement: Settlement, body: bytes) -> list[Counter[int]] | None:
        try:
            tills, batch = decode("Channels.settle", ("(uint256,uint256)[]", "uint256[]"), body)
        except DataError:
            return None
        place = {key: index for index, (key, _) in enumerate(settlement.parts)}
        sums: list[Counter[int]] = [Counter() for _ in settlement.parts]
        wanted, taken = Counter[int](), Counter[int]()
        for channel, amount in settlement.taken:
            wanted[channel] += amount
        cursor = 0
        while cursor < len(batch):
            channel, count = batch[cursor] & _MASK_64, batch[cursor] >> 64
            words = batch[cursor + 1 : cursor + 1 + count]
            cursor += count + 3
            for word in words:
                if word >> 192 >= len(tills):
                    return None
                key = TillKey(*tills[word >> 192])
                line = (settlement.operator, channel, key)
                growth = (word & _MASK_96) - self._lines.get(line, 0)
                # A voucher that was skipped is none of those that counted.
                if channel not in wanted or growth <= 0:
                    continue
                self._lines[line] = word & _MASK_96
                taken[channel] += growth
                if key in place:
                    sums[place[key]][channel] += growth
        # A line whose grant had ended was left alone, which only the sums can tell.
        right = taken == wanted and all(
            found.total() == at.amount
            for found, (_, at) in zip(sums, settlement.parts, strict=True)
        )
        return sums if right else None


def _from_sums(settlement: Settlement) -> list[Counter[int]] | None:
    """Return who paid what where the sums leave one answer: one asset, or one channel."""
    taken = Counter[int]()
    for channel, amount in settlement.taken:
        taken[channel] += amount
    sums = [at.amount for _, at in settlement.parts]
    if taken.total() != sum(sums):
        return None
    if len(sums) == 1:
        return [taken]
    if len(taken) == 1:
        return [Counter({channel: amount}) for channel in taken for amount in sums]
    return None


def channels_of(events: Iterable[Event]) -> str | None:
    """Return the address of Channels; None where it said nothing.

    Raises
    ------
    DataError
        Two contracts speak as Channels: these are the events of two deployments.
    """
    found = {event.address for event in events if event.contract == channels.Channels.CONTRACT}
    if len(found) > 1:
        raise DataError(
            "events of Channels",
            found=", ".join(sorted(found)),
            wanted="those of one contract",
            next_step="index the deployments apart",
        )
    return found.pop() if found else None


def deployment_of(events: Iterable[Event], asset: int) -> tuple[Event, ...]:
    """Return the events without those of other deployments of the same code.

    Anybody may deploy our contracts again: a Registry of their own, or a Channels that takes a
    worthless currency and says of our assets that they earned millions of it. An asset's number
    names its Registry; of several Channels the one counts that spoke of its assets first.
    """
    ordered = list(events)
    registry = next(
        (
            event.address
            for event in ordered
            if isinstance(event.event, AssetRegistered) and event.event.asset == asset
        ),
        None,
    )
    assets = {
        event.event.asset
        for event in ordered
        if isinstance(event.event, AssetRegistered) and event.address == registry
    }
    money = next(
        (
            event.address
            for event in ordered
            if event.contract == channels.Channels.CONTRACT
            and getattr(event.event, "asset", None) in assets
        ),
        None,
    )
    # Before anything was paid there is nothing to tell them apart by, and nothing to tell.
    own = {Registry.CONTRACT: registry, channels.Channels.CONTRACT: money}
    return tuple(event for event in ordered if own.get(event.contract) in (None, event.address))


def till_payers(
    events: Iterable[Event], currency: Transfers
) -> dict[tuple[int, int], dict[str, int]]:
    """Return whose money came through Tills.

    A Till is swept into Channels right before `IncomeReceived`; what was sent to it since it was
    last swept is what came. A workflow pays for who ordered it; whatever else came from a contract
    of ours hides who paid, and is left out.

    Parameters
    ----------
    currency
        Its transfers, from the first.

    Returns
    -------
    dict
        By (block, log) of the event: base units by payer, which may sum to less than the event.
    """
    events = list(events)
    owner = channels_of(events)
    ours = {event.address for event in events}
    ordered: dict[tuple[int, int], set[str]] = defaultdict(set)
    for event in events:
        if isinstance(event.event, workflows.Paid):
            ordered[event.block, event.tx].add(event.event.payer.lower())
    addresses = currency.addresses
    target = addresses.id_of(owner) if owner is not None else None
    if target is None:
        return {}
    found: dict[tuple[int, int], dict[str, int]] = {}
    swept: dict[int, int] = {}
    for event in events:
        if not isinstance(event.event, channels.IncomeReceived):
            continue
        row = _sweep(currency, event, event.event.amount, target)
        if row is None:
            continue
        till = int(currency.source[row])
        since = swept.get(till, 0)
        swept[till] = row + 1
        sums: Counter[str] = Counter()
        for index in (np.flatnonzero(currency.target[since:row] == till) + since).tolist():
            source = addresses[int(currency.source[index])]
            if source in ours:
                who = ordered[int(currency.block[index]), int(currency.tx[index])]
                if len(who) != 1:
                    continue
                source = next(iter(who))
            sums[source] += currency.amount[index]
        found[event.block, event.log] = dict(sums)
    return found


def _sweep(currency: Transfers, event: Event, amount: int, channels: int) -> int | None:
    """Return the row that brought a Till's money: the last into Channels before the event."""
    first, last = np.searchsorted(currency.block, [event.block, event.block + 1])
    rows = np.arange(int(first), int(last))
    fits = rows[(currency.log[rows] < event.log) & (currency.target[rows] == channels)]
    if not len(fits) or currency.amount[int(fits[-1])] != amount:
        return None
    return int(fits[-1])
