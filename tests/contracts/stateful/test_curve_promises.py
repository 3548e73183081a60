"""A bonding curve under random buyers, sellers and time, beside its twin and plain sums."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rig.compiling import compiled
from rig.contract import Contract
from rig.currencies import CURRENCIES, LARGEST
from rig.effort import times
from rig.people import Person, person
from rig.sales import pool_of
from rig.system import DAY, ONE_SHARE
from rig.twins import both, key_of, shown_by

from tessera.spec.curve import CurveModel, CurveSale, surcharge_at
from tessera.spec.merkle import AllowList

PUBLISHER, KEEPER = person("publisher"), person("keeper")
BUYERS = [person(f"buyer {number}") for number in range(3)]
WHOLE = [name for name in CURRENCIES if name != "fee in transit"]
FOR_EVER = 2**40


class CurvePromises(RuleBasedStateMachine):
    """Promises: solvent, conserved, price_honest, escrow_until_final, can_always_claim."""

    @initialize(
        currency=st.sampled_from(sorted(WHOLE)),
        shares=st.integers(ONE_SHARE, 2_000 * ONE_SHARE),
        money=st.integers(10**5, 10**12),
        goal=st.integers(10**5, 10**12),
        each=st.sampled_from([Fraction(1, 5), Fraction(1)]),
        start=st.integers(-DAY, DAY),
        pool_bps=st.sampled_from([2_500, 8_000, 10_000]),
        surcharge=st.sampled_from([0, 1, 3_000, 10_000]),
        calm=st.sampled_from([0, 60, DAY]),
        listed=st.sampled_from([None, None, (0, 1)]),
    )
    def open_curve(
        self,
        currency: str,
        shares: int,
        money: int,
        goal: int,
        each: Fraction,
        start: int,
        pool_bps: int,
        surcharge: int,
        calm: int,
        listed: tuple[int, ...] | None,
    ) -> None:
        self.world = world = CURRENCIES[currency].world()
        self.unit = LARGEST[world.currency("decimals")]
        self.asset = world.publish(PUBLISHER)
        self.share = world.tokenize(self.asset, PUBLISHER, supply=9_000 * ONE_SHARE, period=DAY)
        self.share("approve", world.launchpad, 2**256 - 1, by=PUBLISHER.address)
        self.allowed = None
        if listed is not None:
            parts = {key_of(BUYERS[number]): shares // (number + 1) for number in listed}
            self.allowed = AllowList(parts)
        self.sale = CurveSale(
            key_of(PUBLISHER),
            shares,
            money,
            goal,
            int(shares * each),
            world.now + start if start > 0 else world.now,
            world.now + 30 * DAY,
            pool_bps,
            surcharge,
            calm,
            self.allowed.parts if self.allowed else None,
        )
        address = world.launchpad(
            "curve",
            self.asset,
            (
                PUBLISHER.address,
                *self.sale[1:7],
                self.allowed.root if self.allowed else bytes(32),
                (pool_bps, 2, DAY),
                surcharge,
                calm,
            ),
            by=PUBLISHER.address,
        )
        self.curve = Contract(world.engine, compiled("Curve"), address)
        self.model = CurveModel(self.sale)
        taken = world.launchpad("shares_for_curve", shares, money, goal, pool_bps)
        assert taken == self.model.unsold == self.share("balanceOf", self.curve)
        for who in BUYERS:
            self.share("approve", self.curve, 2**256 - 1, by=who.address)
        self.spent: Counter[Person] = Counter()
        self.back: Counter[Person] = Counter()
        self.withdrawn = 0
        self.mistaken = 0
        self.returned = False
        self.product = shares * money

    # --- What people do -------------------------------------------------------------------------

    @rule(
        buyer=st.sampled_from([*BUYERS, PUBLISHER]),
        payer=st.sampled_from(BUYERS),
        part=st.one_of(st.fractions(0, Fraction(1, 2)), st.just(Fraction(1))),
        dust=st.booleans(),
        strict=st.booleans(),
    )
    def buy(self, buyer: Person, payer: Person, part: Fraction, dust: bool, strict: bool) -> None:
        spend, now = (1 if dust else int(self.sale.target * part)), self.world.now
        self.world.fund(payer, spend, spender=self.curve)
        expected = self.model.preview_buy(spend, now)
        assert tuple(self.curve("preview_buy", spend)) == expected
        least = expected[0] + strict
        bought = both(
            lambda: self.model.buy(key_of(buyer), spend, now, least=least),
            lambda: self.curve(
                "buy",
                spend,
                least,
                FOR_EVER,
                buyer.address,
                *shown_by(self.allowed, buyer, instead=BUYERS[0]),
                by=payer.address,
            ),
        )
        if bought is not None:
            assert bought == expected
            self.spent[buyer] += bought[1]

    @rule(
        seller=st.sampled_from(BUYERS),
        part=st.one_of(st.fractions(0, Fraction(11, 10)), st.just(Fraction(1))),
        dust=st.booleans(),
    )
    def sell(self, seller: Person, part: Fraction, dust: bool) -> None:
        key, now = key_of(seller), self.world.now
        amount = 1 if dust else int(self.model.bought[key] * part)
        expected = self.model.preview_sell(key, amount, now)
        assert self.curve("preview_sell", seller.address, amount) == expected
        paid = both(
            lambda: self.model.sell(key, amount, now, least=expected),
            lambda: self.curve("sell", amount, expected, FOR_EVER, by=seller.address),
        )
        self.back[seller] += paid or 0

    @rule(who=st.sampled_from([PUBLISHER, PUBLISHER, KEEPER]))
    def withdraw_proceeds(self, who: Person) -> None:
        amount = both(
            lambda: self.model.withdraw_proceeds(key_of(who)),
            lambda: self.curve("withdraw_proceeds", by=who.address),
        )
        self.withdrawn += amount or 0

    @rule()
    def return_unsold(self) -> None:
        now, held = self.world.now, self.share("balanceOf", self.curve.address)
        returned = both(
            lambda: self.model.return_unsold(now, held=held),
            lambda: self.curve("return_unsold", by=KEEPER.address),
        )
        if returned is not None:
            self.mistaken = 0
            self.returned = True

    @rule(part=st.fractions(0, Fraction(1, 4)))
    def pay_holders(self, part: Fraction) -> None:
        self.world.fund(self.share.address, int(self.unit * part) + 1)
        self.share("sync")

    @rule()
    def claim(self) -> None:
        waiting = self.share("claimable", self.curve.address)
        assert self.curve("claim", by=PUBLISHER.address) == waiting

    @rule(amount=st.integers(1, ONE_SHARE))
    def send_shares_by_mistake(self, amount: int) -> None:
        self.share("transfer", self.curve.address, amount, by=PUBLISHER.address)
        self.mistaken += amount

    @rule(seconds=st.sampled_from([1, 30, DAY // 2, DAY, 10 * DAY, 30 * DAY]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def conserved(self) -> None:
        model, now = self.model, self.world.now
        for name in ("sold", "raised", "paid", "proceeds", "unsold", "graduated"):
            assert self.curve(name) == getattr(model, name), name
        assert self.curve("price") == model.price()
        assert self.curve("surcharge_at", now) == surcharge_at(self.sale, now)
        for who in (*BUYERS, PUBLISHER):
            assert self.curve("bought", who.address) == model.bought[key_of(who)]
            assert self.curve("paid_by", who.address) == model.paid_by[key_of(who)]
        assert sum(model.paid_by.values()) == model.paid
        assert sum(model.bought.values()) == model.sold
        assert self.world.launchpad("held_in_sales", self.asset) == model.unsold
        held = self.share("balanceOf", self.curve.address)
        assert held == model.unsold + self.mistaken

    @invariant()
    def solvent(self) -> None:
        model = self.model
        owed = model.proceeds + (0 if model.graduated else model.raised)
        assert self.world.held(self.curve) == owed
        out = sum(self.back.values()) + self.withdrawn + model.pool[1]
        assert sum(self.spent.values()) == owed + out

    @invariant()
    def price_honest(self) -> None:
        """The product never falls while it sells along the curve, and the pool opens at its price.

        After a missed end sellers leave for what they paid, which is another promise.
        """
        model = self.model
        if self.world.now < self.sale.end:
            product = model.shares_left * model.money
            assert product >= self.product
            self.product = product
        if model.graduated:
            assert pool_of(self.world, self.share)[:2] == model.pool
            shares, money = model.pool
            # As near to the curve's price as whole raw shares allow, and never below it.
            assert shares * model.money <= money * model.shares_left
            assert money * model.shares_left < (shares + 1) * model.money

    @invariant()
    def escrow_until_final(self) -> None:
        if not self.model.graduated:
            assert not self.world.exchange("has_pool", self.share)
            # What lies here for those who bought is all there; only what leavers lost may go.
            assert self.model.raised >= self.model.paid
            if not self.returned:
                assert self.withdrawn == self.model.proceeds == 0
        elif self.sale.target != self.model.raised:
            raise AssertionError("it graduated at another amount than the target")

    @invariant()
    def can_always_claim(self) -> None:
        """After a missed end everybody gets what they paid, in any order."""
        with self.world.engine.trial():
            self.world.engine.now = max(self.world.now, self.sale.end)
            model = self.model
            if not model.graduated:
                for buyer in (*reversed(BUYERS), PUBLISHER):
                    key = key_of(buyer)
                    shares = self.curve("bought", buyer.address)
                    if not shares or buyer is PUBLISHER:
                        continue
                    paid = self.curve("sell", shares, 0, FOR_EVER, by=buyer.address)
                    assert paid == model.paid_by[key]
            if self.share("balanceOf", self.curve.address):
                self.curve("return_unsold", by=KEEPER.address)
            if not model.graduated:
                self.curve("return_unsold", by=KEEPER.address)
            assert self.world.launchpad("open_sales", self.asset) == 0
            assert self.world.launchpad("held_in_sales", self.asset) == 0
            self.curve("withdraw_proceeds", by=PUBLISHER.address)
            self.curve("claim", by=PUBLISHER.address)
            assert self.share("balanceOf", self.curve.address) == 0
            if not model.bought[key_of(PUBLISHER)]:
                assert self.world.held(self.curve) == 0


TestCurvePromises = CurvePromises.TestCase
TestCurvePromises.settings = times(1.5, steps=1.5)
