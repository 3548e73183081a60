"""Emission under random demand, epochs, claims and prices, beside its twin and plain sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.bonding import GENESIS, TSR
from rig.effort import times
from rig.emitting import ONE, OTHER, TERMS, open_emission
from rig.epochs import HOUR, SUBNET, VALIDATORS
from rig.people import key_of, person
from rig.system import DAY
from rig.twins import both

from tessera.errors import TransactionReverted
from tessera.spec.emission import CAP, budget_of, worth_of

PUBLISHER, BUYER, COMMONS = person("publisher"), person("buyer"), person("commons")
SUBNETS = (SUBNET, OTHER)
# Of two validators for three places, the last of which nobody holds.
SCORES = st.lists(st.integers(0, 3), min_size=6, max_size=6)
OPENING = 1_000 * TSR


class EmissionPromises(RuleBasedStateMachine):
    """Promises: solvent, conserved, settled_once, can_always_claim, wash_loses."""

    @initialize(
        genesis=st.sampled_from([GENESIS, CAP // 2 - 600 * TSR, CAP - 500 * TSR]),
        tokenized=st.booleans(),
    )
    def open(self, genesis: int, tokenized: bool) -> None:
        self.stage = stage = open_emission(genesis=genesis)
        self.genesis = genesis
        stage.open_subnet(SUBNET)
        stage.open_subnet(OTHER, OPENING)
        stage.open_market()
        self.model = stage.model()
        self.model.genesis = genesis
        self.model.period = stage.emission("period")
        self.assets = [
            stage.new_model(PUBLISHER, uid, subnet)
            for uid, subnet in ((0, SUBNET), (1, SUBNET), (0, OTHER))
        ]
        self.model.period = stage.emission("period")
        for asset, subnet in zip(self.assets, (SUBNET, SUBNET, OTHER), strict=True):
            self.model.collect_demand(asset, 0, subnet, epoch_at=0)
        self.share = None
        if tokenized:
            self.share = stage.world.tokenize(self.assets[0], PUBLISHER, period=DAY)
        stage.world.fund(BUYER, 10**30, spender=stage.emission)
        stage.stake(VALIDATORS[0], 100 * TSR)
        stage.fund(BUYER, 50_000 * TSR)
        stage.world.currency("approve", stage.exchange, 2**256 - 1, by=BUYER.address)
        self.next_epoch = 0
        self.demand: Counter[int] = Counter()
        self.sold = 0
        self.rewarded = 0
        self.withdrawn = 0
        self.fees_out = 0
        self.waiting = 0

    # --- Steps that several rules take ----------------------------------------------------------

    def _close(self) -> None:
        """Close on the twin what any call of the contract will close."""
        stage = self.stage
        fees = stage.world.channels("credit_of", stage.emission.address)
        self.model.close(
            stage.now - stage.began,
            price=stage.emission("price"),
            fees=fees,
            commons=key_of(COMMONS),
        )

    def _ended_in(self, subnet: int) -> int:
        """Return the epoch in which the subnet's last counted period ended."""
        period = self.model.shares.get(subnet, (0, 0, 0))[2]
        ended = self.stage.began + (period + 1) * TERMS.period - 1
        return int(self.stage.subnets("epoch_at", subnet, ended))

    def _gathered(self, step: Callable[[], Any]) -> Any:
        """Gather on the twin, and undo that where the step is refused, as the chain does."""
        pots = {key: list(pot) for key, pot in self.model.pots.items()}
        shares = dict(self.model.shares)
        self.model.gather(SUBNET, epoch_at=self._ended_in(SUBNET))
        try:
            return step()
        except TransactionReverted:
            self.model.pots.clear()
            self.model.pots.update(pots)
            self.model.shares = shares
            raise

    def _epochs(self, paying: bool) -> list[int]:
        """Return the final epochs; those that pay, if there are any and they are wanted."""
        pays = sorted(epoch for _, epoch in self.model.payouts)
        return pays if paying and pays else sorted(self.stage.told)

    # --- What people do -------------------------------------------------------------------------

    @rule(
        place=st.integers(0, 2),
        demand=st.sampled_from([1, ONE, 37 * ONE, 5_000 * ONE]),
        collected=st.booleans(),
    )
    def earn(self, place: int, demand: int, collected: bool) -> None:
        self.stage.earn(self.assets[place], demand)
        self.demand[place] += demand
        if collected:
            self.collect(place)

    @rule(place=st.integers(0, 2))
    def collect(self, place: int) -> None:
        asset, subnet = self.assets[place], OTHER if place == 2 else SUBNET
        self._close()
        epoch_at = self._ended_in(subnet)
        both(
            lambda: self.model.collect_demand(asset, self.demand[place], subnet, epoch_at=epoch_at),
            lambda: self.stage.emission("collect_demand", asset),
        )

    @rule(subnet=st.sampled_from(SUBNETS))
    def bootstrap(self, subnet: int) -> None:
        opening = self.stage.pool("opening_of", subnet)
        self._close()
        self.stage.emission("close")
        epoch_at = self._ended_in(subnet)
        both(
            lambda: self.model.bootstrap(subnet, opening, live=True, epoch_at=epoch_at),
            lambda: self.stage.emission("bootstrap", subnet),
        )

    @rule(seconds=st.sampled_from([1, HOUR, TERMS.period, DAY]))
    def wait(self, seconds: int) -> None:
        self.stage.wait(seconds)

    @rule(scores=SCORES, skipped=st.sampled_from([False, False, False, True]))
    def end_an_epoch(self, scores: list[int], skipped: bool) -> None:
        # The present one; those that nobody ended meanwhile are skipped.
        epoch = max(self.next_epoch, self.stage.subnets("epoch_at", SUBNET, self.stage.now))
        first, self.next_epoch = self.next_epoch, epoch + 1
        if skipped:
            self.stage.to_epoch(epoch + 1)
            for number in range(first, epoch + 1):
                self.stage.place.epochs("skip", SUBNET, number)
        else:
            self.stage.post(epoch, [scores[:3], scores[3:]])

    @precondition(lambda self: self.next_epoch)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        self._settle(data.draw(st.integers(max(0, self.next_epoch - 3), self.next_epoch - 1)))

    @rule(
        demand=st.sampled_from([ONE, 37 * ONE, 5_000 * ONE]),
        place=st.integers(0, 1),
        scores=SCORES,
    )
    def live_through_an_epoch(self, demand: int, place: int, scores: list[int]) -> None:
        """As it should be: somebody pays, it is counted, an epoch ends and pays."""
        self.earn(place, demand, collected=True)
        self.end_an_epoch(scores, skipped=False)
        self._settle(self.next_epoch - 1)

    def _settle(self, epoch: int) -> None:
        told = self.stage.told.get(epoch)
        self._close()
        self.stage.emission("close")
        carries = {
            "live": True,
            "now_epoch": self.stage.subnets("epoch_at", SUBNET, self.stage.now),
            "commons": key_of(COMMONS),
        }
        if told is None:
            both(
                lambda: self._gathered(
                    lambda: self.model.carry(SUBNET, epoch, status=2, **carries)
                ),
                lambda: self.stage.emission("carry", SUBNET, epoch),
            )
            return
        header = told.posted.header
        sums = tuple(self.stage.place.epochs("sums_of", SUBNET, epoch, header.call))
        minted = both(
            lambda: self._gathered(
                lambda: self.model.settle(
                    SUBNET, epoch, status=1, sums=sums, owner=key_of(self.stage.owner), **carries
                )
            ),
            lambda: self.stage.settle(epoch),
        )
        assert minted is None or self.stage.emission("obligations") >= minted

    @precondition(lambda self: self.stage.told)
    @rule(data=st.data(), place=st.integers(0, 2), paying=st.booleans())
    def claim_model(self, data: st.DataObject, place: int, paying: bool) -> None:
        epoch = data.draw(st.sampled_from(self._epochs(paying)))
        posted = self.stage.told[epoch].posted
        both(
            lambda: self.model.claim_model(
                SUBNET,
                epoch,
                place,
                self.assets[place] if place < 2 else 0,
                rank=posted.columns[place].rank,
                ranks=posted.header.incentive,
                commons=key_of(COMMONS),
            ),
            lambda: self.stage.claim_model(epoch, place),
        )
        if place < 2:
            self.flush(place)

    @precondition(lambda self: self.stage.told)
    @rule(data=st.data(), row=st.integers(0, 1), paying=st.booleans())
    def claim_validator(self, data: st.DataObject, row: int, paying: bool) -> None:
        epoch = data.draw(st.sampled_from(self._epochs(paying)))
        active, counted = self.stage.told[epoch].posted.rows[row]
        # The second validator has bonded nothing: it is paid directly.
        paid = both(
            lambda: self.model.claim_validator(
                SUBNET,
                epoch,
                row,
                key_of(VALIDATORS[row]),
                stake=active,
                dividend=counted & (2**128 - 1),
                pays=key_of(VALIDATORS[1]) if row else None,
            ),
            lambda: self.stage.claim_validator(epoch, row),
        )
        if paid is not None and row == 0:
            self.rewarded += paid[0]

    @rule(place=st.integers(0, 1))
    def flush(self, place: int) -> None:
        tokenized = place == 0 and self.share is not None
        self.model.flush(self.assets[place], owner=key_of(PUBLISHER), tokenized=tokenized)
        self.stage.emission("flush", self.assets[place])

    @rule(part=st.fractions(0, 1))
    def buy_for_holders(self, part: Fraction) -> None:
        asset, price = self.assets[0], self.stage.emission("sale_price")
        amount = int(self.model.for_holders[asset] * part)
        cost = both(
            lambda: self.model.buy_for_holders(asset, amount, price=price, most=2**200),
            lambda: self.stage.emission(
                "buy_for_holders", asset, amount, 2**200, 2**40, by=BUYER.address
            ),
        )
        if cost is not None:
            self.sold += amount

    @rule(
        who=st.sampled_from([PUBLISHER, VALIDATORS[1], VALIDATORS[0], COMMONS]), money=st.booleans()
    )
    def withdraw(self, who: Any, money: bool) -> None:
        if money:
            got = self.stage.emission("withdraw_fees", by=who.address)
            assert got == self.model.fees_credit.pop(key_of(who), 0)
            self.fees_out += got
        else:
            got = self.stage.emission("withdraw", by=who.address)
            assert got == self.model.credit.pop(key_of(who), 0)
            self.withdrawn += got

    @rule(sells=st.booleans(), part=st.fractions(Fraction(1, 100), Fraction(1, 4)))
    def trade(self, sells: bool, part: Fraction) -> None:
        stage = self.stage
        tsr, money = stage.exchange("reserves_of", stage.tsr)
        sides = [stage.tsr, stage.world.currency]
        amount = int((min(tsr, stage.held(BUYER)) if sells else money) * part)
        if not sells:
            sides.reverse()
        if amount:
            plan = (*sides, amount, 0, BUYER.address, stage.now)
            stage.exchange("swap_exact_in", *plan, by=BUYER.address)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        stage, model = self.stage, self.model
        owed = model.minted - self.rewarded - self.withdrawn - self.sold
        assert stage.held(stage.emission) == stage.emission("obligations") == owed
        parts = sum(model.credit.values()) + sum(model.earned.values())
        parts += sum(model.for_holders.values())
        parts += sum(each.models_left + each.validators_left for each in model.payouts.values())
        assert parts == owed
        held = stage.world.held(stage.emission)
        assert held == stage.emission("fee_obligations") == model.fees_in - self.fees_out
        promised = sum(model.fees_credit.values()) + model.waiting_fees
        promised += sum(each.fees_left for each in model.payouts.values())
        promised += sum(fees for _, fees in model.pots.values())
        assert promised <= held

    @invariant()
    def conserved(self) -> None:
        """Exactly on schedule: each closed period allotted its demand's worth or the budget."""
        stage, model = self.stage, self.model
        assert stage.emission("allotted") == model.allotted
        assert stage.emission("period") == model.period
        allotted = 0
        for number in sorted(model.periods):
            each = model.periods[number]
            told = (each.demand, each.bootstraps, each.price, each.allotted, each.fees)
            assert tuple(stage.emission("period_of", number)) == told
            assert each.allotted <= budget_of(TERMS, self.genesis + allotted)
            allotted += each.allotted
        assert allotted == model.allotted
        assert self.genesis + allotted <= CAP
        assert stage.tsr("minted") - self.genesis == model.minted <= allotted
        for (subnet, epoch), pot in model.pots.items():
            assert list(stage.emission("pot_of", subnet, epoch)) == pot

    @invariant()
    def settled_once(self) -> None:
        """What an epoch paid is what it had, whoever claims how often."""
        for (subnet, epoch), each in self.model.payouts.items():
            parts = (each.models, each.validators, each.fees)
            left = (each.models_left, each.validators_left, each.fees_left)
            assert tuple(self.stage.emission("payout_of", subnet, epoch)) == parts + left
            assert all(0 <= rest <= whole for rest, whole in zip(left, parts, strict=True))

    @invariant()
    def wash_loses(self) -> None:
        """Nobody but the commons gets more out of a period than half of what it got."""
        for each in self.model.periods.values():
            assert each.fees <= each.demand
            tsr = max(0, each.allotted - each.bootstraps)
            assert tsr <= worth_of(TERMS, each.demand, each.price)
            assert tsr * each.price * 2 <= each.demand * TSR
        bootstraps = sum(each.bootstraps for each in self.model.periods.values())
        assert bootstraps <= OPENING // 2

    @invariant()
    def can_always_claim(self) -> None:
        """All claims of all settled epochs, in a trial: less than a unit each stays behind."""
        with self.stage.place.engine.trial():
            for (_, epoch), each in self.model.payouts.items():
                for side, places in (("model", 3), ("validator", 2)):
                    claim = getattr(self.stage, f"claim_{side}")
                    for place in range(places):
                        if (side, place) not in each.claimed:
                            claim(epoch, place)
                left = self.stage.emission("payout_of", SUBNET, epoch)[3:]
                # Shares of 32 bits: what their sum misses stays too.
                whole = (each.models, each.validators, each.fees)
                for rest, part in zip(left, whole, strict=True):
                    assert rest <= 3 + part // 2**30


TestEmissionPromises = EmissionPromises.TestCase
TestEmissionPromises.settings = times(0.3)
