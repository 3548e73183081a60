"""A receipt above what was settled: accused, settled or not, acquitted or convicted."""

from __future__ import annotations

import pytest
from rig.bonding import DELAY, MAX_FREEZE, TSR
from rig.compiling import compiled, mock
from rig.conduct import BONDED, DEPOSIT, RULES, SLASH_BPS, WINDOW, Court, open_court
from rig.contract import Contract, deployed, refused
from rig.people import Person, person
from rig.system import WITHDRAW_DELAY


def test_the_rules_are_public(court: Court) -> None:
    assert court.conduct("rules") == (WINDOW, SLASH_BPS, DEPOSIT)
    assert court.conduct("bond") == court.bonding.bond.address
    assert court.conduct("channels") == court.market.channels.address


@pytest.mark.parametrize("window", [0, MAX_FREEZE // 2 + 1])
def test_a_window_that_a_freeze_does_not_cover_twice_is_refused(court: Court, window: int) -> None:
    _refused_rules(court, "conduct: window out of range", window, 1, 0)


@pytest.mark.parametrize("part", [0, 10_001])
def test_a_part_out_of_range_is_refused(court: Court, part: int) -> None:
    _refused_rules(court, "conduct: part out of range", WINDOW, part, 0)


def _refused_rules(court: Court, reason: str, *rules: int) -> None:
    arguments = (court.bonding.bond, court.market.channels, *rules)
    with refused(reason):
        deployed(court.world.engine, compiled("Conduct"), *arguments, by=court.world.owner.address)


def test_accusing_freezes_the_bond_and_takes_the_deposit(court: Court, challenger: Person) -> None:
    receipt = court.receipt(500)
    case = court.accuse(receipt, by=challenger)
    (event,) = court.conduct.events("Accused")
    until = court.world.now + WINDOW
    operator, asset = court.operator.address, court.market.asset
    assert event.arguments == {
        "operator": operator, "case": case, "accuser": challenger.address,
        "channel": court.market.channel, "asset": asset, "terms": 1, "charged": 500,
        "until": until,
    }  # fmt: skip
    assert case == court.line(receipt).case(500)
    assert case == court.conduct("case_of", operator, court.market.channel, asset, 1, 500)
    row = court.conduct("accusation_of", case)
    assert row[:5] == (operator, court.market.channel, asset, 1, 500)
    assert row[6:] == (challenger.address, until)
    assert court.bonding.bond("frozen_until", operator) == court.world.now + MAX_FREEZE
    assert court.bonding.held(challenger) == 9 * DEPOSIT
    assert court.conduct("obligations") == DEPOSIT == court.bonding.held(court.conduct)


def test_a_receipt_that_was_signed_with_others_counts_too(court: Court, challenger: Person) -> None:
    receipts = [court.receipt(charged) for charged in (100, 200, 300)]
    case = court.accuse_in_batch(receipts, by=challenger)
    assert case == court.line(receipts[-1]).case(300)


def test_what_is_settled_in_time_costs_the_accuser_the_deposit(
    court: Court, challenger: Person
) -> None:
    case = court.accuse(court.receipt(500), by=challenger)
    with refused("conduct: it is not settled"):
        court.conduct("acquit", case)
    court.settle(499)
    with refused("conduct: it is not settled"):
        court.conduct("acquit", case)
    court.settle(700)
    court.conduct("acquit", case, by=person("keeper").address)
    (event,) = court.conduct.events("Acquitted")
    assert event.arguments == {"operator": court.operator.address, "case": case}
    assert court.bonding.bond("frozen_until", court.operator.address) == 0
    assert court.bonding.bond("own_bond", court.operator.address) == BONDED
    assert court.conduct("withdraw_credit", by=challenger.address) == 0
    assert court.conduct("credit_of", court.operator.address) == DEPOSIT
    keeper = person("keeper")
    assert court.conduct("withdraw_credit", keeper.address, by=court.operator.address) == DEPOSIT
    (event,) = court.conduct.events("CreditWithdrawn")
    assert event.arguments["amount"] == DEPOSIT == court.bonding.held(keeper)
    assert court.conduct("obligations") == 0
    with refused("conduct: no such case"):
        court.conduct("acquit", case)


def test_what_is_never_settled_costs_a_tenth_of_the_bond(court: Court, challenger: Person) -> None:
    case = court.accuse(court.receipt(500), by=challenger)
    court.world.wait(WINDOW - 1)
    with refused("conduct: it may still be settled"):
        court.conduct("convict", case)
    court.world.wait(1)
    assert court.conduct("convict", case, by=person("keeper").address) == BONDED // 10
    (event,) = court.conduct.events("Convicted")
    assert event.arguments == {
        "operator": court.operator.address, "case": case, "accuser": challenger.address,
        "taken": BONDED // 10,
    }  # fmt: skip
    # A fifth of the slash, whoever called, and the deposit.
    assert court.bonding.held(challenger) == 9 * DEPOSIT + BONDED // 50
    assert court.bonding.held(court.world.commons) == BONDED * 8 // 100
    assert court.conduct("withdraw_credit", by=challenger.address) == DEPOSIT
    assert court.bonding.bond("frozen_until", court.operator.address) == 0
    line = court.line(court.receipt(500))
    arguments = (court.operator.address, line.channel, line.asset, line.terms)
    assert court.conduct("was_convicted", *arguments)
    with refused("conduct: no such case"):
        court.conduct("convict", case)


def test_what_is_settled_behind_the_window_is_no_offence_until_somebody_convicts(
    court: Court, challenger: Person
) -> None:
    case = court.accuse(court.receipt(500), by=challenger)
    court.world.wait(WINDOW)
    court.settle(500)
    with refused("conduct: it is settled"):
        court.conduct("convict", case)
    court.conduct("acquit", case)


def test_only_what_its_operator_signed_and_did_not_settle_is_accused(
    court: Court, challenger: Person, attacker: Person
) -> None:
    for signer in (attacker, court.market.consumer):
        with refused("conduct: receipt not signed by the operator"):
            court.accuse(court.receipt(500), by=challenger, signer=signer)
    with refused("conduct: no such channel"):
        court.accuse(court.receipt(500, channel=0), by=challenger)
    court.settle(500)
    for charged in (0, 499, 500):
        with refused("conduct: it is settled"):
            court.accuse(court.receipt(charged), by=challenger)
    court.accuse(court.receipt(501), by=challenger)


def test_an_operator_who_did_not_enlist_conduct_is_not_judged_here() -> None:
    court = open_court(enlisted=False)
    who = court.accuser()
    with refused("bond: not an enlisted slasher"):
        court.accuse(court.receipt(500), by=who)


@pytest.fixture
def attacker() -> Person:
    return person("attacker")


def test_without_the_deposit_nobody_accuses(court: Court, attacker: Person) -> None:
    with refused("erc20: balance too low"):
        court.bonding.token("approve", court.conduct, DEPOSIT, by=attacker.address)
        court.accuse(court.receipt(500), by=attacker)


def test_a_case_that_came_too_late_for_bond_still_ends(court: Court, challenger: Person) -> None:
    """The operator left Conduct, and nobody called while the freeze lasted: the deposit is back."""
    case = court.accuse(court.receipt(500), by=challenger)
    court.bonding.bond("leave", court.conduct, by=court.operator.address)
    court.world.wait(DELAY)
    assert court.conduct("convict", case) == 0
    assert court.conduct("withdraw_credit", by=challenger.address) == DEPOSIT
    assert court.bonding.bond("own_bond", court.operator.address) == BONDED


def test_a_withdrawn_channel_is_no_excuse(court: Court, challenger: Person) -> None:
    """The payer asked for the rest, the operator had the delay to settle, and let it go."""
    channels, channel = court.market.channels, court.market.channel
    receipt = court.receipt(500)
    where = (court.operator.address, channel)
    channels("request_withdrawal", *where, by=court.market.consumer.address)
    court.world.wait(WITHDRAW_DELAY)
    channels("withdraw", *where)
    case = court.accuse(receipt, by=challenger)
    court.world.wait(WINDOW)
    assert court.conduct("convict", case) == BONDED // 10


def test_rules_without_a_deposit_work() -> None:
    court = open_court(rules=type(RULES)(WINDOW, 10_000, 0))
    case = court.accuse(court.receipt(1), by=person("challenger"))
    court.world.wait(WINDOW)
    assert court.conduct("convict", case) == BONDED
    assert court.bonding.pool(court.operator)[6]


def test_a_token_that_does_not_say_yes_is_no_deposit(court: Court) -> None:
    token = deployed(court.world.engine, mock("FalseCurrency"), 18, by=court.world.owner.address)
    bond = _bond_of(court, token)
    conduct = deployed(
        court.world.engine, compiled("Conduct"), bond, court.market.channels, WINDOW, SLASH_BPS,
        DEPOSIT, by=court.world.owner.address,
    )  # fmt: skip
    bond("enlist", conduct, by=court.operator.address)
    court.conduct = conduct
    with refused("conduct: token refused the transfer"):
        court.accuse(court.receipt(500), by=person("challenger"))


def _bond_of(court: Court, token: Contract) -> Contract:
    arguments = (token, court.world.registry, *court.bonding.bond("times"))
    return deployed(court.world.engine, compiled("Bond"), *arguments, by=court.world.owner.address)


def test_deposits_are_whole(court: Court, challenger: Person) -> None:
    assert DEPOSIT == 10 * TSR
    cases = [court.accuse(court.receipt(charged), by=challenger) for charged in (5, 6, 7)]
    assert court.conduct("obligations") == 3 * DEPOSIT
    court.settle(6)
    for case in cases[:2]:
        court.conduct("acquit", case)
    assert court.conduct("credit_of", court.operator.address) == 2 * DEPOSIT
    court.world.wait(WINDOW)
    court.conduct("convict", cases[2])
    assert court.conduct("credit_of", challenger.address) == DEPOSIT
    assert court.conduct("obligations") == 3 * DEPOSIT
