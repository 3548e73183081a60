"""Pools under random traders, providers, revenue, gifts and time, beside the twin and sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import permutations
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.contract import Contract, refused
from rig.currencies import CURRENCIES, LARGEST
from rig.effort import times
from rig.people import Person, person
from rig.pools import open_floor
from rig.system import DAY, ONE_SHARE

from tessera.errors import TransactionReverted
from tessera.spec.exchange import MAX_WINDOW, OBSERVE_EVERY, ExchangeModel, PoolModel
from tessera.spec.signatures import Address

PUBLISHER, KEEPER = person("publisher"), person("keeper")
PROVIDERS = [PUBLISHER, person("provider"), person("holder")]
TRADERS = [person("trader"), person("attacker")]
EVERYBODY = [*PROVIDERS, *TRADERS]
WHOLE = [name for name in CURRENCIES if name != "fee in transit"]
SUPPLY = 1_000_000 * ONE_SHARE
PARTS = st.one_of(st.fractions(0, Fraction(3, 2)), st.just(Fraction(1)))


class ExchangePromises(RuleBasedStateMachine):
    """Promises: solvent, conserved, price_honest, can_always_claim, no_past_revenue, never_early.

    A share's pool and an access's, with trades through one and through both.
    """

    @initialize(
        currency=st.sampled_from(sorted(WHOLE)),
        tokens=st.integers(ONE_SHARE, SUPPLY // 4),
        money=st.fractions(Fraction(1, 10**6), Fraction(1, 100)),
        tier=st.integers(0, 3),
        locked=st.sampled_from([0, DAY, 30 * DAY]),
        units=st.integers(2, 10_000),
    )
    def open(
        self, currency: str, tokens: int, money: Fraction, tier: int, locked: int, units: int
    ) -> None:
        self.floor = floor = open_floor(CURRENCIES[currency].world(), pool=False, supply=SUPPLY)
        self.world, self.exchange, self.share = floor.world, floor.exchange, floor.share
        self.unit = LARGEST[floor.currency("decimals")]
        self.access = floor.new_access()
        self.currency = floor.currency
        self.model = ExchangeModel(_at(floor.currency))
        for who in EVERYBODY:
            if who is not PUBLISHER:
                self.share("transfer", who.address, SUPPLY // 16, by=PUBLISHER.address)
                self.access("transfer", who.address, 10_000, by=PUBLISHER.address)
            for token in (self.share, self.access):
                floor.allow(who, token)
            self.world.fund(who, self.unit, spender=self.exchange)
        until = self.world.now + locked if locked else 0
        self.locked_until = until
        pay = int(self.unit * money) + 2
        self.paid_out = 0
        self.paid_in: Counter[Contract] = Counter()
        self.given: Counter[Contract] = Counter()
        for token, amount, end in ((self.share, tokens, until), (self.access, units, 0)):
            floor.open(token, tokens=amount, currency=pay, tier=tier, locked_until=end)
            self.model.open_pool(
                *(_at(token), amount, pay, tier, _key(PUBLISHER), end), now=self.world.now
            )
        self.locked = self.model.pools[_at(self.share)].locked
        self.roots = {token: self._root(token) for token in (self.share, self.access)}

    def _pool(self, token: Contract) -> PoolModel:
        return self.model.pools[_at(token)]

    def _root(self, token: Contract) -> Fraction:
        model = self._pool(token)
        return Fraction(model.pool.tokens * model.pool.currency, model.total**2)

    def _revenue(self, token: Contract) -> int:
        if token is self.access:
            return 0
        return int(self.share("claimable", self.exchange.address))

    def _both(self, model: Callable[[], Any], contract: Callable[[], Any]) -> Any:
        try:
            expected = model()
        except TransactionReverted as error:
            with refused(error.reason):
                contract()
            return None
        answer = contract()
        assert answer == expected
        return expected

    # --- What people do -------------------------------------------------------------------------

    @rule(
        who=st.sampled_from(TRADERS),
        sides=st.sampled_from([*permutations(range(3), 2), *permutations(range(3), 2), (1, 1)]),
        part=st.one_of(st.fractions(Fraction(1, 1_000), Fraction(1, 4)), PARTS),
        dust=st.sampled_from([False] * 5 + [True]),
        limit=st.sampled_from([None, 0, 0, 0, 1]),
        exact_out=st.booleans(),
        late=st.sampled_from([0] * 9 + [1]),
    )
    def swap(
        self,
        who: Person,
        sides: tuple[int, int],
        part: Fraction,
        dust: bool,
        limit: int | None,
        exact_out: bool,
        late: int,
    ) -> None:
        tokens = (self.currency, self.share, self.access)
        given, got = tokens[sides[0]], tokens[sides[1]]
        held = self._held(given, who)
        until, now = self.world.now - late, self.world.now
        key_in, key_out = _at(given), _at(got)
        if exact_out:
            room = self._pool(got if got is not self.currency else given).pool
            whole = room.currency if got is self.currency else room.tokens
            amount = 1 if dust else int(whole * part)
            try:
                most = self.model.preview_exact_out(key_in, key_out, amount)
            except TransactionReverted:
                most = held
            if most > held:
                return
            most = 2**256 - 1 if limit is None else most - limit
            plan = (given.address, got.address, amount, max(0, most), who.address, until)
            self._both(
                lambda: self.model.swap_exact_out(
                    key_in, key_out, amount, max(0, most), now=now, deadline=until
                ),
                lambda: self.exchange("swap_exact_out", *plan, by=who.address),
            )
            return
        amount = min(held, 1 if dust else int(held * part))
        try:
            least = self.model.preview_exact_in(key_in, key_out, amount)
        except TransactionReverted:
            least = 0
        least = 0 if limit is None else least + limit
        plan = (given.address, got.address, amount, least, who.address, until)
        self._both(
            lambda: self.model.swap_exact_in(
                key_in, key_out, amount, least, now=now, deadline=until
            ),
            lambda: self.exchange("swap_exact_in", *plan, by=who.address),
        )

    @rule(
        who=st.sampled_from(PROVIDERS),
        receiver=st.sampled_from(PROVIDERS),
        shares=st.booleans(),
        part=st.fractions(0, 1),
        money=st.fractions(0, 1),
    )
    def add(
        self, who: Person, receiver: Person, shares: bool, part: Fraction, money: Fraction
    ) -> None:
        token = self.share if shares else self.access
        tokens = int(self._held(token, who) * part)
        pay = int(self._held(self.currency, who) * money)
        now, revenue = self.world.now, self._revenue(token)
        expected = self._both(
            lambda: self.model.add_liquidity(
                *(_at(token), tokens, pay, 0, _key(receiver)),
                now=now,
                deadline=now,
                revenue=revenue,
            )[0],
            lambda: self.exchange(
                *("add_liquidity", token.address, tokens, pay, 0, receiver.address, now),
                by=who.address,
            ),
        )
        if expected is not None:
            event = self.exchange.events("LiquidityAdded")[0].arguments
            assert event["tokens"] <= tokens
            assert event["currency_amount"] <= pay

    @rule(who=st.sampled_from(PROVIDERS), shares=st.booleans(), part=PARTS, dust=st.booleans())
    def remove(self, who: Person, shares: bool, part: Fraction, dust: bool) -> None:
        token = self.share if shares else self.access
        liquidity = 1 if dust else int(self._pool(token).positions[_key(who)] * part)
        now, revenue = self.world.now, self._revenue(token)
        self._both(
            lambda: self.model.remove_liquidity(
                *(_at(token), liquidity, 0, 0, _key(who)), now=now, deadline=now, revenue=revenue
            ),
            lambda: self.exchange(
                *("remove_liquidity", token.address, liquidity, 0, 0, who.address, now),
                by=who.address,
            ),
        )

    @rule(
        who=st.sampled_from(PROVIDERS),
        receiver=st.sampled_from(PROVIDERS),
        shares=st.booleans(),
        part=PARTS,
    )
    def move(self, who: Person, receiver: Person, shares: bool, part: Fraction) -> None:
        token = self.share if shares else self.access
        amount = int(self._pool(token).positions[_key(who)] * part)
        now, revenue = self.world.now, self._revenue(token)
        self._both(
            lambda: (
                self.model.transfer(
                    *(_at(token), _key(who), _key(receiver), amount), now=now, revenue=revenue
                )
                or True
            ),
            lambda: self.exchange(
                *("transfer", receiver.address, self.floor.key(token), amount), by=who.address
            ),
        )

    @rule(who=st.sampled_from(PROVIDERS), shares=st.booleans())
    def claim(self, who: Person, shares: bool) -> None:
        token = self.share if shares else self.access
        revenue = self._revenue(token)
        self.paid_out += self._both(
            lambda: self.model.claim(_at(token), _key(who), revenue=revenue),
            lambda: self.exchange("claim", token.address, by=who.address),
        )

    @rule(part=st.fractions(0, Fraction(1, 10)))
    def pay_holders(self, part: Fraction) -> None:
        self.floor.pay_holders(int(self.unit * part) + 1)

    @rule(amount=st.integers(1, 10**6), what=st.integers(0, 2))
    def give(self, amount: int, what: int) -> None:
        """Tokens and money sent straight to the Exchange change nothing but what lies here."""
        if what == 0:
            self.world.fund(self.exchange.address, amount)
            self.given[self.currency] += amount
            return
        token = (self.share, self.access)[what - 1]
        if self._held(token, PUBLISHER) < amount:
            return
        before = self.exchange("reserves_of", token.address)
        token("transfer", self.exchange.address, amount, by=PUBLISHER.address)
        assert self.exchange("reserves_of", token.address) == before
        self.given[token] += amount

    @rule(shares=st.booleans())
    def skim(self, shares: bool) -> None:
        token = self.share if shares else self.access
        assert self.exchange("skim", token.address, by=KEEPER.address) == self.given[token]
        self.given[token] = 0

    @rule(seconds=st.sampled_from([0, 1, 12, OBSERVE_EVERY, DAY // 3, DAY, 8 * DAY]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    def _held(self, token: Contract, who: Person) -> int:
        return int(token("balanceOf", who.address))

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def conserved(self) -> None:
        """Every word of every pool is the twin's; balances are reserves and what was given."""
        for token in (self.share, self.access):
            model, at = self._pool(token), token.address
            assert self.exchange.slot("pools", at) == model.pool.word()
            assert self.exchange("liquidity_of", at) == model.total
            for who in PROVIDERS:
                key = self.floor.key(token)
                held = self.exchange("balanceOf", who.address, key)
                assert held == model.positions[_key(who)]
            newest = max(model.observations)
            assert self.exchange.slot("observations", at, newest % 1_024) == (
                model.observations[newest].word()
            )
            assert sum(model.positions.values()) == model.earning
            held = self._held(token, self.exchange)  # type: ignore[arg-type]
            assert held == model.pool.tokens + self.given[token]

    @invariant()
    def solvent(self) -> None:
        """Money here is all reserves, the revenue not yet paid, and gifts of money."""
        accruals = self._pool(self.share).accruals
        reserves = sum(self._pool(token).pool.currency for token in (self.share, self.access))
        unpaid = accruals.received - accruals.distributed
        assert self.world.held(self.exchange) == reserves + unpaid + self.given[self.currency]
        revenue = self._revenue(self.share)
        owed = 0
        for who in PROVIDERS:
            at = self.share.address
            claimable = self.exchange("claimable", at, who.address)
            assert claimable == self.model.claimable(_at(self.share), _key(who), revenue=revenue)
            owed += claimable
        assert owed <= unpaid + revenue
        assert self.exchange("revenue_of", self.share.address) == (
            accruals.received,
            accruals.distributed,
        )

    @invariant()
    def price_honest(self) -> None:
        """What a unit of liquidity stands for never falls, whoever trades, comes or goes."""
        for token in (self.share, self.access):
            root = self._root(token)
            assert root >= self.roots[token]
            self.roots[token] = root

    @invariant()
    def no_past_revenue(self) -> None:
        """Traders and newcomers have no part in what the pool's shares earned before."""
        newcomer = person("newcomer")
        share = self.share.address
        assert self.exchange("claimable", share, newcomer.address) == 0
        giver = max(PROVIDERS, key=lambda who: self._pool(self.share).positions[_key(who)])
        free = self._pool(self.share).positions[_key(giver)]
        if giver is PUBLISHER and self.world.now < self.locked_until:
            free -= self.locked
        before = self.exchange("claimable", share, giver.address)
        with self.world.engine.trial():
            self.exchange(*("transfer", newcomer.address, self.floor.key(), free), by=giver.address)
            assert self.exchange("claimable", share, newcomer.address) == 0
            assert self.exchange("claimable", share, giver.address) == before

    @invariant()
    def never_early(self) -> None:
        if self.world.now < self.locked_until:
            model = self._pool(self.share)
            assert model.positions[_key(PUBLISHER)] >= self.locked

    @invariant()
    def can_always_claim(self) -> None:
        """When locks have ended everybody leaves with everything, whoever else is gone."""
        with self.world.engine.trial():
            self.world.engine.now = max(self.world.now, self.locked_until)
            until = self.world.now
            for token in (self.share, self.access):
                for who in PROVIDERS:
                    key = self.floor.key(token)
                    held = self.exchange("balanceOf", who.address, key)
                    plan = (token.address, held, 0, 0, who.address, until)
                    self.exchange("remove_liquidity", *plan, by=who.address)
                    owed = self.exchange("claimable", token.address, who.address)
                    paid = self.exchange("claim", token.address, by=who.address)
                    assert paid >= owed
                assert self.exchange("liquidity_of", token.address) == 2**20
                assert min(self.exchange("reserves_of", token.address)) > 0

    @precondition(lambda self: hasattr(self, "model"))
    @rule(window=st.one_of(st.integers(1, 2 * OBSERVE_EVERY), st.integers(0, MAX_WINDOW + 1)))
    def read_the_mean(self, window: int) -> None:
        for token in (self.share, self.access):
            self._both(
                lambda token=token: self._pool(token).twap(window, self.world.now),  # type: ignore[misc]
                lambda token=token: self.exchange("twap", token.address, window),  # type: ignore[misc]
            )


def _key(who: Person) -> Address:
    return Address(bytes.fromhex(who.address[2:]))


def _at(token: Contract) -> Address:
    return Address(bytes.fromhex(token.address[2:]))


TestExchangePromises = ExchangePromises.TestCase
TestExchangePromises.settings = times(1.0, steps=1.5)
