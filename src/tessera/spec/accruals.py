"""`modules/accruals.vy` again in plain Python: revenue of shares held for the people behind them.

One model is the accruals of one share. What earns is counted in units of the contract's own (raw
shares in a sale or a lock, liquidity in a pool); the index is revenue for each unit, in base units
times 2^96, and what does not divide is carried to the next time. `revenue` arguments are what the
Share would pay the contract at that moment, base units.

Held against the contracts by the stateful tests of those that use it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from tessera.spec.signatures import Address

__all__ = ["SCALE_BITS", "AccrualsModel"]

SCALE_BITS: Final = 96
_MASK_FRACTION: Final = 2**SCALE_BITS - 1


class AccrualsModel:
    """What came in for one share, what was taken, and what each account is owed.

    Attributes
    ----------
    received, distributed
        Base units that came in through the Share, and that were taken out of them.
    """

    def __init__(self) -> None:
        self.received = self.distributed = self._kept_for_heir = 0
        self._index = self._carry = 0
        self._index_of: defaultdict[Address, int] = defaultdict(int)
        self._owed: defaultdict[Address, int] = defaultdict(int)

    def pull(self, revenue: int, held: int, heir: Address | None = None) -> None:
        """Spread what comes in over `held` units; `heir` gets it while no unit earns."""
        if revenue == 0:
            return
        self.received += revenue
        if heir is not None and self._kept_for_heir:
            kept = min(revenue, self._kept_for_heir)
            self._kept_for_heir = 0
            self._owed[heir] += kept << SCALE_BITS
            revenue -= kept
        scaled = (revenue << SCALE_BITS) + self._carry
        if held:
            # Rounded down; what does not divide is carried to the next time.
            grown, self._carry = divmod(scaled, held)
            self._index += grown
        elif heir is not None:
            self._owed[heir] += revenue << SCALE_BITS
        else:
            self._carry = scaled

    def keep_for_heir(self, revenue: int) -> None:
        """Write down that revenue which the Share could not pay now is the heir's alone."""
        self._kept_for_heir = revenue

    def settle(self, account: Address, earning: int) -> None:
        """Credit what `earning` units of an account earned since it was settled last."""
        self._owed[account] += earning * (self._index - self._index_of[account])
        self._index_of[account] = self._index

    def take(self, account: Address) -> int:
        """Take the whole base units off a settled account; the fraction stays."""
        scaled = self._owed[account]
        self._owed[account] = scaled & _MASK_FRACTION
        self.distributed += scaled >> SCALE_BITS
        return scaled >> SCALE_BITS

    def leave_all_to(self, heir: Address) -> None:
        """Give one account everything that was not taken, because nobody else has a part in it."""
        self._owed[heir] = (self.received - self.distributed) << SCALE_BITS

    def claimable(
        self, account: Address, earning: int, *, revenue: int, held: int, heir: Address | None
    ) -> int:
        """Return what `take` would give after `pull` and `settle`; base units."""
        scaled, index = self._owed[account], self._index
        if revenue:
            kept = 0 if heir is None else min(revenue, self._kept_for_heir)
            if account == heir:
                scaled += (kept if held else revenue) << SCALE_BITS
            if held:
                index += ((revenue - kept << SCALE_BITS) + self._carry) // held
        return (scaled + earning * (index - self._index_of[account])) >> SCALE_BITS
