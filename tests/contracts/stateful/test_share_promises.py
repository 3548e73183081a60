"""A Share under random holders, payments, gifts and currencies, held to its promises at each step.

The ghost ledger knows nothing of pockets or words: it is the exact integral, in fractions, of each
holder's part of the revenue that streamed while they held.
"""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from rig.currencies import CURRENCIES, LARGEST
from rig.effort import times
from rig.engines import Reverted
from rig.people import Person, person
from rig.system import ONE_SHARE

HOLDERS = [person(f"holder {number}") for number in range(5)]
PAYER = person("payer")
# A settlement keeps back less than this; see `@custom:security` of Share.
DUST = Fraction(1, 2**32)


class SharePromises(RuleBasedStateMachine):
    """Promises: solvent, conserved, can_always_claim, index_never_falls, no_past_revenue."""

    holders = Bundle("holders")

    @initialize(
        currency=st.sampled_from(sorted(CURRENCIES)),
        supply=st.one_of(st.integers(ONE_SHARE, 2**96 - 1), st.just(10**6 * ONE_SHARE)),
        period=st.one_of(st.integers(1, 20), st.integers(1, 30 * 86_400)),
    )
    def deploy(self, currency: str, supply: int, period: int) -> None:
        self.currency = currency
        self.world = CURRENCIES[currency].world()
        self.share = self.world.new_share(HOLDERS[0], supply=supply, period=period)
        self.world.currency("approve", self.share, 2**256 - 1, by=PAYER.address)
        self.supply, self.period = supply, period
        self.largest = LARGEST[self.world.currency("decimals")]
        self.held = dict.fromkeys(HOLDERS, 0)
        self.held[HOLDERS[0]] = supply
        self.earned = {holder: Fraction(0) for holder in HOLDERS}
        self.claimed = dict.fromkeys(HOLDERS, 0)
        self.settlements = dict.fromkeys(HOLDERS, 0)
        self.index = 0
        self.absorbed = 0
        self.blocked: set[str] = set()

    # --- The ghost ledger -----------------------------------------------------------------------

    def _integrate(self) -> None:
        """Give everybody what streamed since the last look to those who held it."""
        index = self.share("revenue_index")
        assert index >= self.index, "index_never_falls"
        for holder, balance in self.held.items():
            self.earned[holder] += Fraction(balance * (index - self.index), self.supply)
        self.index = index

    def _note_absorbed(self) -> None:
        for event in self.share.events("RevenueDistributed"):
            self.absorbed += event.arguments["amount"]
            assert event.arguments["streams_until"] <= self.world.now + self.period
            assert event.arguments["streams_until"] > self.world.now

    # --- What people do -------------------------------------------------------------------------

    @rule(
        sender=st.sampled_from(HOLDERS),
        receiver=st.sampled_from(HOLDERS),
        part=st.fractions(0, 1),
    )
    def transfer(self, sender: Person, receiver: Person, part: Fraction) -> None:
        self._integrate()
        amount = int(self.held[sender] * part)
        self.share("transfer", receiver.address, amount, by=sender.address)
        self.held[sender] -= amount
        self.held[receiver] += amount
        self.settlements[sender] += 1
        self.settlements[receiver] += 1

    @rule(part=st.fractions(0, 1), dust=st.booleans())
    def distribute(self, part: Fraction, dust: bool) -> None:
        amount = 1 if dust else int(self.largest * part)
        self.world.fund(PAYER, amount)
        self._integrate()
        try:
            self.share("distributeRevenue", amount, by=PAYER.address)
        except Reverted:
            # Also without any address blocked that matters here, this would be a finding.
            if PAYER.address not in self.blocked:
                raise
        else:
            self._note_absorbed()

    @rule(part=st.fractions(0, 1), dust=st.booleans())
    def give(self, part: Fraction, dust: bool) -> None:
        self.world.fund(self.share.address, 1 if dust else int(self.largest * part))
        self._integrate()
        self.share("sync")
        self._note_absorbed()

    @rule(holder=st.sampled_from(HOLDERS))
    def claim(self, holder: Person) -> None:
        self._integrate()
        try:
            self._claim(holder, holder)
        except Reverted:
            if holder.address not in self.blocked:
                raise

    def _claim(self, holder: Person, receiver: Person) -> int:
        claimable = self.share("claimable", holder.address)
        before = self.world.held(self.share)
        paid = self.share("claim", receiver.address, by=holder.address)
        assert paid == claimable
        assert self.world.held(self.share) == before - paid
        self.claimed[holder] += paid
        self.settlements[holder] += 1
        return int(paid)

    @rule(holder=st.sampled_from(HOLDERS), nominee=st.sampled_from(HOLDERS))
    def claim_by_nominee(self, holder: Person, nominee: Person) -> None:
        self.share("set_nominee", nominee.address, by=holder.address)
        if nominee.address in self.blocked:
            return
        self._integrate()
        paid = self.share("claim_for", holder.address, nominee.address, by=nominee.address)
        self.claimed[holder] += paid
        self.settlements[holder] += 1

    @rule(seconds=st.one_of(st.integers(0, 5), st.integers(0, 40 * 86_400)))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    @precondition(lambda self: self.currency == "blacklist")
    @rule(who=st.integers(0, len(HOLDERS)), blocked=st.booleans())
    def block(self, who: int, blocked: bool) -> None:
        address = HOLDERS[who].address if who < len(HOLDERS) else PAYER.address
        self.world.currency("set_blocked", address, blocked)
        (self.blocked.add if blocked else self.blocked.discard)(address)

    @precondition(lambda self: self.currency == "re-entrant")
    @rule(
        what=st.sampled_from(["claim", "sync", "distributeRevenue", "transfer"]),
        holder=st.sampled_from(HOLDERS),
    )
    def arm(self, what: str, holder: Person) -> None:
        arguments = {"distributeRevenue": (1,), "transfer": (holder.address, 0)}.get(what, ())
        payload = self.share.interface.call_data(what, *arguments)
        self.world.currency("arm", self.share.address, payload)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        obligations = self.share("obligations")
        assert self.world.held(self.share) >= obligations
        claimable = sum(self.share("claimable", holder.address) for holder in HOLDERS)
        assert claimable <= obligations

    @invariant()
    def conserved(self) -> None:
        balances = {h: self.share("balanceOf", h.address) for h in HOLDERS}
        assert balances == self.held
        assert sum(balances.values()) == self.supply
        assert self.share("paid") == sum(self.claimed.values())
        assert self.share("obligations") + self.share("paid") == self.absorbed

    @invariant()
    def index_never_falls(self) -> None:
        index = self.share("revenue_index")
        assert self.index <= index <= self.absorbed

    @invariant()
    def no_past_revenue(self) -> None:
        self._integrate()
        for holder in HOLDERS:
            known = self.claimed[holder] + self.share("claimable", holder.address)
            assert known <= self.earned[holder]
            lost = DUST * (self.settlements[holder] + 1)
            assert known > self.earned[holder] - lost - 1

    @invariant()
    def can_always_claim(self) -> None:
        stranger = person("somebody else")
        with self.world.engine.trial():
            if self.currency == "re-entrant":
                self.world.currency("arm", "0x" + "00" * 20, b"")
            for holder in HOLDERS:
                if holder.address not in self.blocked:
                    expected = self.share("claimable", holder.address)
                    paid = self.share("claim", stranger.address, by=holder.address)
                    assert paid == expected
            self.world.wait(400 * 86_400)
            if not self.blocked:
                for holder in HOLDERS:
                    self.share("claim", stranger.address, by=holder.address)
                # All that is left are fractions: less than a unit each, and what rounding kept.
                assert self.share("obligations") <= len(HOLDERS) + 1


TestSharePromises = SharePromises.TestCase
TestSharePromises.settings = times(2, steps=1.5)
