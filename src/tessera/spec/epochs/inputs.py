"""What the result of an epoch is computed from: what Scores, Subnets and Epochs say on chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tessera.errors import InputError
from tessera.spec.scores import Row
from tessera.spec.signatures import Address

if TYPE_CHECKING:
    from tessera.spec.epochs.results import PostedEpoch

__all__ = ["MAX_ROWS", "EpochInputs", "Former", "RevealedRow", "Rules"]

MAX_ROWS: Final = 256

_U16: Final = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Rules:
    """A subnet's parameters of consensus.

    Attributes
    ----------
    kappa
        Part of the stake that must support a weight, of 65,535.
    bonds_penalty
        How far bonds follow clipped weights instead of the given ones, of 65,535.
    bonds_moving_average
        What is kept of an old bond at each epoch, of 1,000,000.
    yuma3
        Bonds that each validator owns for itself, at a fixed rate.
    """

    kappa: int = 32_767
    bonds_penalty: int = 65_535
    bonds_moving_average: int = 900_000
    yuma3: bool = False

    def __post_init__(self) -> None:
        if not (
            0 <= self.kappa <= _U16
            and 0 <= self.bonds_penalty <= _U16
            and 0 <= self.bonds_moving_average <= 1_000_000
        ):
            raise InputError(
                "rules of an epoch",
                found=(self.kappa, self.bonds_penalty, self.bonds_moving_average),
                wanted="two u16 and at most 1,000,000",
            )

    @property
    def word(self) -> int:
        """As a result states them."""
        return (
            self.kappa
            | self.bonds_penalty << 16
            | self.bonds_moving_average << 32
            | int(self.yuma3) << 64
        )


@dataclass(frozen=True, slots=True)
class RevealedRow:
    """One validator's scores.

    Attributes
    ----------
    validator
        Who revealed it.
    stake
        Base units, as Scores noted them at the commit.
    weights
        A u16 for each model, 0 for none.
    void
        Its data was withheld: it counts nothing, whatever else it says.
    """

    validator: Address
    stake: int
    weights: tuple[int, ...]
    void: bool = False

    @property
    def row(self) -> Row:
        """As Scores knows it."""
        return Row(dict(enumerate(self.weights)), len(self.weights))


@dataclass(frozen=True, slots=True)
class Former:
    """The last final epoch of a subnet, whose bonds go on.

    Attributes
    ----------
    epoch
        Its number.
    posted
        Its result with all parts.
    validators
        Who revealed, in the order of its rows.
    kept
        For each model of today, whether it held its uid then too.
    """

    epoch: int
    posted: PostedEpoch
    validators: tuple[Address, ...]
    kept: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class EpochInputs:
    """Everything that an epoch's result depends on.

    Attributes
    ----------
    columns
        How many models there are.
    rows
        In the order of their reveals, at most 256.
    rules
        The subnet's.
    digest
        Scores' hash over the rows.
    former
        None for the first result of a subnet, and after an epoch that nobody posted in time.

    Raises
    ------
    InputError
        Something of it is nothing that the contracts could hold.
    """

    columns: int
    rows: tuple[RevealedRow, ...]
    rules: Rules = field(default_factory=Rules)
    digest: bytes = bytes(32)
    former: Former | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.rows) <= MAX_ROWS or self.columns <= 0:
            raise InputError(
                "epoch",
                found=f"{len(self.rows)} rows of {self.columns} models",
                wanted=f"1 to {MAX_ROWS} rows, and a model",
                next_step="skip an epoch without rows or models",
            )
        for number, row in enumerate(self.rows):
            bad = [weight for weight in row.weights if not 0 <= weight <= _U16]
            if len(row.weights) != self.columns or bad or row.stake < 0:
                raise InputError(
                    f"row {number} of an epoch",
                    found=f"{len(row.weights)} weights, stake {row.stake}",
                    wanted=f"{self.columns} weights of 0 to {_U16}, stake 0 or more",
                )
        if self.former is not None and len(self.former.kept) != self.columns:
            raise InputError(
                "models of the last final epoch",
                found=len(self.former.kept),
                wanted=f"one answer for each of {self.columns} models",
            )

    @property
    def stake(self) -> int:
        """Stake of all rows that are not void, base units."""
        return sum(row.stake for row in self.rows if not row.void)
