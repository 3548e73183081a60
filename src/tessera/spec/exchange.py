"""`Exchange.vy` again in plain Python: prices, liquidity, revenue of the providers, mean prices.

A pool is a constant product of raw token units and base units of the currency, with a fee that
stays in it. The tokens themselves are left out: `revenue` arguments are what the pool's Share would
pay the Exchange at that moment, base units (0 for an Access). What the contract reverts raises
`TransactionReverted` with the same string and changes nothing.

Invariants `solvent`, `conserved`, `price_honest`, `can_always_claim`, `no_past_revenue` and
`never_early`; held against the contract by `test_exchange_matches_spec.py` and
`test_exchange_promises.py`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from math import isqrt
from typing import Final, NamedTuple

from tessera.errors import TransactionReverted
from tessera.spec.accruals import AccrualsModel
from tessera.spec.signatures import Address
from tessera.units import BPS

__all__ = [
    "BIAS",
    "BURNT",
    "FEES_BPS",
    "MAX_CURRENCY",
    "MAX_TOKENS",
    "MAX_WINDOW",
    "OBSERVE_EVERY",
    "ExchangeModel",
    "Observation",
    "Pool",
    "PoolModel",
    "bought_for",
    "cost_of",
    "liquidity_for",
    "liquidity_of",
    "log_price_of",
    "needed_for",
    "price_of",
    "proceeds_of",
]

FEES_BPS: Final = (5, 30, 100, 300)
"""What each tier keeps of what comes in."""

MAX_TOKENS: Final = 2**96 - 1
MAX_CURRENCY: Final = 2**86 - 1
LIQUIDITY_BITS: Final = 20
BURNT: Final = 2**20
"""Liquidity of every pool that belongs to nobody."""

BIAS: Final = 128
OBSERVE_EVERY: Final = 600
RING: Final = 1_024
MAX_WINDOW: Final = (RING - 1) * OBSERVE_EVERY
WHOLE: Final = 10**18
_MASK_40: Final = 2**40 - 1
_ONE_64: Final = 2**64
_LOG_A: Final = 8151930223953333248
_LOG_B: Final = 4928587993248025600
_LOG_C: Final = 2737984300067106304
_LOG_D: Final = 832850579147029632
_ROOTS: Final = (
    240615969168004511545033772477625056927,
    202333105926173297125496651828617737974,
    185540276208459938995127072211809418384,
    177673977198940748734846910156470796722,
    173866790246890464404407762706616159231,
    171993899476345128343537119045365325556,
    171065033261874822595940777772823543072,
    170602483006197525731794653098558769826,
    170371677106169961072198743641682326478,
    170256391277944949404429781835504013320,
    170198777621163499323692536336548950768,
    170169978104217854377876329753244978067,
)
"""2^(2^-1), 2^(2^-2) .. 2^(2^-12), times 2^127, rounded down."""


class Observation(NamedTuple):
    """The first change of a pool in a period of `OBSERVE_EVERY` seconds.

    Attributes
    ----------
    time
        Unix seconds.
    cumulative
        Log price times seconds until then, modulo 2^40.
    before
        When the change before was; the price held from then on.
    log_price
        What it was.
    """

    time: int
    cumulative: int
    before: int
    log_price: int

    def word(self) -> int:
        """Pack it as the contract's storage word."""
        return self.time | self.cumulative << 32 | self.before << 72 | self.log_price << 104


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool's storage word.

    Attributes
    ----------
    tokens
        Raw units of the token, at least 1 and below 2^96.
    currency
        Base units, at least 1 and below 2^86.
    time
        Unix seconds of the last change.
    cumulative
        Log price times seconds, modulo 2^40.
    tier
        Which of `FEES_BPS`.
    """

    tokens: int
    currency: int
    time: int = 0
    cumulative: int = 0
    tier: int = 1

    @property
    def kept_bps(self) -> int:
        """What is left of 10,000 after the fee."""
        return BPS - FEES_BPS[self.tier]

    def word(self) -> int:
        """Pack it as the contract's storage word."""
        amounts = self.tokens | self.currency << 96
        return amounts | self.time << 182 | self.cumulative << 214 | self.tier << 254


def proceeds_of(pool: Pool, tokens: int) -> int:
    """Compute what raw token units bring.

    Returns
    -------
    int
        Base units, rounded down: the pool keeps the dust.
    """
    _require(tokens <= MAX_TOKENS - pool.tokens, "exchange: pool is full")
    return _out(tokens * pool.kept_bps, pool.tokens, pool.currency)


def bought_for(pool: Pool, cost: int) -> int:
    """Compute how many raw token units base units buy, rounded down: the pool keeps the dust."""
    _require(cost <= MAX_CURRENCY - pool.currency, "exchange: pool is full")
    return _out(cost * pool.kept_bps, pool.currency, pool.tokens)


def cost_of(pool: Pool, tokens: int) -> int:
    """Compute what raw token units cost.

    Returns
    -------
    int
        Base units, rounded up: the pool never gets less than its price.
    """
    cost = _in(tokens, pool.tokens, pool.currency, pool.kept_bps)
    _require(cost <= MAX_CURRENCY - pool.currency, "exchange: pool is full")
    return cost


def needed_for(pool: Pool, proceeds: int) -> int:
    """Compute how many raw token units bring `proceeds` base units, rounded up."""
    tokens = _in(proceeds, pool.currency, pool.tokens, pool.kept_bps)
    _require(tokens <= MAX_TOKENS - pool.tokens, "exchange: pool is full")
    return tokens


def _out(paid: int, into: int, out_of: int) -> int:
    amount = out_of * paid // (into * BPS + paid)
    _require(amount != 0, "exchange: nothing comes out")
    return amount


def _in(amount: int, out_of: int, into: int, kept_bps: int) -> int:
    _require(amount != 0, "exchange: nothing comes out")
    _require(amount < out_of, "exchange: more than the pool has")
    return -(-(into * amount * BPS) // ((out_of - amount) * kept_bps))


def liquidity_of(tokens: int, currency: int) -> int:
    """Compute the liquidity of a new pool, what is burnt included; rounded down."""
    return isqrt((tokens * currency) << (2 * LIQUIDITY_BITS))


def liquidity_for(
    pool: Pool, total: int, most_tokens: int, most_currency: int
) -> tuple[int, int, int]:
    """Compute what at most so much of both sides adds to a pool whose liquidity is `total`.

    Returns
    -------
    tuple of int
        The liquidity, rounded down, and the tokens and the currency that it costs, rounded up.
    """
    _require(most_tokens <= MAX_TOKENS and most_currency <= MAX_CURRENCY, "exchange: pool is full")
    liquidity = min(most_tokens * total // pool.tokens, most_currency * total // pool.currency)
    _require(liquidity != 0, "exchange: too little")
    tokens = -(-(liquidity * pool.tokens) // total)
    currency = -(-(liquidity * pool.currency) // total)
    _require(
        tokens <= MAX_TOKENS - pool.tokens and currency <= MAX_CURRENCY - pool.currency,
        "exchange: pool is full",
    )
    return liquidity, tokens, currency


def log_price_of(tokens: int, currency: int) -> int:
    """Compute a pool's log price.

    Returns
    -------
    int
        log2(currency / tokens) + 128 with 12 bits behind the point, rounded down, and within a
        tenth of the last of them.
    """
    scaled = (currency << BIAS) // tokens
    power = scaled.bit_length() - 1
    m = ((scaled << (255 - power)) >> 191) & (_ONE_64 - 1)
    curve = _LOG_C - (m * _LOG_D >> 64)
    curve = _LOG_B - (m * curve >> 64)
    curve = _LOG_A - (m * curve >> 64)
    bulge = m * (_ONE_64 - m) >> 64
    return power << 12 | (m + (bulge * curve >> 64)) >> 52


def price_of(log_price: int) -> int:
    """Compute the price that a log price stands for.

    Returns
    -------
    int
        Base units for 10^18 raw units of the token, rounded down.
    """
    root = 2**127
    for place, factor in enumerate(_ROOTS):
        if log_price & (2**11 >> place):
            root = root * factor >> 127
    return root * WHOLE >> (127 + BIAS - (log_price >> 12))


@dataclass(slots=True)
class PoolModel:
    """One pool with its history, its providers and what its shares earned for them.

    Attributes
    ----------
    pool
        Reserves and clock.
    total
        All liquidity, what is burnt included.
    positions
        Liquidity of each provider.
    locked, locked_holder, locked_until
        How much of one provider's liquidity stays until when, unix seconds.
    accruals
        Revenue of the pool's shares.
    observations
        By period; the contract keeps the last `RING` of them.
    """

    pool: Pool
    total: int
    locked: int
    locked_holder: Address | None
    locked_until: int
    positions: defaultdict[Address, int] = field(default_factory=lambda: defaultdict(int))
    accruals: AccrualsModel = field(default_factory=AccrualsModel)
    observations: dict[int, Observation] = field(default_factory=dict)

    @property
    def earning(self) -> int:
        """Liquidity that belongs to somebody."""
        return self.total - BURNT

    def store(self, tokens: int, currency: int, now: int) -> None:
        """Write new reserves; the time of the old price is added up first, once a second."""
        pool = self.pool
        if now != pool.time:
            log_price = log_price_of(pool.tokens, pool.currency)
            cumulative = (pool.cumulative + log_price * (now - pool.time)) & _MASK_40
            period = now // OBSERVE_EVERY
            if period != pool.time // OBSERVE_EVERY:
                self.observations[period] = Observation(now, cumulative, pool.time, log_price)
            pool = replace(pool, time=now, cumulative=cumulative)
        self.pool = replace(pool, tokens=tokens, currency=currency)

    def twap(self, window: int, now: int) -> tuple[int, int]:
        """Return the geometric mean of the price over a window, and the seconds it covers."""
        _require(0 < window <= MAX_WINDOW, "exchange: window out of range")
        pool, start = self.pool, now - window
        log_price = log_price_of(pool.tokens, pool.currency)
        if pool.time <= start:
            return price_of(log_price), window
        first = start // OBSERVE_EVERY
        seen = next(
            self.observations[period]
            for period in range(first, first + RING)
            if period in self.observations
        )
        since, cumulative = seen.time, seen.cumulative
        if since > start:
            _require(seen.before <= start, "exchange: the pool is not that old")
            cumulative -= seen.log_price * (since - start)
            since = start
        grown = (pool.cumulative + log_price * (now - pool.time) - cumulative) & _MASK_40
        return price_of(grown // (now - since)), now - since

    def check_debit(self, provider: Address, amount: int, now: int) -> None:
        """Refuse to take off a provider what is not there or must stay."""
        left = self.positions[provider] - amount
        _require(left >= 0, "exchange: not that much liquidity")
        if provider == self.locked_holder and now < self.locked_until:
            _require(left >= self.locked, "exchange: liquidity is locked")

    def debit(self, provider: Address, amount: int, now: int) -> None:
        """Take liquidity off a provider."""
        self.check_debit(provider, amount, now)
        self.accruals.settle(provider, self.positions[provider])
        self.positions[provider] -= amount

    def credit(self, provider: Address, amount: int) -> None:
        """Give liquidity to a provider."""
        self.accruals.settle(provider, self.positions[provider])
        self.positions[provider] += amount


class ExchangeModel:
    """All pools of one Exchange.

    Parameters
    ----------
    currency
        The address that stands for the other side of every pool.
    """

    def __init__(self, currency: Address) -> None:
        self.currency = currency
        self.pools: dict[Address, PoolModel] = {}

    def pool_of(self, token: Address) -> PoolModel:
        """Return a token's pool."""
        _require(token in self.pools, "exchange: no such pool")
        return self.pools[token]

    # --- Swaps ----------------------------------------------------------------------------------

    def preview_exact_in(self, token_in: Address, token_out: Address, amount_in: int) -> int:
        """Return what exactly `amount_in` brings, rounded down."""
        _require(token_in != token_out, "exchange: one token on both sides")
        amount = amount_in
        if token_in != self.currency:
            amount = proceeds_of(self.pool_of(token_in).pool, amount)
        if token_out != self.currency:
            amount = bought_for(self.pool_of(token_out).pool, amount)
        return amount

    def preview_exact_out(self, token_in: Address, token_out: Address, amount_out: int) -> int:
        """Return what exactly `amount_out` takes, rounded up."""
        _require(token_in != token_out, "exchange: one token on both sides")
        amount = amount_out
        if token_out != self.currency:
            amount = cost_of(self.pool_of(token_out).pool, amount)
        if token_in != self.currency:
            amount = needed_for(self.pool_of(token_in).pool, amount)
        return amount

    def swap_exact_in(
        self,
        token_in: Address,
        token_out: Address,
        amount_in: int,
        least_out: int,
        *,
        now: int,
        deadline: int,
    ) -> int:
        """Trade exactly `amount_in`; at least `least_out` comes out."""
        _require(now <= deadline, "exchange: too late")
        out = self.preview_exact_in(token_in, token_out, amount_in)
        _require(out >= least_out, "exchange: less than the limit")
        self._trade(token_in, token_out, amount_in, out, now=now)
        return out

    def swap_exact_out(
        self,
        token_in: Address,
        token_out: Address,
        amount_out: int,
        most_in: int,
        *,
        now: int,
        deadline: int,
    ) -> int:
        """Trade for exactly `amount_out`; at most `most_in` goes in."""
        _require(now <= deadline, "exchange: too late")
        taken = self.preview_exact_out(token_in, token_out, amount_out)
        _require(taken <= most_in, "exchange: more than the limit")
        self._trade(token_in, token_out, taken, amount_out, now=now, exact_out=True)
        return taken

    def _trade(
        self,
        token_in: Address,
        token_out: Address,
        amount_in: int,
        amount_out: int,
        *,
        now: int,
        exact_out: bool = False,
    ) -> None:
        between = amount_in if token_in == self.currency else amount_out
        if self.currency not in (token_in, token_out):
            if exact_out:
                between = cost_of(self.pools[token_out].pool, amount_out)
            else:
                between = proceeds_of(self.pools[token_in].pool, amount_in)
        if token_in != self.currency:
            sold = self.pools[token_in]
            sold.store(sold.pool.tokens + amount_in, sold.pool.currency - between, now)
        if token_out != self.currency:
            bought = self.pools[token_out]
            bought.store(bought.pool.tokens - amount_out, bought.pool.currency + between, now)

    # --- Liquidity ------------------------------------------------------------------------------

    def open_pool(
        self,
        token: Address,
        tokens: int,
        currency: int,
        tier: int,
        provider: Address,
        locked_until: int,
        *,
        now: int,
    ) -> int:
        """Open a token's one pool; the provider's liquidity."""
        _require(token not in self.pools, "exchange: pool exists")
        _require(tier < len(FEES_BPS), "exchange: no such fee")
        _require(tokens <= MAX_TOKENS and currency <= MAX_CURRENCY, "exchange: pool is full")
        liquidity = liquidity_of(tokens, currency)
        _require(liquidity > BURNT, "exchange: too little")
        locked = locked_until > now
        model = PoolModel(
            Pool(tokens, currency, now, 0, tier),
            liquidity,
            liquidity - BURNT if locked else 0,
            provider if locked else None,
            locked_until if locked else 0,
        )
        model.observations[now // OBSERVE_EVERY] = Observation(now, 0, now, 0)
        model.credit(provider, liquidity - BURNT)
        self.pools[token] = model
        return liquidity - BURNT

    def preview_add(
        self, token: Address, most_tokens: int, most_currency: int
    ) -> tuple[int, int, int]:
        """Return what `add_liquidity` would do with at most so much of each side.

        Returns
        -------
        tuple of int
            The liquidity, rounded down, and the tokens and the currency that it costs, rounded up.
        """
        model = self.pool_of(token)
        return liquidity_for(model.pool, model.total, most_tokens, most_currency)

    def add_liquidity(
        self,
        token: Address,
        most_tokens: int,
        most_currency: int,
        least_liquidity: int,
        provider: Address,
        *,
        now: int,
        deadline: int,
        revenue: int,
    ) -> tuple[int, int, int]:
        """Put both sides in at the present price; what `preview_add` says."""
        _require(now <= deadline, "exchange: too late")
        liquidity, tokens, currency = self.preview_add(token, most_tokens, most_currency)
        _require(liquidity >= least_liquidity, "exchange: less than the limit")
        model = self.pool_of(token)
        pool = model.pool
        model.accruals.pull(revenue, model.earning)
        model.store(pool.tokens + tokens, pool.currency + currency, now)
        model.total += liquidity
        model.credit(provider, liquidity)
        return liquidity, tokens, currency

    def remove_liquidity(
        self,
        token: Address,
        liquidity: int,
        least_tokens: int,
        least_currency: int,
        provider: Address,
        *,
        now: int,
        deadline: int,
        revenue: int,
    ) -> tuple[int, int]:
        """Take a provider's part out; tokens and currency, both rounded down."""
        _require(now <= deadline, "exchange: too late")
        model = self.pool_of(token)
        pool, total = model.pool, model.total
        tokens = liquidity * pool.tokens // total
        currency = liquidity * pool.currency // total
        model.check_debit(provider, liquidity, now)
        _require(
            tokens >= least_tokens and currency >= least_currency,
            "exchange: less than the limit",
        )
        model.accruals.pull(revenue, model.earning)
        model.debit(provider, liquidity, now)
        model.total -= liquidity
        model.store(pool.tokens - tokens, pool.currency - currency, now)
        return tokens, currency

    def transfer(
        self,
        token: Address,
        sender: Address,
        receiver: Address,
        amount: int,
        *,
        now: int,
        revenue: int,
    ) -> None:
        """Give liquidity away, without what it earned so far."""
        model = self.pool_of(token)
        model.check_debit(sender, amount, now)
        model.accruals.pull(revenue, model.earning)
        model.debit(sender, amount, now)
        model.credit(receiver, amount)

    def claim(self, token: Address, provider: Address, *, revenue: int) -> int:
        """Pay a provider's revenue; base units, the fraction stays on the account."""
        model = self.pool_of(token)
        model.accruals.pull(revenue, model.earning)
        model.accruals.settle(provider, model.positions[provider])
        return model.accruals.take(provider)

    def claimable(self, token: Address, provider: Address, *, revenue: int) -> int:
        """Return what `claim` would pay."""
        model = self.pool_of(token)
        return model.accruals.claimable(
            provider, model.positions[provider], revenue=revenue, held=model.earning, heir=None
        )


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise TransactionReverted("Exchange", reason)
