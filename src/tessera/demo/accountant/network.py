"""TSR itself: every transfer replayed, and every token that exists is somebody's or somewhere."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tessera.bindings import (
    approvals,
    court,
    draws,
    epochs,
    exchange,
    network_token,
    subnet_pool,
    subnets,
)
from tessera.demo.accountant.bonds import BondReplay
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.emission import EmissionReplay
from tessera.demo.accountant.facts import Entry, Facts, NetworkFacts
from tessera.spec.signatures import ZERO_ADDRESS_TEXT

__all__ = ["check_network"]

_JURORS_PART: Final = 10


class _Ledger:
    """Transfers, and what contracts say that they took in and gave out."""

    def __init__(self, facts: Facts, network: NetworkFacts, checks: Checks) -> None:
        self._facts = facts
        self._network = network
        self._checks = checks
        self.held: Counter[str] = Counter()
        self.genesis = self.minted = self.burned = 0
        # Raw TSR in a contract, by its name, and base units in TSR's pool.
        self.inside: Counter[str] = Counter()
        self.money = 0
        self._stakes: dict[int, court.CaseOpened] = {}
        self._closed: list[tuple[str, court.CaseOpened, bool]] = []
        # What the Court paid, by transaction and receiver.
        self._paid: dict[str, Counter[str]] = {}
        self._said_burned = 0

    def take(self, entry: Entry) -> None:
        event, at = entry.event, self._network.at
        match event:
            case network_token.Transfer() if entry.address == self._network.token:
                self._move(entry, event)
            case subnets.SubnetCreated():
                self.inside["Subnets"] += event.lock
            case subnets.SubnetDissolved():
                self.inside["Subnets"] -= event.lock
            case subnets.Burned():
                self._said_burned += event.amount
            case subnet_pool.PoolOpened():
                self.inside["SubnetPool"] += event.amount
            case subnet_pool.Bought():
                self.inside["SubnetPool"] += event.cost
            case subnet_pool.Sold():
                self.inside["SubnetPool"] -= event.proceeds
            case subnet_pool.Injected():
                self.inside["SubnetPool"] += event.amount
            case exchange.PoolOpened() if entry.address == at["NetworkExchange"]:
                self.inside["NetworkExchange"] += event.tokens
                self.money += event.currency_amount
            case exchange.Bought() if entry.address == at["NetworkExchange"]:
                self.inside["NetworkExchange"] -= event.tokens
                self.money += event.cost
            case exchange.Sold() if entry.address == at["NetworkExchange"]:
                self.inside["NetworkExchange"] += event.tokens
                self.money -= event.proceeds
            case draws.Committed():
                self.inside["Draws"] += self._network.draw_deposit
            case draws.Revealed() | draws.Forfeited():
                self.inside["Draws"] -= self._network.draw_deposit
            case epochs.Posted():
                self.inside["Epochs"] += self._network.epoch_bond
            case epochs.Collected():
                self.inside["Epochs"] -= event.amount
            case approvals.SetCommitted():
                self.inside["Approvals"] += event.pledge
            case approvals.RoundOpened():
                self.inside["Approvals"] += event.budget
            case approvals.Rewarded():
                self.inside["Approvals"] -= event.amount
            case court.CaseOpened():
                self._stakes[event.case] = event
                self.inside["Court"] += event.stake
            case court.CaseClosed():
                self._close_case(entry, event)
            case _:
                pass

    def _move(self, entry: Entry, event: network_token.Transfer) -> None:
        if event.sender == ZERO_ADDRESS_TEXT:
            # The network begins with one mint; every other is Emission's.
            if self.genesis:
                self.minted += event.value
                self._checks.same("only Emission's schedule mints", "TSR",
                                  event.receiver == self._network.at["Emission"], True)  # fmt: skip
            else:
                self.genesis = event.value
        else:
            self.held[event.sender] -= event.value
            self._checks.within("nobody spends TSR that he has not",
                                self._facts.name(event.sender), self.held[event.sender], 0,
                                self._network.minted)  # fmt: skip
        if event.receiver == ZERO_ADDRESS_TEXT:
            self.burned += event.value
        else:
            self.held[event.receiver] += event.value
        if event.sender == self._network.at["Court"]:
            self._paid.setdefault(entry.tx, Counter())[event.receiver] += event.value

    def _close_case(self, entry: Entry, event: court.CaseClosed) -> None:
        # Its stake is paid out in the same transaction, in part behind this event.
        case = self._stakes[event.case]
        self._closed.append((entry.tx, case, event.upheld))
        self.inside["Court"] -= case.stake

    def close(self) -> dict[str, int]:
        """Compare everything at the end; raw TSR by the contract that it lies in."""
        network, checks, names = self._network, self._checks, self._facts.name
        checks.same_all("TSR transfers add up to balances", network.balances, self.held, names)
        checks.same("TSR ever minted", "TSR", network.minted, self.genesis + self.minted)
        checks.same("TSR that exists", "TSR", network.supply,
                    self.genesis + self.minted - self.burned)  # fmt: skip
        checks.same("TSR is burned for places in subnets", "TSR", self.burned, self._said_burned)
        for tx, case, upheld in self._closed:
            self._check_stake(self._paid.get(tx, Counter()), case, upheld=upheld)
        # What left Approvals without a word is a pledge given back, or a budget that nobody earned.
        left = sum(network.pledges.values()) + sum(network.budgets.values())
        checks.within("pledges and budgets are there or were given back", "Approvals", left, 0,
                      self.inside["Approvals"])  # fmt: skip
        self.inside["Approvals"] = left
        checks.same("Epochs keeps bonds and what it owes", "Epochs", self.inside["Epochs"],
                    network.obligations["Epochs"])  # fmt: skip
        return dict(self.inside)

    def _check_stake(self, paid: Counter[str], case: court.CaseOpened, *, upheld: bool) -> None:
        about = f"case {case.case}"
        self._checks.same("a challenger's stake is paid out whole", about, sum(paid.values()),
                          case.stake)  # fmt: skip
        fee = case.stake // _JURORS_PART
        fees = {who: amount for who, amount in paid.items()
                if who not in (case.challenger, case.accused)}  # fmt: skip
        for who, amount in fees.items():
            self._checks.same("each juror that voted gets a tenth of the stake",
                              self._facts.name(who), amount, fee)  # fmt: skip
        if upheld:
            self._checks.same("a challenger that was right gets the rest back",
                              self._facts.name(case.challenger), paid[case.challenger],
                              case.stake - sum(fees.values()))  # fmt: skip


def check_network(facts: Facts, checks: Checks) -> tuple[dict[str, int], dict[str, int]]:
    """Every TSR is with people, bonded, locked, in a pool or burned, and every fee is somebody's.

    Returns
    -------
    tuple
        Raw TSR, and base units of the currency, that lie in contracts, by what they are.
    """
    network = facts.network
    if network is None:
        return {}, {}
    ledger, bonds = _Ledger(facts, network, checks), BondReplay(facts, network, checks)
    emits = EmissionReplay(facts, network, checks, bonds)
    for entry in facts.entries:
        ledger.take(entry)
        bonds.take(entry)
        emits.take(entry)
    inside = ledger.close()
    pools = bonds.close()
    fees = emits.close()
    inside["Emission"] = emits.kept()
    inside["Bond"] = sum(pools.values())
    held = {name: network.balances.get(address, 0) for name, address in network.at.items()}
    checks.same_all("a contract holds what its events say", held, inside)
    for name, owed in network.obligations.items():
        checks.same("a contract holds what it owes", name, held.get(name, 0), owed)
    checks.same("minted is paid into bonds, withdrawn, or kept", "Emission",
                ledger.minted, emits.paid + emits.withdrawn + inside["Emission"])  # fmt: skip
    people = sum(
        amount for address, amount in network.balances.items()
        if address not in network.at.values()
    )  # fmt: skip
    bonded = {
        f"bond of {name}": amount
        for name, amount in sorted((facts.name(who), amount) for who, amount in pools.items())
    }
    named = {
        **bonded,
        "locks of subnets": inside.get("Subnets", 0),
        "pool of TSR": inside.get("NetworkExchange", 0),
        "pools of subnets' tokens": inside.get("SubnetPool", 0),
        "pledges and budgets of approvals": inside.get("Approvals", 0),
        "bonds of results": inside.get("Epochs", 0),
        "emitted and not taken yet": inside["Emission"],
        "stakes of cases": inside.get("Court", 0),
        "deposits of draws": inside.get("Draws", 0),
        "burned": ledger.burned,
        "with people": people,
    }
    checks.same("what the network began with, and what was minted, is somewhere", "TSR",
                network.minted, sum(named.values()))  # fmt: skip
    reserves = {"reserves of the pool of TSR": ledger.money}
    money = facts.balances.get(network.at["NetworkExchange"], 0)
    checks.same("the pool of TSR holds its money", "NetworkExchange", money, ledger.money)
    return {name: amount for name, amount in named.items() if amount}, reserves | fees
