"""The accountant of TSR: true books balance, and one raw unit that is not true is found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.demo import commonwealth as town
from tests.unit.demo.test_fair_books import changed, dropped, twice

from tessera.bindings import (
    approvals,
    bond,
    channels,
    court,
    draws,
    emission,
    epochs,
    exchange,
    network_token,
    scores,
    subnet_pool,
    subnets,
)
from tessera.demo.accountant import Facts
from tessera.demo.accountant.checks import Checks
from tessera.demo.accountant.network import check_network

Lie = Callable[[Facts], Facts]


@pytest.fixture(scope="module")
def books() -> Facts:
    return town.network_books()


def found(facts: Facts) -> list[str]:
    checks = Checks()
    check_network(facts, checks)
    return [str(difference) for difference in checks.differences]


def told(name: str, *path: Any, by: int = 1) -> Lie:
    """Say that the chain shows a unit more somewhere."""

    def lie(facts: Facts) -> Facts:
        network = facts.network
        assert network is not None
        value = getattr(network, name)
        more = {**value, path[0]: value.get(path[0], 0) + by} if path else value + by
        return dataclasses.replace(facts, network=dataclasses.replace(network, **{name: more}))

    return lie


def other_row(facts: Facts) -> Facts:
    """A validator serves another row than it revealed."""
    assert facts.network is not None
    rows = {(town.SUBNET, town.EPOCH): {**town.ROWS, town.VALIDATOR: (1, 65_535)}}
    return dataclasses.replace(facts, network=dataclasses.replace(facts.network, rows=rows))


def test_true_books_of_a_network_balance(books: Facts) -> None:
    checks = Checks()
    tokens, fees = check_network(books, checks)
    assert [str(difference) for difference in checks.differences] == []
    assert books.network is not None
    assert sum(tokens.values()) == books.network.minted > town.GENESIS
    assert tokens["burned"] == 2 * town.TSR + 1
    assert f"bond of {town.LAZY}" not in tokens
    # Of fees that came, what was above the demand waits for the next period.
    assert fees["fees that wait for demand"] == 17
    assert sum(checks.made.values()) > 90


def test_a_story_without_a_network_has_no_books_of_it(books: Facts) -> None:
    checks = Checks()
    assert check_network(dataclasses.replace(books, network=None), checks) == ({}, {})
    assert not checks.made


@pytest.mark.parametrize(
    ("lie", "rule"),
    [
        (changed(network_token.Transfer, 3, value=1), "TSR transfers add up to balances"),
        (changed(network_token.Transfer, 0, value=1), "TSR ever minted"),
        (dropped(network_token.Transfer, 5), "TSR transfers add up to balances"),
        (changed(network_token.Transfer, 1, value=town.GENESIS), "nobody spends TSR that"),
        (changed(subnets.SubnetCreated, lock=1), "a contract holds what its events say"),
        (changed(subnets.Burned, amount=1), "TSR is burned for places"),
        (changed(subnet_pool.PoolOpened, amount=1), "a contract holds what its events say"),
        (changed(exchange.PoolOpened, tokens=1), "a contract holds what its events say"),
        (changed(exchange.PoolOpened, currency_amount=1), "the pool of TSR holds its money"),
        (changed(bond.Staked, amount=10**12), "bonds"),
        (changed(bond.Staked, shares=1), "shares of a stake"),
        (changed(bond.Rewarded, amount=1), "bonds"),
        (changed(bond.Rewarded, take=1), "a validator's take"),
        (changed(bond.Slashed, taken=-1), "the rest of a slash is the commons'"),
        (changed(bond.Slashed, bounty=1), "a fifth of the offender's own stake"),
        (changed(bond.Slashed, whistle_blower=town.JUROR), "a bounty is paid"),
        (twice(bond.Slashed), "the twin allows it"),
        (dropped(bond.Enlisted, 1), "the twin allows it"),
        (changed(approvals.Committed, bond=1), "made-up outputs cost the bond"),
        (changed(approvals.Punished, amount=-1), "made-up outputs cost the bond"),
        (changed(approvals.Rewarded, amount=town.STAKE * 2), "pledges and budgets are there"),
        (changed(court.CaseOpened, stake=10), "a challenger's stake is paid out whole"),
        (changed(court.CaseOpened, challenger=town.JUROR), "each juror that voted"),
        (dropped(court.CaseClosed), "a contract holds what its events say"),
        (dropped(draws.Revealed), "a contract holds what its events say"),
        (twice(epochs.Collected), "Epochs keeps bonds"),
        (changed(epochs.Collected, amount=-1), "Epochs keeps bonds"),
        (changed(scores.Revealed, stake=town.STAKE), "a result is the twin's"),
        (changed(scores.Revealed, root=bytes(32)), "a served row is the one that was revealed"),
        (other_row, "a served row is the one that was revealed"),
        (other_row, "a result is the twin's"),
        (changed(channels.Settled, commons=1), "demand is what the commons got"),
        (changed(channels.CreditWithdrawn, amount=1), "Emission holds the fees"),
        (changed(emission.DemandCollected, amount=1), "demand is what the commons got"),
        (changed(emission.Bootstrapped, amount=1), "a bootstrap is a part of the pool's opening"),
        (changed(emission.PeriodClosed, allotted=1), "a period is the twin's"),
        (changed(emission.PeriodClosed, fees=1), "a period is the twin's"),
        (changed(emission.PeriodClosed, price=10**5), "a period is the twin's"),
        (changed(emission.EpochSettled, owner_part=1), "an epoch pays what its periods"),
        (changed(emission.EpochSettled, models_part=-1), "an epoch pays what its periods"),
        (changed(emission.EpochSettled, validators_part=1), "an epoch pays what its periods"),
        (changed(emission.ModelPaid, amount=1), "a model gets its part of the incentive"),
        (changed(emission.ModelPaid, 1, amount=1), "a model gets its part of the incentive"),
        (twice(emission.ModelPaid), "the twin allows it"),
        (changed(emission.ValidatorPaid, amount=1), "a validator gets its part of the dividends"),
        (changed(emission.ValidatorPaid, fees=1), "a validator gets its part of the fees"),
        (changed(emission.Flushed, amount=1), "what a model earned is handed on whole"),
        (changed(emission.Withdrawn, amount=-1), "what Emission keeps is withdrawn whole"),
        (told("minted"), "TSR ever minted"),
        (told("supply"), "TSR that exists"),
        (told("balances", town.OWNER), "TSR transfers add up to balances"),
        (told("balances", town.BOND), "Bond holds every pool"),
        (told("bonds", town.VALIDATOR), "bonds"),
        (told("obligations", "Court"), "a contract holds what it owes"),
        (told("credits", town.OWNER), "TSR kept for accounts"),
        (told("earned", town.MODELS[0]), "TSR kept for assets"),
        (told("fee_credits", town.VALIDATOR), "fees kept for accounts"),
        (told("waiting_fees"), "fees that wait"),
        (told("fee_obligations"), "fees owed"),
        (told("pledges", town.TEST_SET), "a contract holds what its events say"),
        (told("budgets", town.ROUND), "a contract holds what its events say"),
    ],
)
def test_one_raw_unit_that_is_not_true_is_found(books: Facts, lie: Lie, rule: str) -> None:
    named = found(lie(books))
    assert any(line.startswith(rule) for line in named), named
