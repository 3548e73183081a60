"""Bonds: every stake, reward and slash again, by `tessera.spec.bond`."""

from __future__ import annotations

from collections import Counter

from tessera.bindings import approvals, bond, network_token
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import Entry, Facts, NetworkFacts
from tessera.errors import TransactionReverted
from tessera.spec.approvals import Evidence
from tessera.spec.bond import BondModel, BondTimes
from tessera.spec.signatures import address_of

__all__ = ["BondReplay"]


class BondReplay:
    """The books of Bond, written again.

    Attributes
    ----------
    model
        The twin.
    slashed, bounties
        Raw TSR by validator, and by whistle-blower.
    """

    def __init__(self, facts: Facts, network: NetworkFacts, checks: Checks) -> None:
        self._facts = facts
        self._network = network
        self._checks = checks
        self.model = BondModel(BondTimes(*network.bond_times))
        self.slashed: Counter[str] = Counter()
        self.bounties: Counter[str] = Counter()
        # By transaction: TSR that left Bond, by receiver.
        self._left: dict[str, Counter[str]] = {}
        self._behind: dict[tuple[bytes, str], int] = {}

    def take(self, entry: Entry) -> None:
        """Take the next event."""
        event = entry.event
        if isinstance(event, network_token.Transfer):
            if event.sender == self._network.at["Bond"]:
                self._left.setdefault(entry.tx, Counter())[event.receiver] += event.value
            return
        if isinstance(event, approvals.Committed):
            self._behind[event.round, event.validator] = event.bond
        if isinstance(event, approvals.Punished) and event.kind == Evidence.FABRICATED:
            self._same(
                "made-up outputs cost the bond that was behind them",
                event.validator,
                event.amount,
                self._behind.get((event.round, event.validator), 0),
            )
        if entry.address != self._network.at["Bond"]:
            return
        try:
            self._take(entry)
        except TransactionReverted as refused:
            self._checks.refused("Bond", refused)

    def close(self) -> dict[str, int]:
        """Compare what is bonded at the end; raw TSR by validator."""
        model = {
            who: pool.slashable()
            for who, pool in (
                (who, self.model.pools[address_of(who)]) for who in self._network.bonds
            )
        }
        self._checks.same_all("bonds", self._network.bonds, model, self._facts.name)
        held = self._network.balances.get(self._network.at["Bond"], 0)
        self._checks.same("Bond holds every pool and nothing else", "Bond", held,
                          sum(model.values()))  # fmt: skip
        return model

    def _take(self, entry: Entry) -> None:
        event, now = entry.event, entry.time
        match event:
            case bond.Staked():
                shares = self.model.stake(
                    address_of(event.account), address_of(event.validator), event.amount, now
                )
                self._same("shares of a stake", event.account, event.shares, shares)
            case bond.Unstaked():
                amount = self.model.unstake(
                    address_of(event.account), address_of(event.validator), event.shares, now
                )
                self._same("an exit is worth its shares", event.account, event.amount, amount)
            case bond.Restaked():
                shares = self.model.restake(
                    address_of(event.account), address_of(event.validator), now
                )
                self._same("shares of a stake", event.account, event.shares, shares)
            case bond.Withdrawn():
                amount = self.model.withdraw(
                    address_of(event.account), address_of(event.validator), now
                )
                self._same("an exit is paid whole", event.account, event.amount, amount)
            case bond.Rewarded():
                part = self.model.reward(address_of(event.validator), event.amount, now)
                self._same("a validator's take", event.validator, event.take, part)
            case bond.TakeSet():
                self.model.set_take(address_of(event.validator), event.take_bps, now)
            case bond.Enlisted():
                self.model.enlist(address_of(event.validator), address_of(event.slasher), now)
            case bond.Left():
                self.model.leave(address_of(event.validator), address_of(event.slasher), now)
            case bond.Backed():
                slasher, who = address_of(event.slasher), address_of(event.validator)
                self.model.back(slasher, who, event.until, now)
            case bond.Frozen():
                slasher, who = address_of(event.slasher), address_of(event.validator)
                self.model.freeze(slasher, who, event.case, now)
            case bond.Unfrozen():
                slasher, who = address_of(event.slasher), address_of(event.validator)
                self.model.unfreeze(slasher, who, event.case)
            case bond.Slashed():
                self._slash(entry, event)
            case _:
                pass

    def _slash(self, entry: Entry, event: bond.Slashed) -> None:
        taken = self.model.slash(
            address_of(event.slasher), address_of(event.validator), event.taken, event.case,
            event.evidence, address_of(event.whistle_blower), entry.time,
        )  # fmt: skip
        about = event.validator
        self._same("a slash takes what is there", about, event.taken, taken.amount)
        self._same("a fifth of the offender's own stake is the teller's", about, event.bounty,
                   taken.bounty)  # fmt: skip
        left = self._left.get(entry.tx, Counter())
        self._same("a bounty is paid", about, left[event.whistle_blower], event.bounty)
        self._same("the rest of a slash is the commons'", about, left[self._network.commons],
                   event.taken - event.bounty)  # fmt: skip
        self.slashed[event.validator] += event.taken
        self.bounties[event.whistle_blower] += event.bounty

    def _same(self, rule: str, address: str, found: int, wanted: int) -> None:
        self._checks.same(rule, self._facts.name(address), found, wanted)
