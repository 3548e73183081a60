"""A promise has one name: in a contract, in the docs, and in a machine of that contract."""

from __future__ import annotations

import ast
import functools
import re

import pytest
from rig.compiling import CONTRACTS, REPOSITORY

STATEFUL = REPOSITORY / "tests" / "contracts" / "stateful"
INVARIANTS = re.compile(r"@custom:invariant ([a-z_, ]+)")
MACHINES = {
    "Access": "AccessPromises",
    "Allocation": "WholeMarketPromises",
    "Approvals": "ApprovalPromises",
    "ApprovedSale": "ApprovalPromises",
    "Auction": "AuctionPromises",
    "Bond": "BondPromises",
    "Channels": "MarketPromises",
    "Conduct": "ConductPromises",
    "Court": "ApprovalPromises",
    "Curve": "CurvePromises",
    "Draws": "ApprovalPromises",
    "Epochs": "EpochPromises",
    "Exchange": "ExchangePromises",
    "Governor": "GovernancePromises",
    "Jury": "ApprovalPromises",
    "NetworkToken": "BondPromises",
    "Offering": "OfferingPromises",
    "Orders": "AccessPromises",
    "Registry": "MarketPromises",
    "Scores": "ScorePromises",
    "Share": "SharePromises",
    "Emission": "EmissionPromises",
    "SubnetPool": "SubnetPoolPromises",
    "SubnetToken": "SubnetPoolPromises",
    "Subnets": "SubnetPromises",
    "Vesting": "WholeMarketPromises",
    "Workflows": "WorkflowPromises",
    "X402Channels": "X402Promises",
}
"""Which machine walks a contract; a contract that promises something without one fails below."""
BESIDE_THE_MARKET = {
    "Approvals", "ApprovedSale", "Bond", "Conduct", "Court", "Draws", "Epochs", "Jury",
    "NetworkToken", "Scores", "Subnets",
}  # fmt: skip
"""What validation consists of: no part of the market that `WholeMarketPromises` walks."""


def promised() -> dict[str, set[str]]:
    """Return each contract that promises something, with the names of its promises."""
    found = {}
    for source in CONTRACTS.glob("*.vy"):
        told = INVARIANTS.findall(source.read_text())
        if told:
            found[source.stem] = {name for line in told for name in re.split(r",\s*", line.strip())}
    return found


@functools.cache
def machines() -> dict[str, set[str]]:
    """Return the invariants of each machine: what is checked after each of its steps."""
    return {
        node.name: {
            each.name
            for each in node.body
            if isinstance(each, ast.FunctionDef)
            and any(ast.unparse(by) == "invariant()" for by in each.decorator_list)
        }
        for file in STATEFUL.glob("test_*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef)
    }


PROMISED = promised()
PROMISES = sorted(set().union(*PROMISED.values()))


def test_the_contracts_promise_something() -> None:
    assert len(PROMISES) >= 10


@pytest.mark.parametrize("name", PROMISES)
def test_the_docs_tell_it(name: str) -> None:
    page = (REPOSITORY / "docs" / "spec" / "invariants.md").read_text()
    assert f"### {name}\n" in page


@pytest.mark.parametrize(
    ("contract", "name"),
    [(contract, name) for contract, names in sorted(PROMISED.items()) for name in sorted(names)],
)
def test_a_machine_of_the_contract_checks_it(contract: str, name: str) -> None:
    """Not any machine: one that walks this contract."""
    assert name in machines()[MACHINES[contract]]


def test_the_whole_market_checks_every_promise() -> None:
    market = {name for name in PROMISED if name not in BESIDE_THE_MARKET}
    assert machines()["WholeMarketPromises"] >= set().union(*(PROMISED[name] for name in market))
