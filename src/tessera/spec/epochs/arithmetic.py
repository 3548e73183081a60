"""An epoch for all columns at once, in the contract's integers.

Numbers are I32F32, raw, none below 0, in uint64: what `tessera.spec.consensus` computes, except
that each step is a whole matrix (rows x columns) and that every number which the contract sees on
its way is kept. A false header can make the numbers that follow from it wrap; who looks for faults
checks what comes before first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tessera.spec.consensus.fixed import from_u16
from tessera.spec.consensus.vote import Vote
from tessera.spec.epochs.inputs import Rules

__all__ = ["U40", "WORD", "Ranked", "column_words", "old_bonds", "ranked", "stake_words"]

ONE: Final = 2**32
U16: Final = 2**16 - 1
U32: Final = 2**32 - 1
U40: Final = 2**40 - 1
U64: Final = 2**64 - 1

Matrix = npt.NDArray[np.uint64]

WORD: Final = np.dtype(
    [("pad", "V12"), ("dividends", ">u8"), ("trust", ">u8"), ("bond", ">u2"), ("weight", ">u2")]
)
"""One word of a column as the EVM has it: 32 bytes, highest first."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """What comes before the sum of all ranks is known.

    Attributes
    ----------
    weights
        Normalised by row (rows x columns).
    consensus, rank
        By column.
    """

    weights: Matrix
    consensus: Matrix
    rank: Matrix


def stake_words(
    stakes: Sequence[int], totals: Sequence[int], former: Sequence[int], sums: int | None = None
) -> tuple[list[int], int]:
    """Give each row's word and the word of their sums.

    Parameters
    ----------
    stakes
        Base units; 0 of a void row.
    totals
        The sums of the rows' weights; 0 of a void row.
    former
        The same validators' rows in the last final epoch, + 1; 0 for none.
    sums
        What a header says the sums are; the true ones where it is left out.
    """
    whole = sum(stakes)
    shares = [stake * ONE // whole if whole else 0 for stake in stakes]
    all_shares = sum(shares) if sums is None else sums & U64
    active = [_div(share, all_shares) for share in shares]
    all_active = sum(active) if sums is None else sums >> 64 & U64
    voices = [_div(part, all_active) for part in active]
    words = [
        share | part << 40 | voice << 80 | min(total, U40) << 120 | place << 160
        for share, part, voice, total, place in zip(
            shares, active, voices, totals, former, strict=True
        )
    ]
    return words, sum(shares) | sum(active) << 64 | sum(voices) << 128


def ranked(weights: npt.NDArray[np.uint16], stakes: Sequence[int], rules: Rules) -> Ranked:
    """Compute steps 5 to 9: weights by row, consensus, clip, ranks.

    Parameters
    ----------
    weights
        As revealed (rows x columns); zeros of a void row.
    stakes
        The rows' words.
    """
    totals = _lane(stakes, 120)
    normalised = _divided(weights.astype(np.uint64), totals[:, None])
    active, voices = _lane(stakes, 40), _lane(stakes, 80)
    consensus = _consensus(normalised, active, voices, rules)
    clipped = np.minimum(normalised, consensus[None, :])
    return Ranked(normalised, consensus, _times(clipped, active[:, None]).sum(axis=0))


def column_words(
    weights: npt.NDArray[np.uint16],
    stakes: Sequence[int],
    rules: Rules,
    bonds: npt.NDArray[np.uint16],
    found: Ranked,
    incentive: int,
) -> tuple[npt.NDArray[np.void], list[tuple[int, int]]]:
    """Compute steps 9 to 12: the words of every column, and each row's dividends and trust.

    Parameters
    ----------
    bonds
        Stored ones of the last final epoch (rows x columns), 0 for none.
    incentive
        The sum of all ranks.
    """
    active = _lane(stakes, 40)[:, None]
    clipped = np.minimum(found.weights, found.consensus[None, :])
    aims = _between(found.weights, clipped, rules)
    rate = ONE - (rules.bonds_moving_average * ONE) // 1_000_000
    held = bonds.astype(np.uint64)
    if rules.yuma3:
        grown = _moved(aims, (held << np.uint64(32)) // np.uint64(U16), rate)
        parts, stored = _shared(grown), grown
    else:
        grown = _moved(_shared(_times(aims, active)), _shared(held), rate)
        parts = _shared(grown)
        stored = _divided(parts, parts.max(axis=0)[None, :])
    kept = np.minimum((stored * np.uint64(U16)) >> np.uint64(32), np.uint64(U16))
    kept = np.where(active > 0, kept, np.uint64(0))
    shares = np.array([_div(int(rank), incentive) & U64 for rank in found.rank], dtype=np.uint64)
    dividends = np.cumsum(_times(parts, shares[None, :]), axis=1, dtype=np.uint64)
    trust = np.cumsum(clipped, axis=1, dtype=np.uint64)

    words = np.zeros((weights.shape[1], weights.shape[0]), dtype=WORD)
    words["weight"], words["bond"] = weights.T, kept.T
    words["trust"], words["dividends"] = trust.T, dividends.T
    earned = dividends[:, -1]
    if rules.yuma3:
        earned = _times(earned, active[:, 0])
    return words, [(int(d), int(t)) for d, t in zip(earned, trust[:, -1], strict=True)]


def old_bonds(
    columns: Sequence[bytes | None], kept: Sequence[bool], former: Sequence[int]
) -> npt.NDArray[np.uint16]:
    """Read the stored bonds of the last final epoch by today's rows and models.

    Parameters
    ----------
    columns
        The words of that epoch's columns, by uid; those of a model that is kept must be there.
    kept
        For each model of today, whether it was there then.
    former
        For each row of today, the row then, + 1; 0 for none.
    """
    bonds = np.zeros((len(former), len(kept)), dtype=np.uint16)
    places = np.array(former, dtype=np.int64)
    rows = np.nonzero(places)[0]
    for column, same in enumerate(kept):
        words = columns[column] if same and column < len(columns) else None
        if words is not None:
            bonds[rows, column] = np.frombuffer(words, dtype=WORD)["bond"][places[rows] - 1]
    return bonds


def _consensus(weights: Matrix, active: Matrix, voices: Matrix, rules: Rules) -> Matrix:
    """Give the smallest score with more than `total - kappa` of stake at or below it."""
    voting = np.nonzero(active)[0]
    stakes = voices[voting].astype(np.int64)
    minority = int(stakes.sum()) - from_u16(rules.kappa)
    vote = Vote(lines=voting, stakes=stakes, silent=0, minority=minority)
    return vote.consensus(weights.T.astype(np.int64)).astype(np.uint64)


def _between(given: Matrix, clipped: Matrix, rules: Rules) -> Matrix:
    """W + mul(penalty, Wc - W): the product of something negative rounds down."""
    penalty = from_u16(rules.bonds_penalty)
    cut = given - clipped
    down = _times(cut, np.uint64(penalty))
    exact = (cut * np.uint64(penalty)) & np.uint64(U32) == 0
    return given - down - np.where(exact, np.uint64(0), np.uint64(1))


def _moved(aims: Matrix, held: Matrix, rate: int) -> Matrix:
    return _times(aims, np.uint64(rate)) + _times(held, np.uint64(ONE - rate))


def _shared(values: Matrix) -> Matrix:
    return _divided(values, values.sum(axis=0)[None, :])


def _times(left: Matrix, right: Matrix | np.uint64) -> Matrix:
    """floor(left * right / 2^32), neither above 2^40; in two halves, as 64 bits are too few."""
    high, low = left >> np.uint64(16), left & np.uint64(U16)
    product: Matrix = (high * right + ((low * right) >> np.uint64(16))) >> np.uint64(16)
    return product


def _divided(left: Matrix, right: Matrix) -> Matrix:
    """floor(left * 2^32 / right), 0 for a divisor of 0; in two steps of 16 bits."""
    divisor = np.maximum(right, np.uint64(1))
    high, rest = np.divmod(left << np.uint64(16), divisor)
    quotient = (high << np.uint64(16)) + (rest << np.uint64(16)) // divisor
    found: Matrix = np.where(right == 0, np.uint64(0), quotient)
    return found


def _lane(words: Sequence[int], shift: int) -> Matrix:
    return np.array([word >> shift & U40 for word in words], dtype=np.uint64)


def _div(a: int, b: int) -> int:
    return (a << 32) // b if b else 0
