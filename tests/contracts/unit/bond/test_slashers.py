"""Who may slash is chosen by the validator, in the open; what it may do has an end."""

from __future__ import annotations

import pytest
from rig.bonding import DELAY, EVIDENCE, MAX_FREEZE, NOTICE, PERIOD, TSR, Bonding, case
from rig.contract import NOBODY, refused
from rig.people import Person, person


def test_before_anybody_staked_a_slasher_is_enlisted_at_once(bonding: Bonding) -> None:
    who, slasher = person("validator"), bonding.slashers[0]
    since = bonding.bond("enlist", slasher, by=who.address)
    (event,) = bonding.bond.events("Enlisted")
    assert event.arguments == {
        "validator": who.address, "slasher": slasher.address, "effective_from": since,
    }  # fmt: skip
    assert since == bonding.world.now
    assert bonding.bond("enlistment_of", who.address, slasher.address) == (since, 0, 0, True)
    assert bonding.bond("slashers_of", who.address) == (slasher.address,)
    with refused("bond: enlisted already"):
        bonding.bond("enlist", slasher, by=who.address)


def test_later_a_slasher_waits(bonding: Bonding, validator: Person) -> None:
    slasher = bonding.world.actor()
    bonding.slashers.append(slasher)
    since = bonding.bond("enlist", slasher, by=validator.address)
    assert since == bonding.world.now + NOTICE
    bonding.world.wait(NOTICE - 1)
    for call in (
        ("back", validator.address, bonding.world.now),
        ("freeze", validator.address, case(1)),
        ("slash", validator.address, 1, case(1), EVIDENCE, NOBODY),
    ):
        with refused("bond: not an enlisted slasher"):
            bonding.as_slasher(*call, by=2)
    bonding.world.wait(1)
    assert bonding.slash(validator, 5, 1, by=2) == 5


def test_a_slasher_is_a_contract_and_they_are_few(bonding: Bonding) -> None:
    who = person("validator").address
    with refused("bond: a slasher is a contract"):
        bonding.bond("enlist", person("attacker").address, by=who)
    for _ in range(8):
        bonding.bond("enlist", bonding.world.actor(), by=who)
    with refused("bond: too many slashers"):
        bonding.bond("enlist", bonding.slashers[0], by=who)
    bonding.bond("leave", bonding.bond("slashers_of", who)[3], by=who)
    # One that had power keeps its place until its time is over.
    with refused("bond: too many slashers"):
        bonding.bond("enlist", bonding.slashers[0], by=who)
    bonding.world.wait(DELAY)
    bonding.bond("enlist", bonding.slashers[0], by=who)
    assert len(bonding.bond("slashers_of", who)) == 8


def test_a_slasher_keeps_its_power_for_the_delay(bonding: Bonding, validator: Person) -> None:
    bond, who, slasher = bonding.bond, validator.address, bonding.slashers[0]
    leaves_at = bond("leave", slasher, by=who)
    (event,) = bond.events("Left")
    assert event.arguments["effective_from"] == leaves_at == bonding.world.now + DELAY
    with refused("bond: not enlisted"):
        bond("leave", slasher, by=who)
    # It answers for nothing new, and may still open cases about the past.
    with refused("bond: not an enlisted slasher"):
        bonding.as_slasher("back", who, bonding.world.now)
    bonding.world.wait(DELAY - 1)
    assert bonding.slash(validator, 5, 1) == 5
    bonding.world.wait(1)
    with refused("bond: not an enlisted slasher"):
        bonding.slash(validator, 5, 2)
    assert not bond("enlistment_of", who, slasher.address)[3]
    assert bond("enlist", slasher, by=who) == bonding.world.now + NOTICE
    assert bond("slashers_of", who) == (bonding.slashers[1].address, slasher.address)


def test_what_a_pool_backs_outlasts_a_slashers_leave(bonding: Bonding, validator: Person) -> None:
    bond, who = bonding.bond, validator.address
    with refused("bond: backing longer than the delay"):
        bonding.as_slasher("back", who, bonding.world.now + DELAY + 1)
    bonding.world.wait(100)
    until = bonding.world.now + DELAY
    bonding.as_slasher("back", who, until)
    # A shorter one later takes nothing of it back.
    bonding.as_slasher("back", who, until - 5)
    assert bond("enlistment_of", who, bonding.slashers[0].address)[2] == until
    bond("leave", bonding.slashers[0], by=who)
    bonding.world.wait(DELAY - 1)
    assert bonding.slash(validator, 5, 1) == 5


def test_one_that_never_had_power_leaves_at_once(bonding: Bonding, validator: Person) -> None:
    slasher = bonding.world.actor()
    bonding.bond("enlist", slasher, by=validator.address)
    assert bonding.bond("leave", slasher, by=validator.address) == bonding.world.now
    assert not bonding.bond("enlistment_of", validator.address, slasher.address)[3]
    bonding.bond("enlist", slasher, by=validator.address)


def test_a_freeze_ends_when_its_slasher_says(bonding: Bonding, validator: Person) -> None:
    bond, who = bonding.bond, validator.address
    bonding.as_slasher("freeze", who, case(1))
    until = bonding.world.now + MAX_FREEZE
    assert bond("frozen_until", who) == until
    slasher = bonding.slashers[0].address
    assert bond("case_of", who, slasher, case(1)) == (until, True, False)
    with refused("bond: the case is known"):
        bonding.as_slasher("freeze", who, case(1))
    # Another slasher's case of the same name is another case.
    bonding.as_slasher("freeze", who, case(1), by=1)
    assert int.from_bytes(bonding.as_slasher("unfreeze", who, case(1)), "big") == 1
    assert bond("frozen_until", who) == until
    assert int.from_bytes(bonding.as_slasher("unfreeze", who, case(1)), "big") == 0
    bonding.as_slasher("unfreeze", who, case(1), by=1)
    assert bond("frozen_until", who) == 0
    with refused("bond: the case is known"):
        bonding.as_slasher("freeze", who, case(1))


def test_anyone_ends_a_freeze_whose_time_is_over(bonding: Bonding, validator: Person) -> None:
    bond, who, slasher = bonding.bond, validator.address, bonding.slashers[0].address
    with refused("bond: the case is not frozen"):
        bond("thaw", who, slasher, case(1))
    bonding.as_slasher("freeze", who, case(1))
    bonding.world.wait(MAX_FREEZE - 1)
    with refused("bond: the case may still be resolved"):
        bond("thaw", who, slasher, case(1))
    bonding.world.wait(1)
    assert bond("frozen_until", who) == 0
    bond("thaw", who, slasher, case(1))
    assert bond("case_of", who, slasher, case(1))[1] is False


def test_a_slash_takes_in_proportion(bonding: Bonding, delegator: Person) -> None:
    validator = bonding.validator("validator", 100 * TSR)
    leaver, keeper = person("leaver"), person("keeper")
    bonding.stake(delegator, validator, 200 * TSR)
    bonding.stake(leaver, validator, 300 * TSR)
    bonding.leave_all(leaver, validator)
    bonding.reward(validator, 400 * TSR)
    taken = bonding.slash(validator, 250 * TSR, 1, whistle_blower=keeper)
    assert taken == 250 * TSR
    bond, who = bonding.bond, validator.address
    # A quarter of everything: at stake, leaving, still to come.
    assert bond("own_bond", who) == 75 * TSR
    assert bond("stake_of", who, delegator.address)[1] == 150 * TSR
    assert bond("exit_of", who, leaver.address)[0] == 225 * TSR
    assert bonding.pool(validator)[2] == 300 * TSR
    # The whistle-blower gets a fifth of what was the validator's own.
    assert bonding.held(keeper) == 5 * TSR
    assert bonding.held(bonding.world.commons) == 245 * TSR
    assert bond("obligations") == 750 * TSR == bonding.held(bond)
    event = bond.interface.event(
        next(
            log
            for log in bonding.slashers[0].logs
            if (seen := bond.interface.event(log)) and seen.name == "Slashed"
        )
    )
    assert event is not None
    assert event.arguments == {
        "validator": who, "slasher": bonding.slashers[0].address, "case": case(1),
        "evidence": EVIDENCE, "taken": 250 * TSR, "whistle_blower": keeper.address,
        "bounty": 5 * TSR,
    }  # fmt: skip
    bonding.world.wait(PERIOD)
    assert bond("bonded", who) == 525 * TSR


def test_without_a_whistle_blower_all_is_the_commons(bonding: Bonding, validator: Person) -> None:
    assert bonding.slash(validator, 10, 1) == 10
    assert bonding.held(bonding.world.commons) == 10


def test_a_slash_needs_evidence_and_counts_once(bonding: Bonding, validator: Person) -> None:
    with refused("bond: a slash without evidence"):
        bonding.slash(validator, 10, 1, evidence=bytes(32))
    bonding.slash(validator, 10, 1)
    with refused("bond: slashed already"):
        bonding.slash(validator, 10, 1)
    slasher = bonding.slashers[0].address
    assert bonding.bond("case_of", validator.address, slasher, case(1)) == (0, False, True)


def test_a_slash_of_more_than_there_is_takes_all_and_closes_the_pool(
    bonding: Bonding, validator: Person, delegator: Person
) -> None:
    bonding.stake(delegator, validator, TSR)
    bonding.leave_all(delegator, validator)
    bonding.reward(validator, TSR)
    bond, who = bonding.bond, validator.address
    assert bonding.slash(validator, 2**100, 1) == 1_002 * TSR
    assert bonding.pool(validator) == (0, 1_000 * TSR * 10**6, 0, 0, 0, TSR, True)
    assert bonding.slash(validator, 2**100, 2) == 0
    with refused("bond: the pool is closed"):
        bonding.stake(validator, validator, TSR)
    assert not bond("can_reward", who)
    with refused("bond: no stake to reward"):
        bonding.reward(validator, TSR)
    with refused("bond: too little to leave"):
        bonding.leave_all(validator, validator)
    bonding.world.wait(DELAY)
    assert bond("withdraw", who, by=delegator.address) == 0


@pytest.mark.parametrize("left", [10**9, 10**9 - 1])
def test_a_pool_of_which_nearly_nothing_is_left_closes_too(
    bonding: Bonding, validator: Person, delegator: Person, left: int
) -> None:
    """A share that is worth next to nothing would make shares without number for who comes next."""
    bonding.slash(validator, 1_000 * TSR - left, 1)
    if left == 10**9:
        bonding.stake(delegator, validator, TSR)
    else:
        with refused("bond: the pool is closed"):
            bonding.stake(delegator, validator, TSR)
        # Those who are in it still get what is left.
        assert bonding.leave_all(validator, validator) == left
        with refused("bond: the pool is closed"):
            bonding.bond("restake", validator.address, by=validator.address)


def test_a_frozen_case_is_slashed_after_its_slasher_left(
    bonding: Bonding, validator: Person
) -> None:
    bond, who, slasher = bonding.bond, validator.address, bonding.slashers[0]
    bond("leave", slasher, by=who)
    bonding.world.wait(DELAY - 1)
    bonding.as_slasher("freeze", who, case(1))
    bonding.world.wait(MAX_FREEZE - 1)
    assert bond("may_slash", who, slasher.address, case(1))
    assert not bond("may_slash", who, slasher.address, case(2))
    with refused("bond: not an enlisted slasher"):
        bonding.slash(validator, 5, 2)
    with bonding.world.engine.trial():
        assert bonding.slash(validator, 5, 1) == 5
    bonding.world.wait(1)
    with refused("bond: not an enlisted slasher"):
        bonding.slash(validator, 5, 1)
