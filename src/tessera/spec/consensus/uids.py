"""The steps of an epoch that look at one uid at a time: activity, stake, permits, what is paid.

Both exact versions use them; they differ only in how they go through weights and bonds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tessera.spec.consensus.fixed import FRACTION_BITS, ONE, add, from_u16, normalised, parts, total
from tessera.spec.consensus.inputs import MILLION, Stake, Subnet

__all__ = [
    "Paid",
    "Voters",
    "bond_rate",
    "commit_blocks",
    "last_epoch_start",
    "liquid_reference",
    "null_paid",
    "paid",
    "top_stakes",
    "voters",
]

_STAKE_FRACTION_BITS = 64


@dataclass(frozen=True, slots=True)
class Voters:
    """Who counts in this epoch.

    Attributes
    ----------
    active
        Updated recently enough.
    permit
        Whose weights count: as stored, and the owner.
    next_permit
        Whose weights will count from the next epoch on.
    stake
        Parts of all stake, raw.
    active_stake
        Parts of the stake that votes, raw.
    """

    active: list[bool]
    permit: list[bool]
    next_permit: list[bool]
    stake: list[int]
    active_stake: list[int]


@dataclass(frozen=True, slots=True)
class Paid:
    """What an epoch pays per uid, in base units, each rounded down."""

    models: list[int]
    validators: list[int]
    combined: list[int]


def voters(subnet: Subnet) -> Voters:
    """Say who is active, who votes with what stake, and who will vote next."""
    cutoff = subnet.parameters.activity_cutoff
    active = [last + cutoff >= subnet.block for last in subnet.last_update]
    stake = _stake_parts(subnet)
    permit = [held or uid == subnet.owner for uid, held in enumerate(subnet.permit)]
    next_permit = top_stakes(stake, subnet.parameters.max_validators, zeros=False)
    if subnet.owner is not None:
        next_permit[subnet.owner] = True
    voting = [
        part if awake and allowed else 0
        for part, awake, allowed in zip(stake, active, permit, strict=True)
    ]
    return Voters(active, permit, next_permit, stake, normalised(voting))


def _stake_parts(subnet: Subnet) -> list[int]:
    threshold = subnet.parameters.stake_threshold
    counted = [
        0 if int(stake) < threshold and uid != subnet.owner else _stake_raw(stake)
        for uid, stake in enumerate(subnet.stake)
    ]
    whole = sum(counted)
    return [(raw << FRACTION_BITS) // whole for raw in counted] if whole else counted


def _stake_raw(stake: Stake) -> int:
    """I64F64, rounded down."""
    if isinstance(stake, int):
        return stake << _STAKE_FRACTION_BITS
    return (stake.numerator << _STAKE_FRACTION_BITS) // stake.denominator


def top_stakes(values: Sequence[int], most: int, *, zeros: bool) -> list[bool]:
    """Choose the largest values; among equal ones the later uids.

    Parameters
    ----------
    values
        Raw, per uid.
    most
        How many are chosen at most.
    zeros
        Whether a zero can be chosen.

    Returns
    -------
    list[bool]
        Per uid.
    """
    chosen = [zeros or value != 0 for value in values]
    if len(values) >= most:
        ascending = sorted(range(len(values)), key=values.__getitem__)
        for uid in ascending[: len(values) - most]:
            chosen[uid] = False
    return chosen


def commit_blocks(subnet: Subnet) -> list[int | None]:
    """Give each uid's earliest pending commit; None where it has none or none counts."""
    earliest: list[int | None] = [None] * subnet.uids
    if subnet.parameters.commit_reveal:
        for uid, block in subnet.commits:
            known = earliest[uid]
            earliest[uid] = block if known is None else min(known, block)
    return earliest


def last_epoch_start(subnet: Subnet) -> int:
    """Give the block from which on a registration is newer than the stored bonds."""
    if subnet.last_step_block:
        return subnet.last_step_block + 1
    return max(subnet.block - subnet.parameters.tempo, 0)


def bond_rate(bonds_moving_average: int) -> int:
    """Give the rate at which a bond follows its weight, raw; what is kept rounds down."""
    return ONE - (bonds_moving_average << FRACTION_BITS) // MILLION


def liquid_reference(subnet: Subnet, consensus: list[int]) -> list[int] | None:
    """Give the consensus that liquid alpha measures against.

    Parameters
    ----------
    subnet
        Of the epoch.
    consensus
        As this epoch computed it, raw.

    Returns
    -------
    list[int] | None
        Raw; None where the rate is fixed instead.
    """
    parameters = subnet.parameters
    if not parameters.yuma3 or not parameters.liquid_alpha:
        return None
    reference = consensus
    if subnet.previous_consensus is not None and parameters.follows_previous:
        reference = [from_u16(ratio) for ratio in subnet.previous_consensus]
    return reference if any(reference) else None


def paid(subnet: Subnet, who: Voters, incentive: Sequence[int], dividends: Sequence[int]) -> Paid:
    """Divide an epoch's emission; by stake where neither models nor validators earned anything."""
    whole = add(total(incentive), total(dividends))
    if whole:
        models = parts(incentive, whole)
        validators = parts(dividends, whole)
        both = [
            add(model, validator) for model, validator in zip(incentive, dividends, strict=True)
        ]
        combined = parts(both, whole)
    else:
        models = list(incentive)
        validators = combined = who.active_stake if any(who.active_stake) else who.stake
    return Paid(
        *(_amounts(shares, subnet.emission) for shares in (models, validators, combined)),
    )


def null_paid(subnet: Subnet, who: Voters) -> Paid:
    """Pay half of an epoch's emission by stake; the other half, rounded up, is paid to nobody."""
    amounts = _amounts(who.stake, subnet.emission // 2)
    return Paid([0] * subnet.uids, amounts, amounts)


def _amounts(shares: Sequence[int], emission: int) -> list[int]:
    return [(share * emission) >> FRACTION_BITS for share in shares]
