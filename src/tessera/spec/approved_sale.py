"""`ApprovedSale.vy`'s amounts again in plain Python: what leaves early, and what a refund pays.

Invariant `escrow_until_final`; held against the contract by `test_approved_sale.py`. Amounts are
base units of the currency, shares raw units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tessera.errors import TransactionReverted

__all__ = ["EscrowModel", "early_limit", "refund_of"]

_EARLY_PART: Final = 5


def early_limit(bonds_worth: int, released: int) -> int:
    """Return what may still leave before an approval is final.

    Parameters
    ----------
    bonds_worth
        What the approving bonds are worth.
    released
        What left early already, over all sales of the round.
    """
    return max(0, bonds_worth // _EARLY_PART - released)


def refund_of(held: int, shares: int, left: int) -> int:
    """Return what shares are paid back with: their part of what is held, rounded down.

    Parameters
    ----------
    left
        Raw shares that were sold and not brought back yet.
    """
    return held * shares // left


@dataclass(slots=True)
class EscrowModel:
    """What one sale brought, once its round ended without an approval."""

    held: int
    bought: Mapping[str, int]
    returned: dict[str, int] = field(default_factory=dict)

    def refund(self, buyer: str, shares: int) -> int:
        """Take shares back from a buyer; who comes last gets what rounding left.

        Raises
        ------
        TransactionReverted
            It did not buy that many here.
        """
        brought = self.returned.get(buyer, 0) + shares
        if shares <= 0 or brought > self.bought.get(buyer, 0):
            raise TransactionReverted("ApprovedSale", "approved_sale: more than the caller bought")
        left = sum(self.bought.values()) - sum(self.returned.values())
        amount = refund_of(self.held, shares, left)
        self.returned[buyer] = brought
        self.held -= amount
        return amount
