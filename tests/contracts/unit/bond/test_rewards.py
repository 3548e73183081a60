"""A reward streams in; the validator's take is its own stake at once."""

from __future__ import annotations

from rig.bonding import DELAY, NOTICE, PERIOD, TSR, Bonding
from rig.contract import refused
from rig.people import Person, person


def test_a_reward_streams_over_the_period(bonding: Bonding, validator: Person) -> None:
    bonding.reward(validator, 100 * TSR)
    (event,) = bonding.bond.events("Rewarded")
    assert event.arguments == {
        "validator": validator.address, "payer": bonding.treasury.address, "amount": 100 * TSR,
        "take": 0,
    }  # fmt: skip
    bond, who = bonding.bond, validator.address
    assert bond("bonded", who) == 1_000 * TSR
    assert bond("slashable", who) == 1_100 * TSR
    assert bonding.pool(validator)[2:4] == (100 * TSR, bonding.world.now + PERIOD)
    bonding.world.wait(PERIOD // 4)
    assert bond("bonded", who) == 1_025 * TSR
    bonding.world.wait(PERIOD)
    assert bond("bonded", who) == 1_100 * TSR
    assert bonding.pool(validator)[2:4] == (0, 0)


def test_the_take_is_the_validators_own_stake(bonding: Bonding, delegator: Person) -> None:
    validator = bonding.validator("validator", 100 * TSR, take_bps=1_000)
    bonding.stake(delegator, validator, 300 * TSR)
    bonding.reward(validator, 40 * TSR)
    (event,) = bonding.bond.events("Rewarded")
    assert event.arguments["take"] == 4 * TSR
    assert bonding.bond("own_bond", validator.address) == 104 * TSR
    bonding.world.wait(PERIOD)
    # 36 TSR are shared by 104 and 300.
    worth = bonding.bond("stake_of", validator.address, delegator.address)[1]
    assert worth == 300 * TSR + 36 * TSR * 300 // 404


def test_a_second_reward_joins_the_stream_at_the_mean(bonding: Bonding, validator: Person) -> None:
    bonding.reward(validator, 30 * TSR)
    start = bonding.world.now
    bonding.world.wait(PERIOD // 3)
    bonding.reward(validator, 20 * TSR)
    # 20 are still to come over two thirds of the period, 20 over a whole one.
    end = start + PERIOD // 3 + (20 * (PERIOD - PERIOD // 3) + 20 * PERIOD) // 40
    assert bonding.pool(validator)[2:4] == (40 * TSR, end)


def test_dust_does_not_hold_a_stream_up(bonding: Bonding, validator: Person) -> None:
    bonding.reward(validator, 30 * TSR)
    end = bonding.pool(validator)[3]
    for _ in range(5):
        bonding.world.wait(PERIOD // 10)
        bonding.reward(validator, 1)
        assert bonding.pool(validator)[3] == end


def test_only_a_pool_with_stake_is_rewarded(bonding: Bonding, validator: Person) -> None:
    nobody = person("nobody's validator")
    assert not bonding.bond("can_reward", nobody.address)
    with refused("bond: no stake to reward"):
        bonding.reward(nobody, 1)
    assert bonding.bond("can_reward", validator.address)
    with refused("bond: nothing to give"):
        bonding.reward(validator, 0)


def test_who_leaves_last_takes_what_still_streams(bonding: Bonding, validator: Person) -> None:
    bonding.reward(validator, 100 * TSR)
    bonding.world.wait(PERIOD // 2)
    who = validator.address
    assert bonding.bond("stake_of", who, who)[1] == 1_100 * TSR
    assert bonding.leave_all(validator, validator) == 1_100 * TSR
    bonding.world.wait(DELAY)
    assert bonding.bond("withdraw", who, by=who) == 1_100 * TSR
    assert bonding.bond("obligations") == 0


def test_a_reward_that_outgrows_a_pool_keeps_dust_out(bonding: Bonding, delegator: Person) -> None:
    validator = bonding.validator("validator", 1)
    bonding.reward(validator, TSR)
    bonding.world.wait(PERIOD)
    with refused("bond: worth no share"):
        bonding.stake(delegator, validator, 10**11)


def test_a_take_is_bounded(bonding: Bonding, validator: Person) -> None:
    with refused("bond: take out of range"):
        bonding.bond("set_take", 1_801, by=validator.address)


def test_a_higher_take_waits_and_a_lower_one_does_not(bonding: Bonding, validator: Person) -> None:
    bond, who = bonding.bond, validator.address
    since = bond("set_take", 1_000, by=who)
    assert since == bonding.world.now + NOTICE
    (event,) = bond.events("TakeSet")
    assert event.arguments["effective_from"] == since
    assert bond("take_of", who) == (0, 1_000, since)
    bonding.world.wait(NOTICE - 1)
    assert bond("take_of", who)[0] == 0
    bonding.world.wait(1)
    assert bond("take_of", who) == (1_000, 1_000, 0)
    assert bond("set_take", 500, by=who) == bonding.world.now
    assert bond("take_of", who) == (500, 500, 0)
    # A lower one takes an announced one back.
    bond("set_take", 600, by=who)
    bond("set_take", 500, by=who)
    bonding.world.wait(NOTICE)
    assert bond("take_of", who) == (500, 500, 0)
