"""What a call costs: a fixed part, and a part for each 1,000 units that go in and come out.

Rounding is in the operator's favour, once per call: the two parts are added before they are
divided. A consumer who sends one large call instead of many small ones keeps the difference.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tessera.units import BPS

__all__ = ["MAX_PRICE", "UNITS_PER_PRICE", "Price"]

MAX_PRICE: Final = 2**72 - 1
"""What `Registry.vy` can store, per part, in base units."""

UNITS_PER_PRICE: Final = 1_000


class Price(msgspec.Struct, frozen=True):
    """Prices of one endpoint, in base units of the currency.

    Attributes
    ----------
    per_call
        For every answered call.
    per_1k_in, per_1k_out
        For 1,000 units of input and of output.
    """

    per_call: int = 0
    per_1k_in: int = 0
    per_1k_out: int = 0

    @property
    def free(self) -> bool:
        """Whether no call costs anything."""
        return not (self.per_call or self.per_1k_in or self.per_1k_out)

    def discounted(self, discount_bps: int) -> Price:
        """Return what is left of each part below a discount, rounded up: the operator's favour.

        Examples
        --------
        >>> Price(per_call=10, per_1k_in=1).discounted(2_500)
        Price(per_call=8, per_1k_in=1, per_1k_out=0)
        """
        left = BPS - discount_bps
        parts = (self.per_call, self.per_1k_in, self.per_1k_out)
        return Price(*(-(-part * left // BPS) for part in parts))

    def cost_ceil(self, units_in: int, units_out: int) -> int:
        """Return what a call of so many units costs, rounded up.

        Examples
        --------
        >>> Price(per_call=10, per_1k_in=1).cost_ceil(1, 0)
        11
        """
        metered = units_in * self.per_1k_in + units_out * self.per_1k_out
        return self.per_call + -(-metered // UNITS_PER_PRICE)
