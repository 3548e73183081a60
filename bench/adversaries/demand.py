"""Emission for demand of one's own: washed fees, also after a rise of TSR, and a pumped pool.

What is minted and what a pool pays come from the contracts' twins, with the default terms.
"""

from __future__ import annotations

from bench.adversaries.rows import Row
from tessera.spec.emission import EmissionModel, EmissionTerms
from tessera.spec.weighted_pool import SubnetMarketModel

__all__ = ["washers"]

_WHOLE = 10**18
_GENESIS = 10_000_000 * _WHOLE
_DEMAND = 10 * _WHOLE
"""What the commons get of the washed fees, in a currency of 18 decimals: far below the budget."""
_RISES = (0, 10, 50, 90, 100, 200)
"""Percent that TSR costs more than its means when the period is closed."""
_OPENING, _PUMP = 1_000 * _WHOLE, 10_000 * _WHOLE


def washers() -> list[Row]:
    """Compare what comes back of a unit that is put in with honesty, which puts nothing in."""
    rows = []
    for rise in _RISES:
        worth = _minted(_DEMAND) * (100 + rise) // 100
        rows.append(
            Row(
                strategy="washes fees through a subnet of its own"
                + (f", TSR {rise} % above its means" if rise else ""),
                honest=0.0,
                earns=worth / _DEMAND - 1.0,
                why="per unit of the commons' half, which is gone; all else comes back to who owns "
                "the model, the endpoint and all validators",
            )
        )
    rows.append(
        Row(
            strategy="pumps its subnet's pool, and sells again",
            honest=0.0,
            earns=(_sold_again(_PUMP) + _minted(0)) / _PUMP - 1.0,
            why="emission does not look at the price, and the pool takes its fee twice",
        )
    )
    return rows


def _minted(demand: int) -> int:
    """Let one subnet have all demand of a period, at a mean price of 1; raw TSR."""
    terms = EmissionTerms()
    books = EmissionModel(terms, _GENESIS)
    for counted in (0, demand):
        books.collect_demand(1, counted, 1, epoch_at=0)
    books.close(terms.period, price=_WHOLE, fees=demand, commons="commons")
    return books.gathered(1)[0]


def _sold_again(amount: int) -> int:
    """Buy a subnet's tokens for raw TSR, and sell them; raw TSR."""
    market = SubnetMarketModel(EmissionTerms().long_window)
    market.open(1, _OPENING, now=0)
    tokens = market.buy(1, amount, now=1)
    return market.sell(1, tokens, now=2)
