"""Accusations are turned against honest operators, and away from those who are not."""

from __future__ import annotations

import pytest
from rig.bonding import DELAY, MAX_FREEZE, TSR
from rig.conduct import BONDED, DEPOSIT, WINDOW, Court, open_court
from rig.contract import refused
from rig.people import Person, person
from rig.signing import domain_of, sign_receipt
from rig.system import WITHDRAW_DELAY


@pytest.fixture
def court() -> Court:
    return open_court()


@pytest.fixture
def challenger(court: Court) -> Person:
    return court.accuser()


def test_attack_a_receipt_is_shown_again_and_again(court: Court, challenger: Person) -> None:
    """One offence, and a pile of receipts about it: the same one twice, the ones before it, one by
    another accuser. Each is a case, and the line costs its operator a tenth once.
    """
    other = court.accuser("another challenger")
    cases = [court.accuse(court.receipt(charged), by=challenger) for charged in (300, 400, 500)]
    for who in (challenger, other):
        with refused("conduct: accused already"):
            court.accuse(court.receipt(500), by=who)
    court.world.wait(WINDOW)
    assert [court.conduct("convict", case) for case in cases] == [BONDED // 10, 0, 0]
    for charged in (500, 501):
        with refused("conduct: the line was convicted"):
            court.accuse(court.receipt(charged), by=other)
    assert court.bonding.bond("own_bond", court.operator.address) == BONDED * 9 // 10
    # Who was right has his deposits again.
    assert court.conduct("withdraw_credit", by=challenger.address) == 3 * DEPOSIT


def test_attack_a_consumer_accuses_with_each_fresh_receipt(court: Court) -> None:
    """An operator settles once a day; a consumer accuses it by the minute, to freeze its bond. The
    operator settles as it would have, and is paid for the trouble.
    """
    consumer = court.accuser("consumer")
    cases = [court.accuse(court.receipt(charged), by=consumer) for charged in range(1, 6)]
    court.world.wait(WINDOW - 1)
    court.settle(5)
    court.world.wait(1)
    for case in cases:
        with refused("conduct: it is settled"):
            court.conduct("convict", case, by=consumer.address)
        court.conduct("acquit", case, by=court.operator.address)
    assert court.conduct("withdraw_credit", by=court.operator.address) == 5 * DEPOSIT
    assert court.bonding.bond("own_bond", court.operator.address) == BONDED
    assert court.bonding.bond("frozen_until", court.operator.address) == 0


def test_attack_an_operator_shields_a_line_by_accusing_itself(
    court: Court, challenger: Person
) -> None:
    """An operator that hides 500 accuses itself of 1 through another name, so that the line is
    taken, and settles that 1 whenever the window ends. Another sum is another case.
    """
    friend = court.accuser("friend of the operator")
    small = court.accuse(court.receipt(1), by=friend)
    hidden = court.accuse(court.receipt(500), by=challenger)
    court.settle(1)
    court.conduct("acquit", small)
    court.world.wait(WINDOW)
    assert court.conduct("convict", hidden) == BONDED // 10


def test_attack_an_operator_that_denounces_itself_loses_four_fifths(court: Court) -> None:
    """It is first with the receipt that would convict it, to have the whistle-blower's part."""
    friend = court.accuser("friend of the operator")
    case = court.accuse(court.receipt(500), by=friend)
    court.world.wait(WINDOW)
    taken = court.conduct("convict", case)
    won = court.bonding.held(friend) - 9 * DEPOSIT
    assert won * 5 == taken


def test_attack_an_accused_operator_runs(court: Court, challenger: Person) -> None:
    """It leaves Conduct and takes its bond back in the block of the accusation, or just before."""
    court.bonding.leave_all(court.operator, court.operator)
    court.bonding.bond("leave", court.conduct, by=court.operator.address)
    court.world.wait(DELAY - 1)
    case = court.accuse(court.receipt(500), by=challenger)
    court.world.wait(WINDOW)
    with refused("bond: frozen"):
        court.bonding.bond("withdraw", court.operator.address, by=court.operator.address)
    assert court.conduct("convict", case) == BONDED // 10
    court.bonding.bond("withdraw", court.operator.address, by=court.operator.address)
    assert court.bonding.held(court.operator) == BONDED * 9 // 10


def test_attack_a_payer_withdraws_so_that_nothing_can_be_settled(
    court: Court, challenger: Person
) -> None:
    """A consumer asks for its money, and means to accuse when it is gone. An operator that settles
    within the delay, as its loop does, has nothing left above what it settled.
    """
    channels, where = court.market.channels, (court.operator.address, court.market.channel)
    channels("request_withdrawal", *where, by=court.market.consumer.address)
    court.world.wait(WITHDRAW_DELAY - 1)
    court.settle(500)
    court.world.wait(1)
    channels("withdraw", *where)
    with refused("conduct: it is settled"):
        court.accuse(court.receipt(500), by=challenger)


def test_attack_a_receipt_of_another_chain_or_contract(court: Court, challenger: Person) -> None:
    """The operator serves elsewhere under the same key; what it signed there says nothing here."""
    receipt = court.receipt(500)
    where = domain_of(court.market.channels)
    for foreign in (
        {**where, "chainId": 1},
        {**where, "verifyingContract": court.conduct.address},
        {**where, "name": "Tessera Conduct"},
    ):
        v, r, s = sign_receipt(court.operator, foreign, receipt)
        shown = (court.operator.address, tuple(receipt.values()), [], r, s | (v - 27) << 255)
        with refused("conduct: receipt not signed by the operator"):
            court.conduct("accuse", *shown, by=challenger.address)


def test_attack_nobodys_signature_accuses_nobody(court: Court, challenger: Person) -> None:
    """A signature that recovers to the zero address, with the zero address as the operator."""
    nobody = "0x" + "00" * 20
    shown = (nobody, tuple(court.receipt(500).values()), [], 0, 0)
    with refused("conduct: receipt not signed by the operator"):
        court.conduct("accuse", *shown, by=challenger.address)


def test_attack_cases_without_end_hold_a_bond_for_one_freeze_more(court: Court) -> None:
    """A consumer with many receipts opens a case whenever the last one ends. The operator is out a
    longest freeze behind its delay all the same, and has a deposit for each case.
    """
    rich = court.accuser("consumer")
    court.bonding.fund(rich, 100 * DEPOSIT)
    court.bonding.token("approve", court.conduct, 2**256 - 1, by=rich.address)
    court.bonding.leave_all(court.operator, court.operator)
    court.world.wait(DELAY)
    end = court.world.now + MAX_FREEZE
    charged = 0
    while court.world.now < end:
        charged += 1
        court.accuse(court.receipt(charged), by=rich)
        with refused("bond: frozen"):
            court.bonding.bond("withdraw", court.operator.address, by=court.operator.address)
        court.world.wait(WINDOW // 2)
        court.settle(charged)
        court.conduct("acquit", court.line(court.receipt(charged)).case(charged))
    court.accuse(court.receipt(charged + 1), by=rich)
    paid = court.bonding.bond("withdraw", court.operator.address, by=court.operator.address)
    assert paid == BONDED
    assert court.conduct("withdraw_credit", by=court.operator.address) == charged * DEPOSIT
    assert charged * DEPOSIT >= 4 * 10 * TSR


def test_attack_a_stranger_cannot_end_a_case(court: Court, challenger: Person) -> None:
    """Neither a friend of the operator's nor Bond's own doors lift the freeze before its time."""
    case = court.accuse(court.receipt(500), by=challenger)
    bond, who = court.bonding.bond, court.operator.address
    assert bond("unfreeze", who, case, by=who) is False
    with refused("bond: the case may still be resolved"):
        bond("thaw", who, court.conduct.address, case, by=person("friend").address)
    assert bond("frozen_until", who) != 0
