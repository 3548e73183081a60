"""Two subnets' pools under random traders, gifts, time and dissolution, beside twin and sums."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rig.drawing import mostly
from rig.effort import times
from rig.people import Person, person
from rig.subnet_market import FOR_EVER, deploy_subnet_market
from rig.system import DAY
from rig.twins import both

from tessera.spec.weighted_pool import LEAST_IN, SUPPLY, WHOLE

SUBNETS = (1, 2)
TRADERS = [person("trader"), person("holder"), person("attacker")]


class SubnetPoolPromises(RuleBasedStateMachine):
    """Promises: solvent, conserved, price_honest, can_always_claim, settled_once."""

    @initialize(openings=st.tuples(*(st.integers(10**18, 10**24) for _ in SUBNETS)))
    def open(self, openings: tuple[int, ...]) -> None:
        self.market = market = deploy_subnet_market()
        self.token = {
            subnet: market.open(subnet, amount)
            for subnet, amount in zip(SUBNETS, openings, strict=True)
        }
        self.openings = dict(zip(SUBNETS, openings, strict=True))
        self.paid: Counter[int] = Counter()
        self.got: Counter[int] = Counter()
        for who in TRADERS:
            market.fund(who, 10**30)
            for token in self.token.values():
                token("approve", market.pool, 2**256 - 1, by=who.address)

    # --- What people do -------------------------------------------------------------------------

    @rule(
        who=st.sampled_from(TRADERS),
        subnet=mostly(SUBNETS, 3),
        part=st.one_of(st.fractions(0, 2), st.just(Fraction(1001))),
        dust=st.booleans(),
        strict=st.booleans(),
    )
    def buy(self, who: Person, subnet: int, part: Fraction, dust: bool, strict: bool) -> None:
        amount = LEAST_IN if dust else int(self.openings.get(subnet, 0) * part)
        model, now = self.market.model, self.market.now
        pool = model.pools.get(subnet)
        least = strict and pool is not None and not pool.closed and pool.tokens
        bought = both(
            lambda: model.buy(subnet, amount, now=now, least=int(least)),
            lambda: self.market.pool("buy", subnet, amount, int(least), FOR_EVER, by=who.address),
        )
        if bought is not None:
            self.paid[subnet] += amount

    @rule(who=st.sampled_from(TRADERS), subnet=st.sampled_from(SUBNETS), part=st.fractions(0, 1))
    def sell(self, who: Person, subnet: int, part: Fraction) -> None:
        tokens = int(self.token[subnet]("balanceOf", who.address) * part)
        model, now = self.market.model, self.market.now
        got = both(
            lambda: model.sell(subnet, tokens, now=now),
            lambda: self.market.pool("sell", subnet, tokens, 0, FOR_EVER, by=who.address),
        )
        self.got[subnet] += got or 0

    @rule(who=st.sampled_from(TRADERS), subnet=st.sampled_from(SUBNETS), part=st.fractions(0, 3))
    def inject(self, who: Person, subnet: int, part: Fraction) -> None:
        amount = int(self.openings[subnet] * part)
        model, now = self.market.model, self.market.now
        before = model.pools[subnet]
        both(
            lambda: model.inject(subnet, amount, now=now),
            lambda: self.market.pool("inject", subnet, amount, by=who.address),
        )
        if model.pools[subnet] != before:
            self.paid[subnet] += amount

    @rule(seconds=st.sampled_from([1, 600, DAY, 100 * DAY]))
    def wait(self, seconds: int) -> None:
        self.market.engine.now += seconds

    @rule(subnet=mostly((0, 0, 0, 0, 0, 0), 1, 2))
    def close(self, subnet: int) -> None:
        if subnet:
            gone = both(
                lambda: self.market.model.close(subnet),
                lambda: self._closed(subnet),
            )
            self.got[subnet] += gone or 0

    def _closed(self, subnet: int) -> int:
        before = self.market.held(self.market.commons)
        self.market.close(subnet)
        return self.market.held(self.market.commons) - before

    @rule(who=st.sampled_from(TRADERS), subnet=st.sampled_from(SUBNETS), part=st.fractions(0, 1))
    def redeem(self, who: Person, subnet: int, part: Fraction) -> None:
        tokens = int(self.token[subnet]("balanceOf", who.address) * part)
        got = both(
            lambda: self.market.model.redeem(subnet, tokens),
            lambda: self.market.pool("redeem", subnet, tokens, by=who.address),
        )
        self.got[subnet] += got or 0

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        pools = self.market.model.pools
        assert self.market.held(self.market.pool) == sum(pool.tsr for pool in pools.values())
        for subnet in SUBNETS:
            came_in = self.openings[subnet] + self.paid[subnet]
            assert came_in - self.got[subnet] == pools[subnet].tsr

    @invariant()
    def conserved(self) -> None:
        """No token is made or lost, and the pool knows which ones it has."""
        for subnet in SUBNETS:
            pool, token = self.market.model.pools[subnet], self.token[subnet]
            told = tuple(self.market.pool("pool_of", subnet))
            assert told == (pool.tokens, pool.tsr, pool.weight, pool.closed)
            outside = sum(token("balanceOf", who.address) for who in TRADERS)
            assert token("balanceOf", self.market.pool.address) == SUPPLY - outside
            assert pool.tokens == (outside if pool.closed else SUPPLY - outside)

    @invariant()
    def price_honest(self) -> None:
        """What stays when all tokens come back never falls, so what opened a pool is never sold.

        Ask the contract: everybody sells all they have, in a trial.
        """
        for subnet in SUBNETS:
            pool = self.market.model.pools[subnet]
            if pool.closed:
                continue
            assert self.market.pool("price_of", subnet) == pool.price
            assert self.market.pool("twap", subnet) == pool.twap(self.market.now, DAY)
            with self.market.engine.trial():
                for who in TRADERS:
                    self._sell_out(who, subnet)
                tokens, tsr, weight, _ = self.market.pool("pool_of", subnet)
            # Fewer tokens than the least amount stay outside, at most three times.
            assert tokens > SUPPLY - 3 * LEAST_IN * 1_000
            assert tsr >= self.openings[subnet]
            assert 10**16 <= weight <= WHOLE - 10**16

    def _sell_out(self, who: Person, subnet: int) -> None:
        # A pool takes at most 1,000 times what it has at once.
        for _ in range(8):
            tokens = self.token[subnet]("balanceOf", who.address)
            part = min(tokens, 1_000 * self.market.pool("pool_of", subnet)[0])
            if part < LEAST_IN:
                return
            self.market.pool("sell", subnet, part, 0, FOR_EVER, by=who.address)

    @invariant()
    def can_always_claim(self) -> None:
        """After the end everybody gets their part, in any order, and nothing stays."""
        with self.market.engine.trial():
            for subnet in SUBNETS:
                if not self.market.model.pools[subnet].closed:
                    self.market.close(subnet)
                for who in reversed(TRADERS):
                    self._leave(who, subnet)
            assert self.market.held(self.market.pool) == 0

    def _leave(self, who: Person, subnet: int) -> None:
        tokens = self.token[subnet]("balanceOf", who.address)
        if tokens:
            self.market.pool("redeem", subnet, tokens, by=who.address)

    @invariant()
    def settled_once(self) -> None:
        """All that was redeemed came out of one pot: what is left is the rest of it."""
        for subnet in SUBNETS:
            if self.market.model.pools[subnet].closed:
                assert self.got[subnet] <= self.openings[subnet] + self.paid[subnet]


TestSubnetPoolPromises = SubnetPoolPromises.TestCase
TestSubnetPoolPromises.settings = times(0.6)
