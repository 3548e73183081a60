"""How one network's emission is shared among its subnets: by price, gated so that few are paid.

In float64: the chain's own figures move with every block, and an estimate is what they are for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tessera.errors import InputError

__all__ = ["DEFAULT_PAID_SUBNETS", "SubnetState", "emission_shares"]

DEFAULT_PAID_SUBNETS = 32


@dataclass(frozen=True, slots=True)
class SubnetState:
    """What a subnet's share depends on.

    Attributes
    ----------
    price
        Moving average of its token's price.
    burned
        Part of the models' reward that the owner's own keys earned, and burned; counted up to 1.
    enabled
        Whether it may be paid at all.
    eligible
        Whether it is started and open for registration.
    """

    price: float
    burned: float = 0.0
    enabled: bool = True
    eligible: bool = True

    def __post_init__(self) -> None:
        for name in ("price", "burned"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"subnet: {name}", found=str(value), wanted="a number from 0")


def emission_shares(
    subnets: Sequence[SubnetState],
    *,
    steepness: float = 3.0,
    bar: float | None = None,
    paid_subnets: int = DEFAULT_PAID_SUBNETS,
) -> list[float]:
    """Share the emission of a block.

    Parameters
    ----------
    subnets
        All of them.
    steepness
        Of the gate: at the bar half of a share is left, and below it ever less.
    bar
        The share at which half is left; None for that of the subnet at rank `paid_subnets`.
    paid_subnets
        Rank of the subnet that sets the bar. With fewer subnets than this there is no bar.

    Returns
    -------
    list[float]
        Parts of one in the subnets' order; all zero where nobody has a price.

    Raises
    ------
    InputError
        `steepness` or `bar` is no finite number from 0, or `paid_subnets` below 1.
    """
    for name, value in (("steepness", steepness), ("bar", 0.0 if bar is None else bar)):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(name, found=str(value), wanted="a number from 0")
    if paid_subnets < 1:
        raise InputError("paid_subnets", found=paid_subnets, wanted="at least 1")
    prices = _parts([subnet.price if subnet.eligible else 0.0 for subnet in subnets])
    base = _parts(
        [
            price * (1 - min(1.0, subnet.burned))
            for price, subnet in zip(prices, subnets, strict=True)
        ]
    )
    if bar is None:
        ranked = sorted(base, reverse=True)
        bar = ranked[paid_subnets - 1] if len(ranked) >= paid_subnets else 0.0
    gated = _parts([_gated(part, bar, steepness) for part in base])
    return _parts(
        [part if subnet.enabled else 0.0 for part, subnet in zip(gated, subnets, strict=True)]
    )


def _gated(part: float, bar: float, steepness: float) -> float:
    if part == 0:
        return 0.0
    # Written this way round a part far below the bar is 0 instead of too large a power.
    lower, higher = min(part, bar), max(part, bar)
    power = math.pow(lower / higher, steepness)
    return part / (1 + power) if part >= bar else part * power / (1 + power)


def _parts(values: Sequence[float]) -> list[float]:
    whole = math.fsum(values)
    return [value / whole for value in values] if whole else list(values)
