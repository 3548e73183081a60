"""What a buyer of shares asks before buying, answered by the Lens from the chain alone.

The chain keeps no lists, so this finds holders and vestings in events and brings them; the Lens
checks each and says how much they leave out. So a node that hides events is found out: what it hid
shows as shares of nobody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tessera.bindings import Governor, Launchpad, Lens, Share
from tessera.bindings.governor import Locked
from tessera.bindings.launchpad import VestingOpened
from tessera.bindings.lens import Mark, Marked
from tessera.bindings.lens import Supply as SupplyWords
from tessera.bindings.share import Transfer
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import InputError
from tessera.units import AssetId, Shares, Units, UnixSeconds

__all__ = ["Disclosure", "HolderPart", "Locking", "Revenue", "mark", "read_disclosure"]

_MOST_LISTED = 64
_LATEST_EPOCHS = 12
_MONTH_S = 30 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderPart:
    """One account, looked at through votes and vestings; raw shares."""

    account: str
    free: Shares
    locked: Shares
    vesting: Shares

    @property
    def total(self) -> Shares:
        """All of it."""
        return Shares(self.free + self.locked + self.vesting)


@dataclass(frozen=True, slots=True)
class Locking:
    """How many raw shares of all grants are still locked at a moment."""

    time: UnixSeconds
    locked: Shares


@dataclass(frozen=True, slots=True)
class Revenue:
    """What was earned between two moments: by holders, and of it the commons half of the fee.

    Both in base units of the currency. Only the second shows demand: an owner can pay its own
    Share, but never has the commons half back.
    """

    first: UnixSeconds
    last: UnixSeconds
    revenue: Units
    demand: Units


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """All of it.

    Attributes
    ----------
    total, for_sale, vesting, pooled, locked, circulating
        Raw shares. `circulating` is neither for sale, nor vesting, nor in the pool; `locked`, for
        votes, is a part of it.
    calendar
        Locked parts of all grants, by time.
    calendar_leaves_out
        Raw shares in vesting that no grant listed here holds: contributors who have not claimed,
        grants beyond the first 64, or what the node did not tell.
    holders
        The largest, in falling order.
    others
        Raw shares of everybody else. No account that is not listed has more.
    complete
        Whether that proves the list to be the largest holders.
    revenue
        By epochs that somebody marked, the latest last; the last one ends now.
    """

    asset: AssetId
    total: Shares
    for_sale: Shares
    vesting: Shares
    pooled: Shares
    locked: Shares
    circulating: Shares
    calendar: tuple[Locking, ...]
    calendar_leaves_out: Shares
    holders: tuple[HolderPart, ...]
    others: Shares
    complete: bool
    revenue: tuple[Revenue, ...]


async def read_disclosure(
    reader: ChainReader,
    lens: Lens,
    asset: AssetId,
    share: Share,
    *,
    launchpad: Launchpad,
    governor: Governor,
    exchange: str,
    first: int,
    now: UnixSeconds,
    top: int = 10,
    months: int = 12,
) -> Disclosure:
    """Read where an asset's shares are, when they unlock, who has them and what they earned.

    Parameters
    ----------
    exchange
        Address of the Exchange: its shares are the pool's, not its own.
    first
        Block from which on there can be events.
    now
        Unix seconds; the calendar begins here.
    top
        How many holders, 1 to 64.
    months
        How many steps of 30 days the calendar has, 0 to 63.

    Raises
    ------
    InputError
        A number is out of range.
    """
    _check("holders listed", top, 1, _MOST_LISTED)
    _check("months", months, 0, _MOST_LISTED - 1)
    grants, moved, locks, marked = await asyncio.gather(
        reader.logs(
            VestingOpened, address=launchpad.address,
            topics=VestingOpened.topics(asset=asset), first=first,
        ),
        reader.logs(Transfer, address=share.address, first=first),
        reader.logs(
            Locked, address=governor.address, topics=Locked.topics(asset=asset), first=first
        ),
        reader.logs(Marked, address=lens.address, topics=Marked.topics(asset=asset), first=first),
    )  # fmt: skip
    vestings = sorted((log.event.vesting for log in grants), key=_number)[:_MOST_LISTED]
    likely = Counter[str]()
    for transfer in moved:
        likely[transfer.event.sender] -= transfer.event.value
        likely[transfer.event.receiver] += transfer.event.value
    for lock in locks:
        likely[lock.event.owner] += lock.event.amount
    for grant in grants:
        likely[grant.event.beneficiary] += grant.event.schedule.amount
    for contract in (exchange, governor.address):
        likely.pop(contract, None)
    candidates = [account for account, much in likely.most_common() if much > 0]
    people = await _people(reader, launchpad, candidates)
    accounts = sorted(people, key=_number)
    times = [now + month * _MONTH_S for month in range(months + 1)]
    epochs = sorted({log.event.epoch for log in marked})[-_LATEST_EPOCHS:]
    span = _latest_span(epochs)
    supply, (left, left_out), (held, others), marks, latest = await asyncio.gather(
        reader.read(lens.supply_of(asset)),
        reader.read(lens.unlock_calendar(asset, vestings, times)),
        reader.read(lens.holdings_of(asset, accounts, vestings)),
        reader.read(lens.revenue_marks(asset, *span)),
        reader.read(lens.revenue_now(asset)),
    )
    parts = sorted(
        (
            HolderPart(
                account=part.account,
                free=Shares(part.free),
                locked=Shares(part.locked),
                vesting=Shares(part.vesting),
            )
            for part in held
        ),
        key=lambda part: -part.total,
    )
    listed = tuple(part for part in parts[:top] if part.total)
    unlisted = others + sum(part.total for part in parts[top:])
    return Disclosure(
        asset=asset,
        **_supply(supply),
        calendar=tuple(
            Locking(UnixSeconds(time), Shares(locked))
            for time, locked in zip(times, left, strict=True)
        ),
        calendar_leaves_out=Shares(left_out),
        holders=listed,
        others=Shares(unlisted),
        complete=not unlisted
        or (bool(listed) and _largest_other(parts[top:], others) <= listed[-1].total),
        revenue=tuple(_revenue([*marks, latest])),
    )


async def mark(sender: Sender, lens: Lens, asset: AssetId) -> bool:
    """Write down what the asset earned until now, for the present epoch. Anyone may.

    Returns
    -------
    bool
        False where the epoch had a mark already, which stays.
    """
    receipt = await sender.send(lens.mark(asset))
    return bool(receipt.all_of(Marked, address=lens.address))


async def _people(reader: ChainReader, launchpad: Launchpad, accounts: Sequence[str]) -> list[str]:
    """Return the first accounts that are no clone of the Launchpad's: those hold for others."""
    found: list[str] = []
    for start in range(0, len(accounts), _MOST_LISTED):
        some = accounts[start : start + _MOST_LISTED]
        ours = await reader.read_all([launchpad.asset_of(account) for account in some])
        found += [account for account, asset in zip(some, ours, strict=True) if not asset]
        if len(found) >= _MOST_LISTED:
            break
    return found[:_MOST_LISTED]


def _largest_other(parts: Sequence[HolderPart], unknown: int) -> int:
    return max([unknown, *(part.total for part in parts)])


def _latest_span(epochs: Sequence[int]) -> tuple[int, int]:
    """Return the first epoch to ask for, and how many: the Lens answers for 64 at most.

    Where marks lie further apart than that, the oldest are left out, not the latest.
    """
    if not epochs:
        return 0, 0
    first = max(epochs[0], epochs[-1] - _MOST_LISTED + 1)
    return first, epochs[-1] - first + 1


def _revenue(marks: Sequence[Mark]) -> list[Revenue]:
    return [
        Revenue(
            UnixSeconds(before.time),
            UnixSeconds(after.time),
            Units(after.revenue - before.revenue),
            Units(after.demand - before.demand),
        )
        for before, after in pairwise(marks)
    ]


def _supply(words: SupplyWords) -> dict[str, Shares]:
    return {name: Shares(getattr(words, name)) for name in SupplyWords.__struct_fields__}


def _number(address: str) -> int:
    return int(address, 16)


def _check(thing: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InputError(thing, found=value, wanted=f"{least} to {most}")
