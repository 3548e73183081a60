"""Vesting: shares that unlock on a public schedule, and earn from the first day."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tessera.bindings import Launchpad, Share, Vesting
from tessera.bindings.launchpad import Schedule, VestingOpened
from tessera.bindings.share import RevenueClaimed
from tessera.bindings.vesting import Released
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import InputError
from tessera.ownership.allowing import allow
from tessera.ownership.share import Claimed
from tessera.spec import vesting as spec
from tessera.units import AssetId, Shares, Units, UnixSeconds

__all__ = [
    "Unlock",
    "VestingView",
    "calendar",
    "claim",
    "find_vestings",
    "read_vesting",
    "release",
    "vest",
]

_MOST_SCHEDULES = 32


@dataclass(frozen=True, slots=True)
class Unlock:
    """A moment, and how much of a grant is unlocked by then in all (raw shares)."""

    time: UnixSeconds
    unlocked: Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class VestingView:
    """A grant as the chain shows it.

    Attributes
    ----------
    address, share, beneficiary
        The contract, what it holds, and for whom.
    schedule
        Amount in raw shares; start in unix seconds, cliff and duration in seconds behind it.
    released, releasable
        Raw shares that were sent, and that could be sent now.
    claimable
        Base units that all its shares, locked ones too, earned and nobody claimed.
    """

    address: str
    share: str
    beneficiary: str
    schedule: spec.Schedule
    released: Shares
    releasable: Shares
    claimable: Units


async def vest(
    sender: Sender,
    launchpad: Launchpad,
    asset: AssetId,
    share: Share,
    schedules: Sequence[Schedule],
) -> list[Vesting]:
    """Lock shares of the sender for beneficiaries, each on a schedule of its own.

    Raises
    ------
    InputError
        There is no schedule, or there are more than 32.
    TransactionReverted
        A schedule makes no sense, or the sender has fewer shares.
    """
    if not 1 <= len(schedules) <= _MOST_SCHEDULES:
        raise InputError(
            "vesting schedules", found=len(schedules), wanted=f"1 to {_MOST_SCHEDULES}"
        )
    await allow(sender, share, launchpad.address, sum(schedule.amount for schedule in schedules))
    receipt = await sender.send(launchpad.vest(asset, schedules))
    return [Vesting(event.vesting) for event in receipt.all_of(VestingOpened)]


async def find_vestings(
    reader: ChainReader,
    launchpad: Launchpad,
    *,
    asset: AssetId | None = None,
    beneficiary: str | None = None,
    first: int = 0,
) -> list[Vesting]:
    """Return the grants of an asset's shares, of a beneficiary, or all, oldest first."""
    logs = await reader.logs(
        VestingOpened,
        address=launchpad.address,
        topics=VestingOpened.topics(asset=asset, beneficiary=beneficiary),
        first=first,
    )
    return [Vesting(log.event.vesting) for log in logs]


async def read_vesting(reader: ChainReader, vesting: Vesting, *, now: UnixSeconds) -> VestingView:
    """Read a grant; `now` is what `releasable` is about."""
    (share, beneficiary, amount, start, cliff, duration), released = await asyncio.gather(
        reader.read(vesting.schedule()), reader.read(vesting.released())
    )
    held, claimable = await asyncio.gather(
        reader.read(Share(share).balanceOf(vesting.address)),
        reader.read(Share(share).claimable(vesting.address), at="pending"),
    )
    schedule = spec.Schedule(amount, start, cliff, duration)
    locked = amount - spec.unlocked_at(schedule, now)
    return VestingView(
        address=vesting.address,
        share=share,
        beneficiary=beneficiary,
        schedule=schedule,
        released=Shares(released),
        releasable=Shares(max(0, held - locked)),
        claimable=Units(claimable),
    )


async def release(sender: Sender, vesting: Vesting) -> Shares:
    """Send the beneficiary what has unlocked; 0 is no error. Anyone may."""
    receipt = await sender.send(vesting.release())
    released = receipt.all_of(Released, address=vesting.address)
    return Shares(sum(event.amount for event in released))


async def claim(sender: Sender, vesting: Vesting) -> Claimed:
    """Pay the beneficiary what all shares of the grant earned; 0 is no error."""
    receipt = await sender.send(vesting.claim())
    paid = [
        event.amount for event in receipt.all_of(RevenueClaimed) if event.holder == vesting.address
    ]
    return Claimed(Units(sum(paid)), receipt.tx_hash)


def calendar(schedule: spec.Schedule, *, steps: int = 4) -> list[Unlock]:
    """Say when how much is unlocked: at the cliff, and in equal steps of time up to the end.

    Parameters
    ----------
    schedule
        The grant.
    steps
        How many parts the time from the cliff to the end is shown in, 1 or more.

    Returns
    -------
    list of Unlock
        In order of time, the last one with all of it.
    """
    first = schedule.start + schedule.cliff
    rest = schedule.duration - schedule.cliff
    moments: Iterable[int] = {first + rest * step // steps for step in range(steps + 1)}
    return [
        Unlock(UnixSeconds(moment), Shares(spec.unlocked_at(schedule, moment)))
        for moment in sorted(moments)
    ]
