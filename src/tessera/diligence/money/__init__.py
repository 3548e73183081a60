"""Step 1: what users pay, what of it is no real demand, what reaches holders, and who pays."""

from __future__ import annotations

from tessera.diligence.money.measures import measure
from tessera.diligence.money.takings import payments_of

__all__ = ["measure", "payments_of"]
