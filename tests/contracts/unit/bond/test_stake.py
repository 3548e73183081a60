"""Stake goes in, backs, and comes back after its delay."""

from __future__ import annotations

import pytest
from rig.bonding import (
    DELAY,
    MAX_FREEZE,
    NOTICE,
    PERIOD,
    TSR,
    Bonding,
    case,
    open_bonding,
)
from rig.compiling import compiled, mock
from rig.contract import Contract, deployed, refused
from rig.people import Person, person
from rig.system import World


def test_the_times_of_a_deployment_are_public(bonding: Bonding) -> None:
    assert bonding.bond("times") == (DELAY, NOTICE, MAX_FREEZE, PERIOD)
    assert bonding.bond("token") == bonding.token.address


@pytest.mark.parametrize(
    "times",
    [(0, 9, 1, 1), (1, 9, 0, 1), (1, 9, 1, 0), (366 * 86_400, 10**9, 1, 1), (1, 9, 1, 10**9),
     (1, 10**9, 10**8, 1)],
)  # fmt: skip
def test_times_out_of_range_are_refused(times: tuple[int, int, int, int]) -> None:
    with refused("bond: time out of range"):
        open_bonding(times=times)


@pytest.mark.parametrize("notice", [DELAY + MAX_FREEZE, 4 * 365 * 86_400 + 1])
def test_a_notice_in_which_nobody_can_leave_is_refused(notice: int) -> None:
    with refused("bond: notice out of range"):
        open_bonding(times=(DELAY, notice, MAX_FREEZE, PERIOD))


def test_staking_says_so(bonding: Bonding) -> None:
    who = person("validator")
    shares = bonding.stake(who, who, 5 * TSR)
    assert shares == 5 * TSR * 10**6
    (event,) = bonding.bond.events()
    assert event.name == "Staked"
    assert event.arguments == {
        "validator": who.address, "account": who.address, "amount": 5 * TSR, "shares": shares,
    }  # fmt: skip
    assert bonding.bond("bonded", who.address) == 5 * TSR
    assert bonding.bond("slashable", who.address) == 5 * TSR
    assert bonding.bond("own_bond", who.address) == 5 * TSR
    assert bonding.bond("stake_of", who.address, who.address) == (shares, 5 * TSR)
    assert bonding.bond("obligations") == 5 * TSR == bonding.held(bonding.bond)


def test_nothing_is_not_staked(bonding: Bonding, validator: Person) -> None:
    with refused("bond: nothing to stake"):
        bonding.bond("stake", validator.address, 0, by=validator.address)
    with refused("erc20: balance too low"):
        bonding.bond("stake", validator.address, 1, by=validator.address)


def test_a_validator_stakes_first(bonding: Bonding, delegator: Person) -> None:
    """Before that its list of slashers could change without notice."""
    with refused("bond: the validator has no stake of its own"):
        bonding.stake(delegator, person("validator"), TSR)


def test_more_than_fits_is_not_staked() -> None:
    def large(world: World) -> Contract:
        token = deployed(world.engine, mock("PlainCurrency"), 18, by=world.owner.address)
        token("mint", person("treasury").address, 2**100, by=world.owner.address)
        return token

    bonding = open_bonding(token=large)
    who = person("validator")
    bonding.fund(who, 2**96)
    with refused("bond: too much"):
        bonding.bond("stake", who.address, 2**96, by=who.address)
    bonding.bond("stake", who.address, 2**96 - 1, by=who.address)
    with refused("bond: too much"):
        bonding.bond("stake", who.address, 1, by=who.address)
    with refused("bond: too much"):
        bonding.bond("reward", who.address, 1, by=who.address)
    # The largest pool there can be comes back whole.
    assert bonding.leave_all(who, who) == 2**96 - 1
    bonding.world.wait(DELAY)
    assert bonding.bond("withdraw", who.address, by=who.address) == 2**96 - 1


def test_a_token_that_does_not_say_yes_is_no_stake(validator: Person) -> None:
    def false(world: World) -> Contract:
        return deployed(world.engine, mock("FalseCurrency"), 18, by=world.owner.address)

    bonding = open_bonding(token=false, slashers=0)
    with refused("bond: token refused the transfer"):
        bonding.bond("stake", validator.address, 1, by=validator.address)


def test_stake_comes_back_after_its_delay(bonding: Bonding, validator: Person) -> None:
    bond, who = bonding.bond, validator.address
    shares = 400 * TSR * 10**6
    assert bond("unstake", who, shares, by=who) == 400 * TSR
    (event,) = bond.events("Unstaked")
    ready = bonding.world.now + DELAY
    assert event.arguments == {
        "validator": who, "account": who, "amount": 400 * TSR, "shares": shares, "ready_at": ready,
    }  # fmt: skip
    assert bond("exit_of", who, who) == (400 * TSR, ready)
    assert bond("bonded", who) == 600 * TSR
    assert bond("slashable", who) == bond("own_bond", who) == 1_000 * TSR
    bonding.world.wait(DELAY - 1)
    with refused("bond: not ready yet"):
        bond("withdraw", who, by=who)
    bonding.world.wait(1)
    assert bond("withdraw", who, by=who) == 400 * TSR
    assert bonding.held(validator) == 400 * TSR
    assert bond("exit_of", who, who) == (0, 0)
    with refused("bond: nothing is leaving"):
        bond("withdraw", who, by=who)


def test_stake_is_paid_to_whom_its_owner_says(
    bonding: Bonding, validator: Person, delegator: Person
) -> None:
    bonding.leave_all(validator, validator)
    bonding.world.wait(DELAY)
    bonding.bond("withdraw", validator.address, delegator.address, by=validator.address)
    (event,) = bonding.bond.events("Withdrawn")
    assert event.arguments["receiver"] == delegator.address
    assert bonding.held(delegator) == 1_000 * TSR


def test_asking_again_restarts_the_delay(bonding: Bonding, validator: Person) -> None:
    who = validator.address
    bonding.bond("unstake", who, 10**6, by=who)
    bonding.world.wait(DELAY)
    bonding.bond("unstake", who, 10**6, by=who)
    with refused("bond: not ready yet"):
        bonding.bond("withdraw", who, by=who)


def test_only_what_is_there_leaves(bonding: Bonding, validator: Person, delegator: Person) -> None:
    who = validator.address
    for shares, by in ((0, validator), (1_001 * TSR * 10**6, validator), (1, delegator)):
        with refused("bond: not that many shares"):
            bonding.bond("unstake", who, shares, by=by.address)
    # Below one base unit.
    with refused("bond: too little to leave"):
        bonding.bond("unstake", who, 10**6 - 1, by=who)


def test_what_leaves_can_be_staked_again(bonding: Bonding, validator: Person) -> None:
    bond, who = bonding.bond, validator.address
    with refused("bond: nothing is leaving"):
        bond("restake", who, by=who)
    bond("unstake", who, 400 * TSR * 10**6, by=who)
    shares = bond("restake", who, by=who)
    assert shares == 400 * TSR * 10**6
    (event,) = bond.events("Restaked")
    assert event.arguments["amount"] == 400 * TSR
    assert bond("bonded", who) == 1_000 * TSR
    assert bond("exit_of", who, who) == (0, 0)


def test_a_delegator_does_not_come_back_to_a_validator_who_left(
    bonding: Bonding, validator: Person, delegator: Person
) -> None:
    bonding.stake(delegator, validator, TSR)
    bonding.leave_all(delegator, validator)
    bonding.leave_all(validator, validator)
    with refused("bond: the validator has no stake of its own"):
        bonding.bond("restake", validator.address, by=delegator.address)


def test_a_freeze_holds_payouts_up_and_not_for_ever(bonding: Bonding, validator: Person) -> None:
    bond, who = bonding.bond, validator.address
    bonding.leave_all(validator, validator)
    bonding.world.wait(DELAY)
    ready = bonding.world.now
    bonding.as_slasher("freeze", who, case(1))
    with refused("bond: frozen"):
        bond("withdraw", who, by=who)
    bonding.world.wait(MAX_FREEZE - 1)
    # Accused again and again: what left is out `max_freeze` after its delay at the latest.
    bonding.as_slasher("freeze", who, case(2))
    with refused("bond: frozen"):
        bond("withdraw", who, by=who)
    bonding.world.wait(1)
    assert bond("frozen_until", who) > bonding.world.now == ready + MAX_FREEZE
    assert bond("withdraw", who, by=who) == 1_000 * TSR


def test_tokens_sent_here_by_mistake_go_to_the_commons(bonding: Bonding, validator: Person) -> None:
    bonding.token("transfer", bonding.bond.address, 7, by=bonding.treasury.address)
    assert bonding.bond("rescue", bonding.token) == 7
    assert bonding.held(bonding.world.commons) == 7
    (event,) = bonding.bond.events("Rescued")
    assert event.arguments == {"token": bonding.token.address, "amount": 7}
    bonding.world.fund(bonding.bond.address, 9)
    assert bonding.bond("rescue", bonding.world.currency) == 9
    assert bonding.world.held(bonding.world.commons) == 9
    assert bonding.bond("rescue", bonding.token) == 0
    assert bonding.bond("bonded", validator.address) == 1_000 * TSR


def test_the_code_fits(bonding: Bonding) -> None:
    assert len(bonding.world.engine.code(bonding.bond.address)) < 24_576
    assert compiled("Bond").abi
