"""When a result is what a reference vector states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tessera.errors import DataError

__all__ = ["equal", "near", "some"]


def some(values: Any) -> Sequence[Any]:
    """Insist on a list with something in it: what is empty proves nothing."""
    if not isinstance(values, list) or not values:
        raise DataError("steps or cases", found=str(values), wanted="a list that is not empty")
    return values


def equal(name: str, found: Sequence[Any], wanted: Sequence[Any]) -> None:
    """Refuse a list that differs in any entry."""
    if len(found) != len(wanted):
        raise DataError(name, found=f"{len(found)} entries", wanted=f"{len(wanted)}")
    for index, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        # A truth value is no number here, though Python counts with it.
        if ours != theirs or isinstance(ours, bool) != isinstance(theirs, bool):
            raise DataError(f"{name}[{index}]", found=ours, wanted=str(theirs))


def near(name: str, found: Any, wanted: Any, bound: float) -> None:
    """Refuse numbers of which any is further off than a bound."""
    ours, theirs = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    if ours.shape != theirs.shape:
        raise DataError(name, found=f"shape {ours.shape}", wanted=f"{theirs.shape}")
    # Written so that what is no number is not near either.
    far = ~(np.abs(ours - theirs) <= bound)
    if far.any():
        index = tuple(int(axis[0]) for axis in np.nonzero(far))
        raise DataError(
            f"{name}{list(index)}",
            found=float(ours[index]),
            wanted=f"{float(theirs[index])!r} within {bound}",
        )
