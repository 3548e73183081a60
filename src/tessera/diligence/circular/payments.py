"""Payments as the methods see them: who paid whom, when, and how much, in the chain's order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessera.errors import InputError

__all__ = ["Payments"]


@dataclass(frozen=True, slots=True)
class Payments:
    """One token's payments between entities, in chain order: a place in the arrays is a moment.

    Attributes
    ----------
    source, target
        int32, shape (n,): entities, from 0 on and below `entities`.
    time
        int64, shape (n,): seconds since 1970-01-01 UTC, never falling.
    size
        float64, shape (n,): amounts, nearest float. They are compared with each other and never
        added up to a sum of money: that is done on the exact amounts, by which a mask selects.
    entities
        How many there are.

    Raises
    ------
    InputError
        Lengths differ, times fall, or an entity is out of range.
    """

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    time: NDArray[np.int64]
    size: NDArray[np.float64]
    entities: int

    def __post_init__(self) -> None:
        lengths = {len(self.source), len(self.target), len(self.time), len(self.size)}
        if len(lengths) != 1:
            raise InputError("payments", found=sorted(lengths), wanted="columns of one length")
        if not len(self):
            return
        if bool((np.diff(self.time) < 0).any()):
            raise InputError(
                "payments", found="times that fall", wanted="the order in which the chain has them"
            )
        for column in (self.source, self.target):
            if int(column.min()) < 0 or int(column.max()) >= self.entities:
                raise InputError(
                    "payments",
                    found=f"entities {column.min()} to {column.max()}",
                    wanted=f"0 to {self.entities - 1}",
                )

    def __len__(self) -> int:
        return len(self.source)

    def pairs(self) -> NDArray[np.int64]:
        """A number for each payment's ordered pair of payer and payee, shape (n,)."""
        return self.source.astype(np.int64) * self.entities + self.target
