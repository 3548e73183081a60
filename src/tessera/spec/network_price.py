"""`NetworkPrice.vy` again in plain Python: what network tokens are worth as security.

The lower of a long and a short mean price of their pool, `tessera.spec.exchange`'s, where enough is
locked in it. Amounts are raw tokens and base units of the currency; a price is base units for 10^18
raw tokens, a time unix seconds. What the contract reverts raises `TransactionReverted` with the
same string.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from tessera.errors import TransactionReverted
from tessera.spec.exchange import LIQUIDITY_BITS, WHOLE, PoolModel

__all__ = ["NetworkPriceModel", "locked_at", "locked_currency"]


def locked_currency(liquidity: int, price: int) -> int:
    """Compute the currency's side of some liquidity at a price, base units rounded down.

    Parameters
    ----------
    liquidity
        As the pool counts it: the root of tokens times currency, times 2^20.
    price
        Base units for 10^18 raw tokens.
    """
    return (liquidity * isqrt(price * WHOLE) // WHOLE) >> LIQUIDITY_BITS


def locked_at(pool: PoolModel, price: int, now: int) -> int:
    """Compute the currency's side, at a price, of what nobody can take out of a pool now."""
    return locked_currency(pool.locked, price) if now < pool.locked_until else 0


@dataclass(frozen=True, slots=True)
class NetworkPriceModel:
    """What a deployment fixes.

    Attributes
    ----------
    long_window, short_window
        Seconds of the two means.
    min_depth
        Base units that must be locked in the pool.
    """

    long_window: int
    short_window: int
    min_depth: int

    def price(self, pool: PoolModel, now: int) -> int:
        """Return the lower mean of a pool's price.

        Raises
        ------
        TransactionReverted
            The pool is too young, or too little is locked in it.
        """
        means = (pool.twap(window, now)[0] for window in (self.long_window, self.short_window))
        price = min(means)
        if locked_at(pool, price, now) < self.min_depth:
            raise TransactionReverted(
                "NetworkPrice", "network_price: too little is locked in the pool"
            )
        return price

    def value_of(self, tokens: int, pool: PoolModel, now: int) -> int:
        """Return what raw tokens are worth, base units rounded down."""
        return tokens * self.price(pool, now) // WHOLE
