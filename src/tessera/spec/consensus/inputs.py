"""What an epoch is computed from, checked once when it is made.

Nothing here is computed; an input that the chain could not hold is refused with the name of the
field, so that no step of an epoch has to ask again.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import pairwise

from tessera.errors import InputError
from tessera.spec.consensus.fixed import U16_MAX

__all__ = [
    "MILLION",
    "ConsensusSource",
    "EpochKind",
    "Parameters",
    "Row",
    "Stake",
    "Subnet",
    "activity_cutoff",
    "rows_of",
    "stake_of",
]

MILLION = 1_000_000
_U64_MAX = 2**64 - 1
_STAKE_END = 2**63
_I16_MIN, _I16_MAX = -(2**15), 2**15 - 1
# A uid is a u16.
_UIDS_MAX = 2**16

Row = tuple[tuple[int, int], ...]
"""A sparse row: (column, u16) pairs, ascending by column; a listed zero is not the same as none."""

Stake = int | Fraction
"""Base units, a fraction where delegation left one."""


class ConsensusSource(enum.Enum):
    """Whose consensus liquid alpha measures a weight against."""

    CURRENT = "current"
    PREVIOUS = "previous"
    AUTO = "auto"
    """The previous epoch's where bonds_penalty is 65,535, else the current one."""


class EpochKind(enum.Enum):
    """What a subnet's epoch pays by."""

    YUMA = "yuma"
    NULL = "null"
    """No consensus: half of the epoch's emission by stake, the rest to nobody."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """A subnet's settings, as they are stored.

    Attributes
    ----------
    kappa
        Part of the stake that must support a weight, of 65,535.
    bonds_penalty
        How far bonds follow clipped weights instead of the given ones, of 65,535.
    bonds_moving_average
        What is kept of an old bond at each epoch, of 1,000,000.
    yuma3
        Bonds that each validator owns for itself, instead of shares of a column.
    liquid_alpha
        The rate at which a bond follows its weight depends on their distance. Yuma 3 only.
    alpha_low, alpha_high
        Bounds of that rate, of 65,535.
    alpha_sigmoid_steepness
        Hundredths, -32,768 to 32,767.
    consensus_source
        Whose consensus liquid alpha compares with.
    tempo
        Blocks from an epoch to the next.
    activity_cutoff
        Blocks without an update after which a uid is inactive.
    stake_threshold
        Base units below which a stake counts as none.
    max_validators
        Most validators with a permit; the owner's is not counted.
    commit_reveal
        Whether a pending commit older than a model's registration hides the model.
    kind
        What the epoch pays by.
    """

    kappa: int = 32_767
    bonds_penalty: int = U16_MAX
    bonds_moving_average: int = 900_000
    yuma3: bool = False
    liquid_alpha: bool = False
    alpha_low: int = 45_875
    alpha_high: int = 58_982
    alpha_sigmoid_steepness: int = 1_000
    consensus_source: ConsensusSource = ConsensusSource.AUTO
    tempo: int = 360
    activity_cutoff: int = 5_000
    stake_threshold: int = 0
    max_validators: int = 128
    commit_reveal: bool = False
    kind: EpochKind = EpochKind.YUMA

    def __post_init__(self) -> None:
        for name in ("kappa", "bonds_penalty", "alpha_low", "alpha_high"):
            _whole(name, getattr(self, name), 0, U16_MAX)
        _whole("bonds_moving_average", self.bonds_moving_average, 0, MILLION)
        _whole("alpha_sigmoid_steepness", self.alpha_sigmoid_steepness, _I16_MIN, _I16_MAX)
        for name in ("tempo", "activity_cutoff", "stake_threshold", "max_validators"):
            _whole(name, getattr(self, name), 0, _U64_MAX)
        for name in ("yuma3", "liquid_alpha", "commit_reveal"):
            _flag(name, getattr(self, name))

    @property
    def follows_previous(self) -> bool:
        """Whether liquid alpha compares with the previous epoch's consensus, if one is stored."""
        if self.consensus_source is ConsensusSource.AUTO:
            return self.bonds_penalty == U16_MAX
        return self.consensus_source is ConsensusSource.PREVIOUS


@dataclass(frozen=True, slots=True)
class Subnet:
    """All that one epoch of one subnet depends on, but weights and bonds.

    Attributes
    ----------
    parameters
        The subnet's settings.
    block
        Of this epoch.
    emission
        Base units to pay out. A subnet with several mechanisms splits its emission before, and runs
        an epoch for each with the mechanism's own weights and bonds.
    stake
        Base units per uid, with what was delegated to it.
    permit
        Whether the uid was a validator when the epoch began.
    last_update
        Block in which the uid last set (or committed) weights.
    registered
        Block in which the uid was registered.
    owner
        Uid of the subnet's owner, None if it has none: keeps a permit, its weight on itself and a
        stake below the threshold.
    last_step_block
        Of the last successful epoch, 0 before the first.
    commits
        (uid, block) of unexpired pending commits; a uid's earliest one counts.
    previous_consensus
        u16 per uid as the last epoch stored it, None if none is stored.

    Raises
    ------
    InputError
        A field is malformed, negative, too large, or of another length than `stake`.
    """

    parameters: Parameters
    block: int
    emission: int
    stake: tuple[Stake, ...]
    permit: tuple[bool, ...]
    last_update: tuple[int, ...]
    registered: tuple[int, ...]
    owner: int | None = None
    last_step_block: int = 0
    commits: tuple[tuple[int, int], ...] = ()
    previous_consensus: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        _list("stake", self.stake)
        uids = len(self.stake)
        if uids > _UIDS_MAX:
            raise InputError("uids", found=uids, wanted=f"at most {_UIDS_MAX:,}")
        for name in ("block", "last_step_block", "emission"):
            _whole(name, getattr(self, name), 0, _U64_MAX)
        if self.owner is not None:
            _whole("owner", self.owner, 0, uids - 1)
        for name in ("permit", "last_update", "registered"):
            _per_uid(name, getattr(self, name), uids)
        object.__setattr__(self, "stake", tuple(stake_of(each) for each in self.stake))
        # A sum that saturated would hand out more than all of the stake.
        if (whole := sum(self.stake)) >= _STAKE_END:
            raise InputError("stake of all", found=str(whole), wanted="below 2**63")
        for uid in range(uids):
            _flag(f"permit[{uid}]", self.permit[uid])
            _whole(f"last_update[{uid}]", self.last_update[uid], 0, _U64_MAX)
            _whole(f"registered[{uid}]", self.registered[uid], 0, _U64_MAX)
        _list("commits", self.commits)
        for index, commit in enumerate(self.commits):
            committer, at = _pair(f"commits[{index}]", commit)
            _whole(f"commits[{index}]: uid", committer, 0, uids - 1)
            _whole(f"commits[{index}]: block", at, 0, _U64_MAX)
        if self.previous_consensus is not None:
            _per_uid("previous_consensus", self.previous_consensus, uids)
            for uid, ratio in enumerate(self.previous_consensus):
                _whole(f"previous_consensus[{uid}]", ratio, 0, U16_MAX)

    @property
    def uids(self) -> int:
        """Number of uids."""
        return len(self.stake)


def rows_of(name: str, rows: object, uids: int) -> tuple[Row, ...]:
    """Check a sparse matrix and order its rows by column.

    Parameters
    ----------
    name
        Of the matrix, for the refusal.
    rows
        A row of (column, u16) pairs per uid.
    uids
        Number of rows and columns.

    Returns
    -------
    tuple[Row, ...]
        The same entries, ascending by column.

    Raises
    ------
    InputError
        A row is missing or malformed, a column out of range or twice in a row, a value no u16.
    """
    return tuple(
        _row(f"{name}[{uid}]", row, uids) for uid, row in enumerate(_per_uid(name, rows, uids))
    )


def activity_cutoff(tempo: int, factor: int = 13_889) -> int:
    """Compute after how many blocks a silent uid is inactive.

    Parameters
    ----------
    tempo
        Blocks from an epoch to the next.
    factor
        Thousandths of a tempo.

    Returns
    -------
    int
        Blocks, at least 1; rounds down.
    """
    return max(1, factor * tempo // 1000)


def stake_of(value: object) -> Stake:
    """Read a stake exactly.

    Parameters
    ----------
    value
        An integer, a Fraction, a finite Decimal or float, or a decimal string.

    Returns
    -------
    int | Fraction
        Base units.

    Raises
    ------
    InputError
        It is not a number, negative, or at least 2**63.
    """
    wanted = "base units, a number from 0 to below 2**63"
    if isinstance(value, str):
        try:
            value = Decimal(value)
        except InvalidOperation:
            raise InputError("stake", found=value, wanted=wanted) from None
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise InputError("stake", found=str(value), wanted=wanted)
    if isinstance(value, bool) or not isinstance(value, int | Fraction | Decimal | float):
        raise InputError("stake", found=value, wanted=wanted)
    if not 0 <= value < _STAKE_END:
        raise InputError("stake", found=str(value), wanted=wanted)
    if isinstance(value, int):
        return value
    exact = Fraction(value)
    return exact.numerator if exact.denominator == 1 else exact


def _whole(name: str, value: object, least: int, most: int) -> None:
    wrong = isinstance(value, bool) or not isinstance(value, int)
    if wrong or not least <= value <= most:  # type: ignore[operator]
        raise InputError(name, found=value, wanted=f"an integer from {least:,} to {most:,}")


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InputError(name, found=value, wanted="true or false")


def _list(name: str, values: object) -> Sequence[object]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InputError(name, found=values, wanted="a list")
    return values


def _per_uid(name: str, values: object, uids: int) -> Sequence[object]:
    found = _list(name, values)
    if len(found) != uids:
        raise InputError(name, found=f"{len(found)} entries", wanted=f"{uids}, one per uid")
    return found


def _pair(name: str, value: object) -> tuple[object, object]:
    pair = _list(name, value)
    if len(pair) != 2:
        raise InputError(name, found=value, wanted="a pair")
    return pair[0], pair[1]


def _row(name: str, row: object, uids: int) -> Row:
    pairs = [_pair(name, pair) for pair in _list(name, row)]
    for column, value in pairs:
        _whole(f"{name}: column", column, 0, uids - 1)
        _whole(f"{name}: value", value, 0, U16_MAX)
    ordered: Row = tuple(sorted(pairs))  # type: ignore[arg-type]
    for (column, _), (after, _) in pairwise(ordered):
        if column == after:
            raise InputError(f"{name}: column", found=column, wanted="each column once")
    return ordered
