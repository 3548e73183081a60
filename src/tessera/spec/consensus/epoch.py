"""One epoch in plain integers: the version to read, and the judge of the fast one.

A matrix is a list of rows, a row a dictionary from column to raw number. A listed zero is not the
same as no entry: under liquid alpha an old bond lives on only where the new weight is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tessera.spec.consensus.fixed import (
    FRACTION_BITS,
    HALF,
    ONE,
    add,
    div,
    from_u16,
    mul,
    normalised,
    sigmoid,
    sub,
    to_u16,
    total,
)
from tessera.spec.consensus.inputs import EpochKind, Parameters, Row, Subnet, rows_of
from tessera.spec.consensus.results import EpochResult, result_of
from tessera.spec.consensus.uids import (
    Voters,
    bond_rate,
    commit_blocks,
    last_epoch_start,
    liquid_reference,
    voters,
)

__all__ = ["Matrix", "column_consensus", "run_epoch", "weighted_consensus"]

Matrix = list[dict[int, int]]
"""Rows of raw numbers by column."""


def run_epoch(
    subnet: Subnet, weights: Sequence[Row], bonds: Sequence[Row]
) -> EpochResult[tuple[Row, ...]]:
    """Compute one epoch.

    Parameters
    ----------
    subnet
        An empty one is fine, and one with a single validator.
    weights, bonds
        A row per uid; no weights at all are fine.

    Returns
    -------
    EpochResult
        The same on every machine.

    Raises
    ------
    InputError
        A row is malformed.
    """
    given = rows_of("weights", weights, subnet.uids)
    held = rows_of("bonds", bonds, subnet.uids)
    who = voters(subnet)
    if subnet.parameters.kind is EpochKind.NULL:
        zeros = [0] * subnet.uids
        return result_of(subnet, who, zeros, zeros, zeros, zeros, held)

    counted = _counted_weights(subnet, who, given)
    kappa = from_u16(subnet.parameters.kappa)
    consensus = column_consensus(who.active_stake, counted, kappa, subnet.uids)
    clipped = [_clipped(row, consensus) for row in counted]
    trust = [total(row.values()) for row in clipped]
    rank = _column_totals(_times_stake(clipped, who.active_stake), subnet.uids)
    incentive = normalised(rank)

    followed = _followed_weights(counted, clipped, subnet.parameters)
    old = _kept_bonds(subnet, held)
    if subnet.parameters.yuma3:
        new = _yuma3_bonds(subnet, consensus, followed, old)
        earned = _earned(_columns_normalised(new, subnet.uids), incentive)
        dividends = normalised(
            [mul(part, stake) for part, stake in zip(earned, who.active_stake, strict=True)]
        )
    else:
        new = _yuma2_bonds(subnet, who, followed, old)
        dividends = normalised(_earned(new, incentive))
        new = _columns_upscaled(new, subnet.uids)
    stored = tuple(
        _stored_row(row) if permit else () for row, permit in zip(new, who.next_permit, strict=True)
    )
    return result_of(subnet, who, consensus, trust, incentive, dividends, stored)


def weighted_consensus(stakes: Sequence[int], scores: Iterable[int], minority: int) -> int:
    """Give the smallest score with more than a minority of stake at or below it.

    Parameters
    ----------
    stakes
        Raw, in the scores' order.
    scores
        Raw.
    minority
        Raw stake that is not enough.

    Returns
    -------
    int
        A score; the largest one where all stake together is not enough, 0 without any.
    """
    below = 0
    score = 0
    for score, stake in sorted(zip(scores, stakes, strict=True)):
        below = add(below, stake)
        if below > minority:
            return score
    return score


def column_consensus(stakes: Sequence[int], weights: Matrix, kappa: int, columns: int) -> list[int]:
    """Give for each column the largest weight that kappa of the stake supports.

    Parameters
    ----------
    stakes
        Raw, per row; who has none has no vote.
    weights
        Raw rows.
    kappa
        Raw.
    columns
        How many.

    Returns
    -------
    list[int]
        Raw, one of each column's weights.
    """
    voting = [row for row, stake in enumerate(stakes) if stake > 0]
    votes = normalised([stakes[row] for row in voting])
    minority = sub(total(votes), kappa)
    return [
        weighted_consensus(votes, [weights[row].get(column, 0) for row in voting], minority)
        for column in range(columns)
    ]


def _counted_weights(subnet: Subnet, who: Voters, weights: Sequence[Row]) -> Matrix:
    """Weights of validators, on others, set after the model was registered; rows normalised."""
    earliest = commit_blocks(subnet)
    matrix: Matrix = []
    for uid, row in enumerate(weights):
        updated, committed = subnet.last_update[uid], earliest[uid]
        kept: dict[int, int] = {}
        for column, weight in row if who.permit[uid] else ():
            registered = subnet.registered[column]
            on_itself = column == uid and uid != subnet.owner
            hidden = committed is not None and committed < registered
            if not on_itself and updated > registered and not hidden:
                kept[column] = weight << FRACTION_BITS
        matrix.append(dict(zip(kept, normalised(list(kept.values())), strict=True)))
    return matrix


def _clipped(row: dict[int, int], consensus: Sequence[int]) -> dict[int, int]:
    return {
        column: min(weight, consensus[column])
        for column, weight in row.items()
        if weight <= consensus[column] or consensus[column] > 0
    }


def _followed_weights(weights: Matrix, clipped: Matrix, parameters: Parameters) -> Matrix:
    """What bonds grow towards: between the given weights and the clipped ones."""
    penalty = from_u16(parameters.bonds_penalty)
    if penalty == 0:
        return weights
    if penalty == ONE:
        return clipped
    matrix: Matrix = []
    for row, cut in zip(weights, clipped, strict=True):
        between = {
            column: add(weight, mul(penalty, sub(cut.get(column, 0), weight)))
            for column, weight in row.items()
        }
        matrix.append({column: weight for column, weight in between.items() if weight})
    return matrix


def _kept_bonds(subnet: Subnet, bonds: Sequence[Row]) -> Matrix:
    """Stored bonds as integers, without those to a uid that somebody else had then."""
    start = last_epoch_start(subnet)
    return [
        {column: bond << FRACTION_BITS for column, bond in row if subnet.registered[column] < start}
        for row in bonds
    ]


def _yuma2_bonds(subnet: Subnet, who: Voters, followed: Matrix, old: Matrix) -> Matrix:
    """Shares of each column, moved towards what stake and weights buy today."""
    old = _columns_normalised(old, subnet.uids)
    bought = _columns_normalised(_times_stake(followed, who.active_stake), subnet.uids)
    rate = bond_rate(subnet.parameters.bonds_moving_average)
    return _columns_normalised(_moved(bought, old, rate), subnet.uids)


def _yuma3_bonds(subnet: Subnet, consensus: list[int], followed: Matrix, old: Matrix) -> Matrix:
    """Each validator's own bonds, moved towards its weights."""
    parts = [
        {column: from_u16(bond >> FRACTION_BITS) for column, bond in row.items()} for row in old
    ]
    reference = liquid_reference(subnet, consensus)
    if reference is None:
        return _moved(followed, parts, bond_rate(subnet.parameters.bonds_moving_average))
    rate = _liquid_rate(subnet.parameters)
    matrix: Matrix = []
    for row, had in zip(followed, parts, strict=True):
        # An old bond that meets no listed weight is gone at once: the chain's matrices are lists.
        mixed = {
            column: _liquid_bond(weight, bond, rate(weight, bond, reference[column]))
            for column, weight in row.items()
            for bond in (had.get(column, 0),)
        }
        matrix.append({column: bond for column, bond in mixed.items() if bond})
    return matrix


def _liquid_rate(parameters: Parameters) -> Callable[[int, int, int], int]:
    low, high = from_u16(parameters.alpha_low), from_u16(parameters.alpha_high)
    slope = -div(parameters.alpha_sigmoid_steepness << FRACTION_BITS, 100 << FRACTION_BITS)

    def rate(weight: int, bond: int, consensus: int) -> int:
        distance = sub(weight, consensus) if weight >= bond else sub(bond, weight)
        distance = max(0, min(distance, ONE))
        steep = sigmoid(mul(slope, sub(distance, HALF)))
        return max(low, min(add(low, mul(steep, sub(high, low))), high))

    return rate


def _liquid_bond(weight: int, bond: int, rate: int) -> int:
    kept = mul(sub(ONE, rate), bond)
    return min(add(kept, max(mul(rate, weight), 0)), ONE)


def _moved(towards: Matrix, old: Matrix, rate: int) -> Matrix:
    """Move old bonds by a fixed rate; what comes to zero is no bond."""
    matrix: Matrix = []
    for row, had in zip(towards, old, strict=True):
        mixed = {
            column: add(mul(rate, row.get(column, 0)), mul(ONE - rate, had.get(column, 0)))
            for column in row.keys() | had.keys()
        }
        matrix.append({column: bond for column, bond in mixed.items() if bond})
    return matrix


def _times_stake(matrix: Matrix, stakes: Sequence[int]) -> Matrix:
    return [
        {column: mul(value, stake) for column, value in row.items()}
        for row, stake in zip(matrix, stakes, strict=True)
    ]


def _column_totals(matrix: Matrix, columns: int) -> list[int]:
    sums = [0] * columns
    for row in matrix:
        for column, value in row.items():
            sums[column] = add(sums[column], value)
    return sums


def _columns_normalised(matrix: Matrix, columns: int) -> Matrix:
    sums = _column_totals(matrix, columns)
    return [
        {
            column: div(value, sums[column]) if sums[column] else value
            for column, value in row.items()
        }
        for row in matrix
    ]


def _columns_upscaled(matrix: Matrix, columns: int) -> Matrix:
    """Divide each column by its largest entry."""
    largest = [0] * columns
    for row in matrix:
        for column, value in row.items():
            largest[column] = max(largest[column], value)
    return [
        {
            column: div(value, largest[column]) if largest[column] else value
            for column, value in row.items()
        }
        for row in matrix
    ]


def _earned(bonds: Matrix, incentive: Sequence[int]) -> list[int]:
    return [total(mul(bond, incentive[column]) for column, bond in row.items()) for row in bonds]


def _stored_row(row: dict[int, int]) -> Row:
    return tuple((column, to_u16(bond)) for column, bond in sorted(row.items()))
