"""`SubnetPool.vy` and `modules/powers.vy` again in plain Python: weighted pools of subnet tokens.

A pool holds raw subnet tokens and raw network tokens (TSR) under `tokens^w1 * tsr^w2` with
`w1 + w2 = 1`. Amounts are accounts; who holds which token is left out. What the contract reverts
raises `TransactionReverted` with the same string and changes nothing.

Promises `solvent`, `conserved`, `price_honest`, `can_always_claim` and `settled_once`; held against
the contract by `test_subnet_pool_matches_spec.py`, and the power against 120 decimal digits by
`test_weighted_pool_is_exact.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from tessera.errors import TransactionReverted

__all__ = [
    "BAND",
    "LEAST_IN",
    "LEAST_OPENING",
    "LEAST_WEIGHT",
    "MAX_RESERVE",
    "MOST_IN",
    "SUPPLY",
    "WHOLE",
    "SubnetMarketModel",
    "WeightedPool",
    "fee_of",
    "given",
    "injected",
]

MAX_RESERVE: Final = 2**96 - 1
WHOLE: Final = 10**18
LEAST_WEIGHT: Final = 10**16
LEAST_IN: Final = 2 * 10**15
MOST_IN: Final = 1_000
LEAST_OPENING: Final = 10**18
BAND: Final = 2
SUPPLY: Final = 21_000_000 * 10**18
"""Raw units of every subnet's token: all there will ever be."""

_FEE: Final = (33, 65_535)
_ONE: Final = 2**128
_LOG_2_DOWN: Final = 235865763225513294137944142764154484399
_LOG_2_UP: Final = _LOG_2_DOWN + 1
_MAX_DOUBLINGS: Final = 10
_LOG_TERMS: Final = 42
_EXP_TERMS: Final = 36
_MAX_HALVINGS: Final = 128


def fee_of(amount: int) -> int:
    """Return what of an amount that comes in moves no price: 33 / 65,535, rounded down."""
    return amount * _FEE[0] // _FEE[1]


def given(reserve: int, into: int, added: int, weight_into: int, weight_out: int) -> int:
    """Compute `reserve * (1 - (into / (into + added)) ** (weight_into / weight_out))`.

    Parameters
    ----------
    reserve
        Of what goes out, raw units below 2^96.
    into, added
        Reserve of what comes in, and what of it counts; `added` at most 1,000 times `into`.
    weight_into, weight_out
        Their weights, of any one scale.

    Returns
    -------
    int
        Raw units: never above the exact value, at most two below it, and less than the reserve.
    """
    exponent = _log(into + added, into) * weight_into // weight_out
    halvings = exponent // _LOG_2_UP
    if halvings >= _MAX_HALVINGS:
        return reserve - 1
    left = (2**256 - 1) // _exp(exponent - halvings * _LOG_2_UP) + 1
    left = ((left - 1) >> halvings) + 1
    return reserve * (_ONE - left) >> 128


def _log(larger: int, smaller: int) -> int:
    # The natural logarithm of a ratio from 1 to 1,001 times 2^128, rounded down.
    doublings, base = 0, smaller
    while doublings < _MAX_DOUBLINGS and larger >= base << 1:
        base <<= 1
        doublings += 1
    term = ((larger - base) << 128) // (larger + base)
    square = term * term >> 128
    total = term
    for place in range(_LOG_TERMS):
        term = term * square >> 128
        total += term // (2 * place + 3)
    return 2 * total + doublings * _LOG_2_DOWN


def _exp(rest: int) -> int:
    # e^rest for rest below log 2, both times 2^128, rounded down.
    term = total = _ONE
    for place in range(1, _EXP_TERMS + 1):
        term = (term * rest >> 128) // place
        total += term
    return total


@dataclass(frozen=True, slots=True)
class WeightedPool:
    """One pool.

    Attributes
    ----------
    tokens, tsr
        Raw units; of a closed pool the tokens outside that were not redeemed, and what they share.
    weight
        Of the network token, times 10^18.
    mean, time
        Mean price (raw network tokens for 10^18 raw tokens), and when it was last counted.
    closed
        Whether the subnet was dissolved.
    """

    tokens: int
    tsr: int
    weight: int = WHOLE // 2
    mean: int = 0
    time: int = 0
    closed: bool = False

    @property
    def price(self) -> int:
        """Raw network tokens for 10^18 raw tokens, rounded down."""
        exact = (WHOLE - self.weight) * self.tsr * WHOLE // (self.weight * self.tokens)
        return min(exact, 2**128 - 1)

    def twap(self, now: int, window: int) -> int:
        """Return the mean with the present price counted in for as long as it stood."""
        stood = now - self.time
        return (self.mean * window + self.price * stood) // (window + stood)

    def bought(self, amount: int) -> int:
        """Compute how many raw tokens `amount` raw network tokens buy."""
        net = _net(amount, self.tsr)
        tokens = given(self.tokens, self.tsr, net, self.weight, WHOLE - self.weight)
        _require(tokens != 0, "subnet_pool: nothing comes out")
        return tokens

    def proceeds(self, tokens: int) -> int:
        """Compute how many raw network tokens `tokens` raw tokens bring."""
        net = _net(tokens, self.tokens)
        amount = given(self.tsr, self.tokens, net, WHOLE - self.weight, self.weight)
        _require(amount != 0, "subnet_pool: nothing comes out")
        return amount


def injected(pool: WeightedPool, amount: int) -> WeightedPool:
    """Put network tokens in at the price that the pool has.

    Returns
    -------
    WeightedPool
        Its weight is rounded down, so the price rises by less than 10^-16 of itself.
    """
    _require(amount <= MAX_RESERVE - pool.tsr, "subnet_pool: pool is full")
    part = pool.weight * (pool.tsr + amount)
    weight = part * WHOLE // ((WHOLE - pool.weight) * pool.tsr + part)
    _require(weight <= WHOLE - LEAST_WEIGHT, "subnet_pool: weight out of range")
    return replace(pool, tsr=pool.tsr + amount, weight=weight)


def _net(amount: int, into: int) -> int:
    _require(amount >= LEAST_IN, "subnet_pool: too little")
    _require(amount <= into * MOST_IN, "subnet_pool: too much at once")
    _require(amount <= MAX_RESERVE - into, "subnet_pool: pool is full")
    return amount - fee_of(amount)


@dataclass(slots=True)
class SubnetMarketModel:
    """All pools of one SubnetPool.

    Attributes
    ----------
    window
        Seconds after which a new price counts half in the mean.
    pools, openings
        By subnet.
    """

    window: int
    pools: dict[int, WeightedPool] = field(default_factory=dict)
    openings: dict[int, int] = field(default_factory=dict)

    def pool(self, subnet: int) -> WeightedPool:
        """Return a pool that still trades."""
        _require(subnet in self.pools, "subnet_pool: no such pool")
        pool = self.pools[subnet]
        _require(not pool.closed, "subnet_pool: closed")
        return pool

    def open(self, subnet: int, amount: int, *, now: int) -> None:
        """Make a subnet's market with all its tokens and `amount` raw network tokens."""
        _require(subnet not in self.pools, "subnet_pool: pool exists")
        _require(LEAST_OPENING <= amount <= MAX_RESERVE, "subnet_pool: opening out of range")
        pool = WeightedPool(SUPPLY, amount, time=now)
        self.pools[subnet] = replace(pool, mean=pool.price)
        self.openings[subnet] = amount

    def buy(self, subnet: int, amount: int, *, now: int, least: int = 0) -> int:
        """Give raw network tokens for raw tokens; what came out, rounded down."""
        pool = self.pool(subnet)
        tokens = pool.bought(amount)
        _require(tokens >= least, "subnet_pool: less than the limit")
        self._store(subnet, pool, now, tokens=pool.tokens - tokens, tsr=pool.tsr + amount)
        return tokens

    def sell(self, subnet: int, tokens: int, *, now: int, least: int = 0) -> int:
        """Give raw tokens for raw network tokens; what came out, rounded down."""
        pool = self.pool(subnet)
        amount = pool.proceeds(tokens)
        _require(amount >= least, "subnet_pool: less than the limit")
        self._store(subnet, pool, now, tokens=pool.tokens + tokens, tsr=pool.tsr - amount)
        return amount

    def inject(self, subnet: int, amount: int, *, now: int) -> None:
        """Give raw network tokens to a pool, for its holders."""
        _require(LEAST_IN <= amount <= MAX_RESERVE, "subnet_pool: amount out of range")
        pool = self.pool(subnet)
        mean, price = pool.twap(now, self.window), pool.price
        settled = price <= mean * BAND and mean <= price * BAND
        _require(settled, "subnet_pool: price is not settled")
        changed = injected(pool, amount)
        self._store(subnet, pool, now, tsr=changed.tsr, weight=changed.weight)

    def close(self, subnet: int) -> int:
        """End trade for good; what goes to the commons: the opening, or all where nobody holds."""
        pool = self.pool(subnet)
        outside = SUPPLY - pool.tokens
        commons = min(pool.tsr, self.openings[subnet]) if outside else pool.tsr
        self.pools[subnet] = WeightedPool(outside, pool.tsr - commons, 0, closed=True)
        return commons

    def redeem(self, subnet: int, tokens: int) -> int:
        """Give raw tokens back for their part of the pot, rounded down; the last gets the rest."""
        _require(subnet in self.pools and self.pools[subnet].closed, "subnet_pool: not closed")
        pool = self.pools[subnet]
        _require(0 < tokens <= pool.tokens, "subnet_pool: more than is outside")
        amount = pool.tsr * tokens // pool.tokens
        self.pools[subnet] = replace(pool, tokens=pool.tokens - tokens, tsr=pool.tsr - amount)
        return amount

    def _store(
        self,
        subnet: int,
        pool: WeightedPool,
        now: int,
        *,
        tokens: int | None = None,
        tsr: int,
        weight: int | None = None,
    ) -> None:
        self.pools[subnet] = WeightedPool(
            pool.tokens if tokens is None else tokens,
            tsr,
            pool.weight if weight is None else weight,
            pool.twap(now, self.window),
            now,
        )


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("SubnetPool", reason)
