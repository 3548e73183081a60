"""A sale under random buyers, revenue and time, beside its twin and a ledger of plain sums."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.compiling import compiled
from rig.contract import Contract
from rig.currencies import CURRENCIES, LARGEST
from rig.effort import times
from rig.people import Person, person
from rig.sales import pool_of
from rig.system import DAY, ONE_SHARE
from rig.twins import both, key_of, shown_by

from tessera.spec.merkle import AllowList
from tessera.spec.offering import OfferingModel, Sale, cost_of, pool_part

PUBLISHER, KEEPER = person("publisher"), person("keeper")
BUYERS = [person(f"buyer {number}") for number in range(3)]
WHOLE = [name for name in CURRENCIES if name != "fee in transit"]


class OfferingPromises(RuleBasedStateMachine):
    """Promises: solvent, escrow_until_final, can_always_claim, conserved."""

    @initialize(
        currency=st.sampled_from(sorted(WHOLE)),
        for_sale=st.integers(1, 1_000 * ONE_SHARE),
        soft=st.sampled_from([Fraction(0), Fraction(1, 10), Fraction(1, 2), Fraction(1)]),
        each=st.sampled_from([Fraction(1, 3), Fraction(1), Fraction(2)]),
        price=st.one_of(st.integers(1, 1_000), st.integers(1, 10**9)),
        start=st.integers(-DAY, DAY),
        pool_bps=st.sampled_from([0, 0, 1, 2_500, 10_000]),
        listed=st.sampled_from([None, None, (0, 1), (0, 1, 2)]),
    )
    def open_sale(
        self,
        currency: str,
        for_sale: int,
        soft: Fraction,
        each: Fraction,
        price: int,
        start: int,
        pool_bps: int,
        listed: tuple[int, ...] | None,
    ) -> None:
        self.currency = currency
        self.world = world = CURRENCIES[currency].world()
        self.unit = LARGEST[world.currency("decimals")]
        asset = world.publish(PUBLISHER)
        self.share = world.tokenize(asset, PUBLISHER, supply=4_000 * ONE_SHARE, period=DAY)
        self.share("approve", world.launchpad, 2**256 - 1, by=PUBLISHER.address)
        self.allowed = None
        if listed is not None:
            parts = {key_of(BUYERS[number]): for_sale // (number + 2) + 1 for number in listed}
            self.allowed = AllowList(parts)
        soft_cap = int(for_sale * soft)
        least = min(soft_cap, soft_cap * price // ONE_SHARE) * pool_bps // 10_000
        self.sale = Sale(
            key_of(PUBLISHER),
            price,
            for_sale,
            soft_cap,
            int(for_sale * each) or 1,
            world.now + start if start > 0 else world.now,
            world.now + 30 * DAY,
            pool_bps if least >= 10_000 else 0,
            self.allowed.parts if self.allowed else None,
        )
        address = world.launchpad(
            "offer",
            asset,
            (
                PUBLISHER.address,
                *self.sale[1:7],
                self.allowed.root if self.allowed else bytes(32),
                (self.sale.liquidity_bps, 1, DAY),
            ),
            by=PUBLISHER.address,
        )
        self.asset = asset
        self.offering = Contract(world.engine, compiled("Offering"), address)
        self.model = OfferingModel(self.sale)
        self.paid: Counter[Person] = Counter()
        self.refunded: Counter[Person] = Counter()
        self.got: Counter[Person] = Counter()
        self.revenue_out = 0
        self.withdrawn = self.in_pool = 0

    def _revenue(self) -> int:
        return int(self.share("claimable", self.offering.address))

    # --- What people do -------------------------------------------------------------------------

    @rule(
        buyer=st.sampled_from([*BUYERS, PUBLISHER]),
        payer=st.sampled_from(BUYERS),
        part=st.one_of(st.fractions(0, Fraction(11, 10)), st.just(Fraction(1))),
        dust=st.booleans(),
        enough=st.one_of(st.none(), st.fractions(0, Fraction(11, 10))),
    )
    def buy(
        self, buyer: Person, payer: Person, part: Fraction, dust: bool, enough: Fraction | None
    ) -> None:
        wanted = 1 if dust else int(self.model.unsold * part)
        least = None if enough is None else int(wanted * enough)
        amount = min(wanted, self.model.unsold)
        cost = cost_of(amount, self.sale.price)
        self.world.fund(payer, cost, spender=self.offering)
        revenue, now = self._revenue(), self.world.now
        taken = both(
            lambda: self.model.buy(key_of(buyer), wanted, now, revenue=revenue, least=least),
            lambda: self.offering(
                "buy",
                wanted,
                buyer.address,
                *shown_by(self.allowed, buyer, instead=BUYERS[0]),
                *([] if least is None else [least]),
                by=payer.address,
            ),
        )
        if taken is not None:
            assert taken == (amount, cost)
            assert cost == self.offering("preview_buy", amount)
            self.paid[buyer] += cost
            if self.model.final:
                self.got[buyer] += amount

    @rule(buyer=st.sampled_from(BUYERS))
    def collect(self, buyer: Person) -> None:
        revenue = self._revenue()
        amount = both(
            lambda: self.model.collect(key_of(buyer), revenue=revenue),
            lambda: self.offering("collect", buyer.address, by=KEEPER.address),
        )
        self.got[buyer] += amount or 0

    @rule(buyer=st.sampled_from(BUYERS), own=st.booleans())
    def refund(self, buyer: Person, own: bool) -> None:
        now = self.world.now
        amount = both(
            lambda: self.model.refund(key_of(buyer), now),
            lambda: (
                self.offering("refund", by=buyer.address)
                if own
                else self.offering("refund_for", buyer.address, by=KEEPER.address)
            ),
        )
        self.refunded[buyer] += amount or 0

    @rule(who=st.sampled_from([PUBLISHER, PUBLISHER, KEEPER]))
    def withdraw_proceeds(self, who: Person) -> None:
        amount = both(
            lambda: self.model.withdraw_proceeds(key_of(who)),
            lambda: self.offering("withdraw_proceeds", by=who.address),
        )
        self.withdrawn += amount or 0

    @rule()
    def return_unsold(self) -> None:
        revenue, now = self._revenue(), self.world.now
        held = self.share("balanceOf", self.offering.address)
        both(
            lambda: self.model.return_unsold(now, held=held, revenue=revenue),
            lambda: self.offering("return_unsold", by=KEEPER.address),
        )

    @rule()
    def open_pool(self) -> None:
        revenue, now = self._revenue(), self.world.now

        def contract() -> tuple[int, int]:
            self.offering("open_pool", by=KEEPER.address)
            event = self.offering.events("PoolOpened")[0].arguments
            return event["shares"], event["amount"]

        opened = both(lambda: self.model.open_pool(now, revenue=revenue), contract)
        if opened is not None:
            self.in_pool += opened[1]
            assert pool_of(self.world, self.share)[:2] == opened

    @rule(who=st.sampled_from([*BUYERS, PUBLISHER]))
    def claim(self, who: Person) -> None:
        revenue = self._revenue()
        amount = both(
            lambda: self.model.claim(key_of(who), revenue=revenue),
            lambda: self.offering("claim", by=who.address),
        )
        self.revenue_out += amount or 0

    @rule(part=st.fractions(0, Fraction(1, 4)))
    def pay_holders(self, part: Fraction) -> None:
        self.world.fund(self.share.address, int(self.unit * part) + 1)
        self.share("sync")

    @precondition(lambda self: not self.model.returned)
    @rule(amount=st.integers(1, ONE_SHARE))
    def send_shares_by_mistake(self, amount: int) -> None:
        self.share("transfer", self.offering.address, amount, by=PUBLISHER.address)

    @rule(seconds=st.sampled_from([1, DAY // 2, DAY, 10 * DAY, 30 * DAY]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def conserved(self) -> None:
        for name in ("sold", "raised", "final", "proceeds", "unsold", "escrowed", "pooled"):
            assert self.offering(name) == getattr(self.model, name), name
        revenue = self._revenue()
        for who in (*BUYERS, PUBLISHER):
            at, key = who.address, key_of(who)
            assert self.offering("bought", at) == self.model.bought[key]
            assert self.offering("paid_by", at) == self.model.paid_by[key]
            claimable = self.offering("claimable", at)
            assert claimable == self.model.claimable(key, revenue=revenue)
        assert self.offering("received") == self.model.received
        for buyer in BUYERS:
            assert self.share("balanceOf", buyer.address) == self.got[buyer]
        here = self.model.unsold + self.model.escrowed + self.model.pooled
        assert self.world.launchpad("held_in_sales", self.asset) == here

    @invariant()
    def solvent(self) -> None:
        """Money here is the escrow or the proceeds, and the revenue not yet paid out."""
        model = self.model
        escrow = 0 if model.final else sum(model.paid_by.values())
        held = self.world.held(self.offering)
        spoken_for = escrow + model.proceeds + self._for_pool()
        assert held == spoken_for + model.received - model.distributed
        here = model.unsold + model.escrowed + model.pooled
        assert self.share("balanceOf", self.offering.address) >= here
        revenue = self._revenue()
        claims = sum(model.claimable(key_of(who), revenue=revenue) for who in (*BUYERS, PUBLISHER))
        assert claims <= model.received - model.distributed + revenue

    @invariant()
    def escrow_until_final(self) -> None:
        if not self.model.final:
            assert self.withdrawn == 0
            assert self.model.sold < self.sale.soft_cap or self.model.sold == 0
            for buyer in BUYERS:
                assert self.got[buyer] == 0
                key = key_of(buyer)
                assert self.model.paid_by[key] == self.paid[buyer] - self.refunded[buyer]
        else:
            assert sum(self.refunded.values()) == 0
            out = self.withdrawn + self.model.proceeds
            assert out + self._for_pool() + self.in_pool == sum(self.paid.values())

    @invariant()
    def can_always_claim(self) -> None:
        """After the end everybody leaves with everything, whoever else is gone."""
        with self.world.engine.trial():
            self.world.engine.now = max(self.world.now, self.sale.end)
            for buyer in BUYERS:
                if self.model.final:
                    if self.model.bought[key_of(buyer)]:
                        self.offering("collect", buyer.address, by=KEEPER.address)
                    self.offering("claim", by=buyer.address)
                elif self.model.paid_by[key_of(buyer)]:
                    paid = self.offering("refund_for", buyer.address, by=KEEPER.address)
                    assert paid == self.model.paid_by[key_of(buyer)]
            if not self.model.returned:
                self.offering("return_unsold", by=KEEPER.address)
            if self._for_pool():
                self.offering("open_pool", by=KEEPER.address)
            assert self.world.launchpad("open_sales", self.asset) == 0
            self.offering("withdraw_proceeds", by=PUBLISHER.address)
            self.offering("claim", by=PUBLISHER.address)
            assert self.share("balanceOf", self.offering.address) == 0
            # Fractions of a unit: one for each account that was ever settled.
            assert self.world.held(self.offering) <= len(BUYERS) + 1

    def _for_pool(self) -> int:
        """Base units that wait for the pool."""
        if not self.model.final or self.model.pool_opened:
            return 0
        return pool_part(self.model.raised, self.sale.liquidity_bps)


TestOfferingPromises = OfferingPromises.TestCase
TestOfferingPromises.settings = times(1.5, steps=1.5)
