"""Shares set aside for contributors: each part by its weight, once, with what it had earned."""

from __future__ import annotations

from collections import Counter

from tessera.bindings import allocation, launchpad, registry, share
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.facts import Entry, Facts
from tessera.errors import TransactionReverted
from tessera.spec.allocation import AllocationModel

__all__ = ["check_contributors"]


class _Replay:
    def __init__(self, facts: Facts, checks: Checks) -> None:
        self._facts = facts
        self._checks = checks
        self.models: dict[str, AllocationModel] = {}
        self.assets: dict[str, int] = {}
        self.claims: Counter[str] = Counter()
        self._roots: dict[int, bytes] = {}
        self._fetched: Counter[str] = Counter()
        self._grants: dict[str, launchpad.Schedule] = {}
        # What an allocation says that it gave, until the Launchpad says for which weight.
        self._given: dict[str, allocation.HandedOver] = {}

    def take(self, entry: Entry) -> None:
        event = entry.event
        match event:
            case registry.AssetRegistered():
                self._roots[event.asset] = event.contributions
            case launchpad.AllocationOpened():
                self.models[event.allocation] = AllocationModel(event.grant.amount)
                self.assets[event.allocation] = event.asset
                agreed = event.root == self._roots[event.asset]
                self._same("shares are set aside for those who were registered",
                           event.allocation, agreed, True)  # fmt: skip
            case launchpad.VestingOpened():
                self._grants[event.vesting] = event.schedule
            case share.RevenueClaimed(holder=holder) if holder in self.models:
                self._fetched[holder] += event.amount
            case allocation.HandedOver() if entry.address in self.models:
                self._given[entry.address] = event
            case launchpad.ContributionClaimed():
                self._claim(event)
            case _:
                pass

    def _claim(self, event: launchpad.ContributionClaimed) -> None:
        at, given = event.allocation, self._given.pop(event.allocation, None)
        self._same("a contributor's part leaves what was set aside", at, given is not None, True)
        if given is None:
            return
        try:
            amount, revenue = self.models[at].hand_over(
                given.leaf, event.weight, revenue=self._fetched.pop(at, 0)
            )
        except TransactionReverted as refused:
            self._checks.refused(self._facts.name(at), refused)
            return
        grant = self._grants[event.vesting]
        self.claims[at] += 1
        self._same("a contributor gets the part of its weight", at, given.amount, amount)
        self._same("a part that was claimed vests whole", at, grant.amount, amount)
        to_whom = (grant.beneficiary, given.vesting) == (event.account, event.vesting)
        self._same("a part vests for its contributor", at, to_whom, True)
        self._same("a part has earned from the first second, bit for bit", at,
                   given.revenue, revenue)  # fmt: skip

    def _same(self, rule: str, address: str, found: int, wanted: int) -> None:
        self._checks.same(rule, self._facts.name(address), found, wanted)


def check_contributors(facts: Facts, checks: Checks) -> dict[str, int]:
    """Every share that was set aside is there, or vests for the contributor whose part it is.

    Returns
    -------
    dict
        By what it is: base units that lie with what was set aside.
    """
    replay = _Replay(facts, checks)
    shares: dict[int, str] = {}
    for entry in facts.entries:
        if isinstance(entry.event, registry.Tokenized):
            shares[entry.event.asset] = entry.event.share
        replay.take(entry)
    found: dict[str, int] = {}
    for address, model in replay.models.items():
        about = facts.name(address)
        held = facts.shares[shares[replay.assets[address]]].balances.get(address, 0)
        checks.same("what nobody claimed is there", about, held, model.left)
        left = model.accruals.received - model.accruals.distributed
        checks.within("contributors got all but dust", about, left, 0, replay.claims[address])
        checks.same("an allocation holds that dust", about, facts.balances.get(address, 0), left)
        found[f"dust of {about}"] = left
    return found
