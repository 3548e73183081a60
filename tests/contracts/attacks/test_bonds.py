"""Stake is where the money is: what validators, delegators and judges try to take of it."""

from __future__ import annotations

import pytest
from rig.bonding import (
    DELAY,
    EVIDENCE,
    MAX_FREEZE,
    NOTICE,
    PERIOD,
    TIMES,
    TSR,
    Bonding,
    case,
    open_bonding,
)
from rig.compiling import mock
from rig.contract import NOBODY, Contract, deployed, refused
from rig.engines import Reverted
from rig.people import Person, key_of, person
from rig.system import World

from tessera.spec.bond import BondModel


@pytest.fixture
def bonding() -> Bonding:
    return open_bonding()


@pytest.fixture
def delegator() -> Person:
    return person("delegator")


def _out(bonding: Bonding, who: Person, validator: Person) -> int:
    """Take everything back, wait, and be paid."""
    bonding.leave_all(who, validator)
    bonding.world.wait(DELAY + MAX_FREEZE)
    return int(bonding.bond("withdraw", validator.address, by=who.address))


@pytest.mark.parametrize("pushed", [1, 100 * TSR, 10_000 * TSR])
def test_attack_the_first_share_is_not_made_so_dear_that_the_next_staker_gets_none(
    bonding: Bonding, delegator: Person, pushed: int
) -> None:
    """A validator stakes one unit, gives its pool a fortune, and waits for a delegator whose shares
    round down to nothing. What nobody's shares keep of the fortune is a million times what the
    delegator can lose.
    """
    validator = bonding.validator("attacker", 1)
    bonding.reward(validator, pushed)
    bonding.world.wait(PERIOD)
    bonding.stake(delegator, validator, 100 * TSR)
    worth = bonding.bond("stake_of", validator.address, delegator.address)[1]
    lost_by_delegator = 100 * TSR - worth
    lost_by_attacker = 1 + pushed - bonding.bond("own_bond", validator.address)
    assert lost_by_delegator * 10**6 <= 2 * pushed + 10**6
    assert lost_by_attacker >= lost_by_delegator
    assert lost_by_attacker * 3 >= pushed


def test_attack_a_gift_to_the_contract_moves_no_price(
    bonding: Bonding, delegator: Person, attacker: Person
) -> None:
    """Who sends tokens straight to Bond, to make shares dear or a view lie, has lost them."""
    validator = bonding.validator("validator", TSR)
    before = bonding.pool(validator)
    bonding.fund(attacker, 10**6 * TSR - 10 * TSR)
    bonding.token("transfer", bonding.bond.address, 10**5 * TSR, by=attacker.address)
    assert bonding.pool(validator) == before
    assert bonding.stake(delegator, validator, TSR) == TSR * 10**6
    bonding.bond("rescue", bonding.token, by=attacker.address)
    assert bonding.held(bonding.world.commons) == 10**5 * TSR


def test_attack_a_hundred_thousand_steps_of_dust_take_nothing_from_delegators() -> None:
    """The price of a share is a fraction, and an attacker stakes, leaves and comes back in units so
    small that every step is rounded. Both ways round for the pool; 100,000 steps on the twin.
    """
    model, now = BondModel(TIMES), 1_000
    validator, delegator, attacker = (
        key_of(person(role)) for role in ("validator", "delegator", "attacker")
    )
    model.stake(validator, validator, 10_007, now)
    model.stake(delegator, validator, 1_000_003, now)
    model.reward(validator, 333_331, now)
    now += PERIOD
    pool = model.pools[validator]
    given = taken = 0
    worth = pool.worth(pool.shares[delegator], now)
    for step in range(100_000):
        amount = step % 7 + 1
        given += amount
        shares = model.stake(attacker, validator, amount, now)
        if pool.worth(shares, now):
            taken += model.unstake(attacker, validator, shares, now)
    assert pool.worth(pool.shares[delegator], now) >= worth
    assert taken + pool.worth(pool.shares[attacker], now) <= given


def test_attack_what_leaves_in_pieces_is_not_more_than_what_leaves_at_once(
    bonding: Bonding, attacker: Person, delegator: Person
) -> None:
    """Leaving is rounded at every piece, and so is being paid among others who leave."""
    validator = bonding.validator("validator", 1_000)
    bonding.stake(delegator, validator, 1_000)
    bonding.stake(attacker, validator, 1_000)
    bonding.reward(validator, 1_001)
    bonding.world.wait(PERIOD)
    bonding.slash(validator, 777, 1)
    own, worth = bonding.bond("stake_of", validator.address, attacker.address)
    bonding.leave_all(delegator, validator)
    for _ in range(20):
        bonding.bond("unstake", validator.address, own // 20, by=attacker.address)
    bonding.world.wait(DELAY)
    assert bonding.bond("withdraw", validator.address, by=attacker.address) <= worth


@pytest.mark.parametrize("leaves", ["before it", "after it", "before the slash"])
def test_attack_nobody_runs_from_a_slash(bonding: Bonding, delegator: Person, leaves: str) -> None:
    """A validator sees its slash coming, and a delegator sees it in the mempool: both ask for their
    stake first. What leaves is slashed with what stays, and to the last unit alike.
    """
    validator = bonding.validator("validator", 100 * TSR)
    bonding.stake(delegator, validator, 900 * TSR)
    if leaves == "before it":
        bonding.leave_all(validator, validator)
        bonding.world.wait(DELAY - 1)
    bonding.as_slasher("freeze", validator.address, case(1))
    if leaves == "after it":
        bonding.leave_all(validator, validator)
    bonding.world.wait(MAX_FREEZE - 1)
    if leaves == "before it":
        with refused("bond: frozen"):
            bonding.bond("withdraw", validator.address, by=validator.address)
    if leaves == "before the slash":
        bonding.leave_all(validator, validator)
        bonding.leave_all(delegator, validator)
    assert bonding.slash(validator, 300 * TSR, 1) == 300 * TSR
    bonding.as_slasher("unfreeze", validator.address, case(1))
    bond, who = bonding.bond, validator.address
    assert bond("own_bond", who) == 70 * TSR
    bonding.world.wait(DELAY)
    assert bond("withdraw", who, by=who) == 70 * TSR


def test_attack_a_delegator_who_comes_for_a_reward_gets_none_of_it(
    bonding: Bonding, delegator: Person, attacker: Person
) -> None:
    """A reward for many epochs is in the mempool. The attacker delegates ten times the pool before
    it and asks for it back behind it. Rewards stream, so all of it is still to come when he goes.
    """
    validator = bonding.validator("validator", 100 * TSR, take_bps=1_000)
    bonding.stake(delegator, validator, 900 * TSR)
    bonding.stake(attacker, validator, 10_000 * TSR)
    bonding.reward(validator, 500 * TSR)
    assert bonding.leave_all(attacker, validator) <= 10_000 * TSR
    bonding.world.wait(PERIOD)
    worth = bonding.bond("stake_of", validator.address, delegator.address)[1]
    # 450 TSR, shared as if he had never been there: with what the take made of the own stake.
    assert abs(worth - (900 * TSR + 450 * TSR * 900 // 1_050)) < 10
    bonding.world.wait(DELAY)
    bonding.bond("withdraw", validator.address, by=attacker.address)
    assert bonding.held(attacker) <= 10_000 * TSR


def test_attack_a_take_raised_just_before_a_reward_does_not_count(
    bonding: Bonding, delegator: Person
) -> None:
    """A validator with no take raises it to 18 % in front of a reward. It counts after a notice in
    which every delegator can be out.
    """
    validator = bonding.validator("validator", 100 * TSR)
    bonding.stake(delegator, validator, 900 * TSR)
    bonding.bond("set_take", 1_800, by=validator.address)
    bonding.reward(validator, 100 * TSR)
    assert bonding.bond("own_bond", validator.address) == 100 * TSR
    assert _out(bonding, delegator, validator) >= 900 * TSR
    assert bonding.bond("take_of", validator.address)[0] == 0
    bonding.world.wait(NOTICE)
    assert bonding.bond("take_of", validator.address)[0] == 1_800


@pytest.mark.parametrize("delegated", [0, 100, 100_000])
def test_attack_who_denounces_himself_never_gets_more_than_a_fifth_back(
    bonding: Bonding, delegator: Person, delegated: int
) -> None:
    """A validator bonds 1,000, lets others delegate a hundred times as much, fabricates a report
    and denounces it through another name. Were his part counted on the whole slash, he would be
    paid 20,000 out of his delegators' stake.
    """
    validator, own_name = bonding.validator("validator", 1_000 * TSR), person("another name")
    if delegated:
        bonding.stake(delegator, validator, delegated * TSR)
    taken = bonding.slash(validator, 2**100, 1, whistle_blower=own_name)
    assert taken == (1_000 + delegated) * TSR
    assert bonding.held(own_name) <= 200 * TSR
    assert bonding.held(bonding.world.commons) == taken - bonding.held(own_name)
    # The same for a part of it.
    other = bonding.validator("another validator", 1_000 * TSR)
    bonding.stake(delegator, other, 500 * TSR)
    bonding.slash(other, 300 * TSR, 1, whistle_blower=other)
    lost = 1_000 * TSR - bonding.bond("own_bond", other.address)
    assert bonding.held(other) * 5 <= lost


def test_attack_one_offence_is_slashed_once(bonding: Bonding) -> None:
    """A whistle-blower brings the same case again, alone, with other evidence, for another amount;
    the next case is another case.
    """
    validator = bonding.validator("validator", 1_000 * TSR)
    blower = person("whistle-blower")
    bonding.as_slasher("freeze", validator.address, case(1))
    bonding.slash(validator, 10 * TSR, 1, whistle_blower=blower)
    for evidence in (EVIDENCE, b"\x01" * 32):
        with refused("bond: slashed already"):
            bonding.slash(validator, TSR, 1, whistle_blower=blower, evidence=evidence)
    bonding.as_slasher("unfreeze", validator.address, case(1))
    with refused("bond: slashed already"):
        bonding.slash(validator, TSR, 1, whistle_blower=blower)
    with refused("bond: the case is known"):
        bonding.as_slasher("freeze", validator.address, case(1))
    assert bonding.held(blower) == 2 * TSR


def test_attack_a_slasher_that_nobody_enlisted_has_no_power(
    bonding: Bonding, attacker: Person
) -> None:
    """Not the deployer, not the network owner, not a contract that another validator enlisted."""
    bonding.validator("validator", TSR)
    other = person("another validator")
    bonding.stake(other, other, TSR)
    arguments = (other.address, TSR, case(1), EVIDENCE, attacker.address)
    with refused("bond: not an enlisted slasher"):
        bonding.as_slasher("slash", *arguments)
    for who in (attacker, bonding.world.owner, other):
        with refused("bond: not an enlisted slasher"):
            bonding.bond("slash", *arguments, by=who.address)
        with refused("bond: not an enlisted slasher"):
            bonding.bond("freeze", other.address, case(1), by=who.address)
        with refused("bond: not an enlisted slasher"):
            bonding.bond("back", other.address, bonding.world.now, by=who.address)


def test_attack_a_slasher_of_the_validators_own_finds_no_delegator_there(
    bonding: Bonding, delegator: Person
) -> None:
    """A validator enlists a contract of its own that slashes at its word, to hurt its delegators.

    It has no power before a notice in which the delegators, who see it on the list, leave in peace,
    even while every slasher of the list freezes what it can.
    """
    validator = bonding.validator("validator", TSR)
    bonding.stake(delegator, validator, 1_000 * TSR)
    own = bonding.world.actor()
    bonding.slashers.append(own)
    since = bonding.bond("enlist", own, by=validator.address)
    assert own.address in bonding.bond("slashers_of", validator.address)
    with refused("bond: not an enlisted slasher"):
        bonding.slash(validator, 1_001 * TSR, 1, by=2)
    bonding.leave_all(delegator, validator)
    bonding.world.wait(DELAY)
    bonding.as_slasher("freeze", validator.address, case(1))
    bonding.world.wait(MAX_FREEZE)
    bonding.as_slasher("freeze", validator.address, case(2), by=1)
    assert bonding.bond("withdraw", validator.address, by=delegator.address) == 1_000 * TSR
    assert bonding.world.now < since


def test_attack_a_validator_does_not_lure_with_an_empty_pool(
    bonding: Bonding, delegator: Person
) -> None:
    """Before anybody staked a slasher counts at once. So a delegator's stake in front of which a
    validator without stake enlists something is refused: there was nothing to delegate to.
    """
    validator = person("validator")
    bonding.fund(delegator, TSR)
    with refused("bond: the validator has no stake of its own"):
        bonding.bond("stake", validator.address, TSR, by=delegator.address)
    # And nobody can fill a pool from outside, to have its validator wait for the notice.
    with refused("bond: no stake to reward"):
        bonding.reward(validator, 1)


def test_attack_a_freeze_that_never_ends_ends(bonding: Bonding, delegator: Person) -> None:
    """A slasher with a fault, or for a ransom, opens a case each day and resolves none."""
    validator = bonding.validator("validator", TSR)
    bonding.stake(delegator, validator, TSR)
    bonding.leave_all(delegator, validator)
    asked_at = bonding.world.now
    number = 0
    while bonding.world.now < asked_at + DELAY + MAX_FREEZE:
        bonding.as_slasher("freeze", validator.address, case(number))
        number += 1
        with pytest.raises(Reverted, match="bond: (not ready yet|frozen)"):
            bonding.bond("withdraw", validator.address, by=delegator.address)
        bonding.world.wait(86_400)
    assert bonding.bond("withdraw", validator.address, by=delegator.address) == TSR


def test_attack_a_slasher_is_not_left_while_its_case_is_open(bonding: Bonding) -> None:
    """An accused validator takes its stake and its judge's power away at the same moment. Both take
    the same delay, and what was frozen by then is judged behind it.
    """
    validator = bonding.validator("validator", 10 * TSR)
    bonding.as_slasher("back", validator.address, bonding.world.now + DELAY)
    bonding.bond("leave", bonding.slashers[0], by=validator.address)
    bonding.leave_all(validator, validator)
    bonding.world.wait(DELAY - 1)
    bonding.as_slasher("freeze", validator.address, case(1))
    bonding.world.wait(MAX_FREEZE - 1)
    with refused("bond: frozen"):
        bonding.bond("withdraw", validator.address, by=validator.address)
    assert bonding.slash(validator, 10 * TSR, 1) == 10 * TSR


def test_attack_dust_that_leaves_does_not_lock_those_who_leave_later(
    bonding: Bonding, delegator: Person, attacker: Person
) -> None:
    """An attacker leaves one unit, and denounces something small again and again.

    A pool whose leaving side were emptied by the rounding of a slash would divide by zero for all
    who ask later.
    """
    validator = bonding.validator("validator", 1_000)
    bonding.stake(delegator, validator, 1_000)
    bonding.stake(attacker, validator, 1)
    bonding.leave_all(attacker, validator)
    for number in range(40):
        bonding.slash(validator, 49, number)
    # 41 of 2,001 are left, the one that leaves among them.
    assert bonding.pool(validator)[4] == 1
    assert bonding.leave_all(delegator, validator) > 0
    bonding.world.wait(DELAY)
    assert bonding.bond("withdraw", validator.address, by=attacker.address) == 1
    assert bonding.bond("withdraw", validator.address, by=delegator.address) > 0


def test_attack_a_token_that_calls_back_is_paid_once(attacker: Person) -> None:
    """The token calls back in the middle of a payout and of a slash, as a delegator of its own.

    Every door of Bond is shut until that is over.
    """

    def reentrant(world: World) -> Contract:
        token = deployed(world.engine, mock("ReentrantCurrency"), 18, by=world.owner.address)
        token("mint", person("treasury").address, 10**6 * TSR, by=world.owner.address)
        return token

    bonding = open_bonding(token=reentrant)
    bond, token = bonding.bond, bonding.token
    validator = bonding.validator("validator", 100 * TSR)
    # The token is a delegator of its own.
    token("mint", token.address, 10 * TSR, by=attacker.address)
    for target, name, arguments in (
        (token, "approve", (bond.address, 2**255)),
        (bond, "stake", (validator.address, 10 * TSR)),
        (bond, "unstake", (validator.address, 5 * TSR * 10**6)),
    ):
        token("call", target.address, target.interface.call_data(name, *arguments))
    bonding.leave_all(validator, validator)
    bonding.world.wait(DELAY)
    for name, arguments in (
        ("withdraw", (validator.address, attacker.address)),
        ("restake", (validator.address,)),
        ("unstake", (validator.address, 10**6)),
        ("stake", (validator.address, 0)),
        ("rescue", (token.address,)),
        ("rescue", (NOBODY,)),
    ):
        token("arm", bond.address, bond.interface.call_data(name, *arguments))
        with bonding.world.engine.trial():
            bond("withdraw", validator.address, by=validator.address)
            assert token("tries") > 0
        with bonding.world.engine.trial():
            bonding.slash(validator, TSR, 1, whistle_blower=attacker)
        assert token("hits") == 0
    bond("withdraw", validator.address, by=validator.address)
    assert bonding.held(bond) >= bond("obligations")
