"""`Allocation.vy` again in plain Python: contributors' parts, and what they earn until claimed.

`revenue` arguments are what the Share would pay the Allocation at that moment, base units. What the
contract reverts raises `TransactionReverted` with the same string and changes nothing. Held against
the contract by `test_allocation_matches_spec.py`.
"""

from __future__ import annotations

from tessera.errors import TransactionReverted
from tessera.spec.accruals import AccrualsModel
from tessera.spec.signatures import Address
from tessera.units import BPS

__all__ = ["AllocationModel", "part_of"]


def part_of(amount: int, weight: int) -> int:
    """Compute the raw shares due for a weight of 10,000, rounded down."""
    return amount * weight // BPS


class AllocationModel:
    """One allocation: which leaves were claimed, and what is left.

    Parameters
    ----------
    amount
        Raw shares for all contributors together.
    """

    def __init__(self, amount: int) -> None:
        self.amount = self.left = amount
        self.accruals = AccrualsModel()
        self._claimed: set[bytes] = set()

    def hand_over(self, leaf: bytes, weight: int, *, revenue: int) -> tuple[int, int]:
        """Claim a contribution; raw shares for its vesting, and base units that they earned."""
        amount = part_of(self.amount, weight)
        _require(leaf not in self._claimed, "allocation: claimed already")
        _require(amount <= self.left, "allocation: weights above the whole")
        self.accruals.pull(revenue, self.left)
        self._claimed.add(leaf)
        self.left -= amount
        account = Address(leaf[12:])
        self.accruals.settle(account, amount)
        return amount, self.accruals.take(account)

    def earned_by(self, leaf: bytes, weight: int, *, revenue: int) -> int:
        """Return what a claim would pay; base units."""
        if leaf in self._claimed:
            return 0
        return self.accruals.claimable(
            Address(leaf[12:]),
            part_of(self.amount, weight),
            revenue=revenue,
            held=self.left,
            heir=None,
        )


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Allocation", reason)
