"""An auction under random bidders, revenue and time, beside its twin and a ledger of plain sums."""

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
from rig.system import DAY, ONE_SHARE
from rig.twins import both, key_of, shown_by

from tessera.spec.auction import AuctionModel, AuctionSale, price_at
from tessera.spec.merkle import AllowList
from tessera.spec.offering import pool_part

PUBLISHER, KEEPER = person("publisher"), person("keeper")
BIDDERS = [person(f"buyer {number}") for number in range(3)]
WHOLE = [name for name in CURRENCIES if name != "fee in transit"]


class AuctionPromises(RuleBasedStateMachine):
    """Promises: solvent, escrow_until_final, can_always_claim, conserved."""

    @initialize(
        currency=st.sampled_from(sorted(WHOLE)),
        for_sale=st.one_of(st.integers(1, 10**6), st.integers(1, 1_000 * ONE_SHARE)),
        prices=st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)),
        soft=st.sampled_from([Fraction(0), Fraction(1, 10), Fraction(1)]),
        each=st.sampled_from([Fraction(1, 3), Fraction(1), Fraction(2)]),
        start=st.integers(-DAY, DAY),
        pool_bps=st.sampled_from([0, 0, 1, 2_500, 10_000]),
        listed=st.sampled_from([None, None, (0, 1), (0, 1, 2)]),
    )
    def open_auction(
        self,
        currency: str,
        for_sale: int,
        prices: tuple[int, int],
        soft: Fraction,
        each: Fraction,
        start: int,
        pool_bps: int,
        listed: tuple[int, ...] | None,
    ) -> None:
        self.currency = currency
        self.world = world = CURRENCIES[currency].world()
        self.unit = LARGEST[world.currency("decimals")]
        self.asset = world.publish(PUBLISHER)
        self.share = world.tokenize(self.asset, PUBLISHER, supply=4_000 * ONE_SHARE, period=DAY)
        self.share("approve", world.launchpad, 2**256 - 1, by=PUBLISHER.address)
        low, high = sorted(prices)
        # The lowest price buys something, however few the shares are.
        low = max(low, -(-ONE_SHARE // for_sale))
        high = max(low, high)
        whole = for_sale * low // ONE_SHARE
        soft_cap = int(whole * soft)
        self.allowed = None
        if listed is not None:
            parts = {key_of(BIDDERS[number]): whole // (number + 1) + 1 for number in listed}
            self.allowed = AllowList(parts)
        least = min(soft_cap, soft_cap * ONE_SHARE // high) * pool_bps // 10_000
        self.sale = AuctionSale(
            key_of(PUBLISHER),
            high,
            low,
            for_sale,
            soft_cap,
            int(whole * each) or 1,
            world.now + start if start > 0 else world.now,
            world.now + 30 * DAY,
            pool_bps if least >= 10_000 else 0,
            self.allowed.parts if self.allowed else None,
        )
        address = world.launchpad(
            "auction",
            self.asset,
            (
                PUBLISHER.address,
                *self.sale[1:8],
                self.allowed.root if self.allowed else bytes(32),
                (self.sale.liquidity_bps, 1, DAY),
            ),
            by=PUBLISHER.address,
        )
        self.auction = Contract(world.engine, compiled("Auction"), address)
        self.model = AuctionModel(self.sale)
        self.paid: Counter[Person] = Counter()
        self.refunded: Counter[Person] = Counter()
        self.got: Counter[Person] = Counter()
        self.withdrawn = self.in_pool = 0
        self.shown: dict[Person, int] = {}

    def _revenue(self) -> int:
        return int(self.share("claimable", self.auction.address))

    # --- What people do -------------------------------------------------------------------------

    @rule(
        bidder=st.sampled_from([*BIDDERS, PUBLISHER]),
        payer=st.sampled_from(BIDDERS),
        part=st.one_of(st.fractions(0, Fraction(11, 10)), st.just(Fraction(1, 3))),
        dust=st.booleans(),
    )
    def bid(self, bidder: Person, payer: Person, part: Fraction, dust: bool) -> None:
        now = self.world.now
        amount = 1 if dust else int(self.model.worth_at(now) * part)
        self.world.fund(payer, amount, spender=self.auction)
        revenue = self._revenue()
        expected = self.model.preview_bid(amount, now)
        assert tuple(self.auction("preview_bid", amount)) == expected
        taken = both(
            lambda: self.model.bid(key_of(bidder), amount, now, revenue=revenue),
            lambda: self.auction(
                "bid",
                amount,
                bidder.address,
                *shown_by(self.allowed, bidder, instead=BIDDERS[0]),
                by=payer.address,
            ),
        )
        if taken is not None:
            assert taken == expected[0]
            self.paid[bidder] += taken
            price = price_at(self.sale, now)
            self.shown[bidder] = max(price, self.shown.get(bidder, 0))

    @rule(held_up=st.booleans())
    def close(self, held_up: bool) -> None:
        """Close, also while the currency lets the Share pay nothing."""
        revenue, now = self._revenue(), self.world.now
        held_up = held_up and self.currency == "blacklist"
        if held_up:
            self.world.currency("set_blocked", self.share.address, True)
        both(
            lambda: self.model.close(now, revenue=revenue, held_up=held_up),
            lambda: self.auction("close", by=KEEPER.address),
        )
        if held_up:
            self.world.currency("set_blocked", self.share.address, False)

    @rule(bidder=st.sampled_from(BIDDERS))
    def collect(self, bidder: Person) -> None:
        revenue = self._revenue()
        amount = both(
            lambda: self.model.collect(key_of(bidder), revenue=revenue),
            lambda: self.auction("collect", bidder.address, by=KEEPER.address),
        )
        self.got[bidder] += amount or 0

    @rule(bidder=st.sampled_from(BIDDERS), own=st.booleans())
    def refund(self, bidder: Person, own: bool) -> None:
        amount = both(
            lambda: self.model.refund(key_of(bidder)),
            lambda: (
                self.auction("refund", by=bidder.address)
                if own
                else self.auction("refund_for", bidder.address, by=KEEPER.address)
            ),
        )
        self.refunded[bidder] += amount or 0

    @rule(who=st.sampled_from([PUBLISHER, PUBLISHER, KEEPER]))
    def withdraw_proceeds(self, who: Person) -> None:
        amount = both(
            lambda: self.model.withdraw_proceeds(key_of(who)),
            lambda: self.auction("withdraw_proceeds", by=who.address),
        )
        self.withdrawn += amount or 0

    @rule()
    def return_unsold(self) -> None:
        revenue = self._revenue()
        held = self.share("balanceOf", self.auction.address)
        both(
            lambda: self.model.return_unsold(held=held, revenue=revenue),
            lambda: self.auction("return_unsold", by=KEEPER.address),
        )

    @rule()
    def open_pool(self) -> None:
        revenue = self._revenue()

        def contract() -> tuple[int, int]:
            self.auction("open_pool", by=KEEPER.address)
            event = self.auction.events("PoolOpened")[0].arguments
            return event["shares"], event["amount"]

        opened = both(lambda: self.model.open_pool(revenue=revenue), contract)
        if opened is not None:
            self.in_pool += opened[1]

    @rule(who=st.sampled_from([*BIDDERS, PUBLISHER]))
    def claim(self, who: Person) -> None:
        revenue = self._revenue()
        both(
            lambda: self.model.claim(key_of(who), revenue=revenue),
            lambda: self.auction("claim", by=who.address),
        )

    @rule(part=st.fractions(0, Fraction(1, 4)))
    def pay_holders(self, part: Fraction) -> None:
        self.world.fund(self.share.address, int(self.unit * part) + 1)
        self.share("sync")

    @rule(amount=st.integers(1, ONE_SHARE))
    def send_shares_by_mistake(self, amount: int) -> None:
        self.share("transfer", self.auction.address, amount, by=PUBLISHER.address)

    @rule(seconds=st.sampled_from([1, DAY // 2, DAY, 10 * DAY, 30 * DAY]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def conserved(self) -> None:
        model = self.model
        for name in ("sold", "raised", "uncollected", "closed", "final", "proceeds"):
            assert self.auction(name) == getattr(model, name), name
        for name in ("unsold", "escrowed", "pooled"):
            assert self.auction(name) == getattr(model, name), name
        assert self.auction("received") == model.accruals.received
        assert self.auction("is_over") == (model.closed or model.is_over(self.world.now))
        revenue = self._revenue()
        for who in (*BIDDERS, PUBLISHER):
            at, key = who.address, key_of(who)
            assert self.auction("bid_of", at) == model.bid_of[key]
            assert self.auction("bought_by", at) == model.bought_by(key)
            claimable = model.claimable(key, revenue=revenue)
            assert self.auction("claimable", at) == claimable
        for bidder in BIDDERS:
            assert self.share("balanceOf", bidder.address) == self.got[bidder]
        here = model.unsold + model.escrowed + model.pooled
        assert self.world.launchpad("held_in_sales", self.asset) == here

    @invariant()
    def solvent(self) -> None:
        """Money here is the bids or the proceeds, and the revenue not yet paid out."""
        model = self.model
        bids = 0 if model.final else sum(model.bid_of.values())
        spoken_for = bids + model.proceeds + self._for_pool()
        waiting = model.accruals.received - model.accruals.distributed
        assert self.world.held(self.auction) == spoken_for + waiting
        here = model.unsold + model.escrowed + model.pooled
        assert self.share("balanceOf", self.auction.address) >= here
        assert sum(model.bought_by(key_of(bidder)) for bidder in BIDDERS) <= max(model.escrowed, 0)

    @invariant()
    def escrow_until_final(self) -> None:
        """Nothing leaves before the price is known, and nobody pays more than was shown."""
        model = self.model
        if not model.final:
            assert self.withdrawn == self.in_pool == 0
            for bidder in BIDDERS:
                assert self.got[bidder] == 0
                left = self.paid[bidder] - self.refunded[bidder]
                assert model.bid_of[key_of(bidder)] == left
            return
        assert sum(self.refunded.values()) == 0
        out = self.withdrawn + model.proceeds + self._for_pool() + self.in_pool
        assert out == sum(self.paid.values())
        for bidder in BIDDERS:
            shares = self.got[bidder] or model.bought_by(key_of(bidder))
            # At least what the bid bought at the dearest price that the bidder saw.
            if self.paid[bidder]:
                assert shares >= self.paid[bidder] * ONE_SHARE // self.shown[bidder]

    @invariant()
    def can_always_claim(self) -> None:
        """After the end everybody leaves with everything, whoever else is gone."""
        with self.world.engine.trial():
            self.world.engine.now = max(self.world.now, self.sale.end)
            if not self.model.closed:
                self.auction("close", by=KEEPER.address)
            for bidder in BIDDERS:
                if self.auction("bid_of", bidder.address):
                    if self.auction("final"):
                        self.auction("collect", bidder.address, by=KEEPER.address)
                        self.auction("claim", by=bidder.address)
                    else:
                        self.auction("refund_for", bidder.address, by=KEEPER.address)
            final = self.auction("final")
            if final:
                for bidder in BIDDERS:
                    self.auction("claim", by=bidder.address)
            if final and self.sale.liquidity_bps and not self.model.pool_opened:
                self.auction("open_pool", by=KEEPER.address)
            assert self.world.launchpad("open_sales", self.asset) == 0
            if self.share("balanceOf", self.auction.address):
                self.auction("return_unsold", by=KEEPER.address)
            self.auction("withdraw_proceeds", by=PUBLISHER.address)
            self.auction("claim", by=PUBLISHER.address)
            assert self.share("balanceOf", self.auction.address) == 0
            # Fractions of a unit: one for each account that was ever settled.
            assert self.world.held(self.auction) <= len(BIDDERS) + 1

    def _for_pool(self) -> int:
        """Base units that wait for the pool."""
        if not self.model.final or self.model.pool_opened:
            return 0
        return pool_part(self.model.raised, self.sale.liquidity_bps)


TestAuctionPromises = AuctionPromises.TestCase
TestAuctionPromises.settings = times(1.5, steps=1.5)
