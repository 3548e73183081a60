"""Balances come from transfers to the unit, or are not told at all."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.diligence.ledger import BALANCE_OF, TOTAL_SUPPLY, ledger_of, measure, read_ledger
from tessera.diligence.replay import replay
from tessera.diligence.results import WHOLE, Status
from tessera.diligence.subject import Subject
from tessera.diligence.view import View
from tessera.errors import NotFound
from tessera.facts import ZERO, Addresses, Coverage, Facts, Head, Read, Row, Transfers
from tessera.facts.memory import Memory
from tessera.units import MAX_UINT256

TOKEN = "0x" + "70" * 20
HOLDER, BUYER, THIRD = (f"0x{n:040x}" for n in (0xA1, 0xB2, 0xC3))
DEAD = "0x" + "00" * 18 + "dead"


def rows(*moves):
    return [Row(10 + at, 100 + at, 0, at, *move) for at, move in enumerate(moves)]


def told(amount, block=30):
    return (Read(block, True, amount.to_bytes(32, "big")),)


def balance_of(holder):
    return TOKEN, BALANCE_OF + bytes.fromhex(holder[2:]).rjust(32, b"\0")


def facts(moves, *, covered=None, answers=None):
    held = Transfers.of(TOKEN, moves)
    covered = {TOKEN: covered or Coverage(0, 30)}
    return Facts(Memory(1, Head(30, 300), {TOKEN: held}, covered, answers=answers or {}))


GOOD = rows(
    (ZERO, HOLDER, 10**27), (HOLDER, BUYER, 3), (BUYER, THIRD, 2), (HOLDER, DEAD, 7),
    (THIRD, ZERO, 1),
)  # fmt: skip
WHOLE_HISTORY = Coverage(0, 30, (), complete=True)


def by_hand(moves):
    """The same in the plainest Python: an oracle with no limb in it."""
    balances, minted, burned = Counter(), 0, 0
    for at, row in enumerate(moves):
        if row.source == ZERO:
            minted += row.amount
        elif balances[row.source] < row.amount:
            return balances, minted, burned, at
        else:
            balances[row.source] -= row.amount
        if row.target == ZERO:
            burned += row.amount
        else:
            balances[row.target] += row.amount
    return balances, minted, burned, None


people = st.sampled_from([ZERO, HOLDER, BUYER, THIRD])
amounts = st.one_of(
    st.integers(0, 12), st.sampled_from([2**63, 2**64 - 1, 2**64, 2**128 + 5, MAX_UINT256])
)


@given(st.lists(st.tuples(people, people, amounts), max_size=40))
def test_a_replay_is_what_plain_python_comes_to(moves):
    held = rows(*moves)
    played = replay(Transfers.of(TOKEN, held))
    balances, minted, burned, overdrawn = by_hand(held)
    assert played.overdrawn == overdrawn
    table = Transfers.of(TOKEN, held).addresses
    got = {table[i]: amount for i, amount in enumerate(played.held) if amount}
    assert got == {who: amount for who, amount in balances.items() if amount}
    if overdrawn is None:
        assert (played.minted, played.burned) == (minted, burned)
        assert played.held.total() == played.supply == minted - burned


def test_a_history_that_adds_up_tells_balances_and_supplies():
    ledger = read_ledger(facts(GOOD, covered=WHOLE_HISTORY), TOKEN)
    assert ledger.status is Status.OK
    assert ledger.supply == 10**27 - 1
    assert (ledger.burnt, ledger.total) == (7, 10**27 - 8)
    table = ledger.transfers.addresses
    assert ledger.balances[table.id_of(HOLDER)] == 10**27 - 10
    assert table.texts(ledger.order()) == [HOLDER, DEAD, BUYER, THIRD]
    assert "balanceOf" in ledger.coverage.missing[0]


def test_what_the_token_answers_is_compared_and_named():
    answers = {
        (TOKEN, TOTAL_SUPPLY): told(10**27 - 1),
        balance_of(HOLDER): told(10**27 - 10),
        balance_of(BUYER): told(1),
    }
    ledger = read_ledger(facts(GOOD, answers=answers), TOKEN)
    assert (ledger.status, ledger.asked, ledger.coverage) == (Status.OK, 3, WHOLE)
    assert "agree with 3 answers" in ledger.why


def test_an_answer_of_an_earlier_block_is_compared_with_that_block():
    answers = {balance_of(HOLDER): told(10**27, block=10), (TOKEN, TOTAL_SUPPLY): told(10**27 - 1)}
    assert read_ledger(facts(GOOD, answers=answers), TOKEN).status is Status.OK


@pytest.mark.parametrize(
    ("covered", "status", "said"),
    [
        (Coverage(11, 30), Status.UNKNOWN, "the history is incomplete"),
        (WHOLE_HISTORY, Status.NOT_APPLICABLE, "its transfers do not tell its balances"),
    ],
)
def test_a_balance_below_zero_makes_no_numbers(covered, status, said):
    """History that starts late, or mints without an event (WETH deposits): never a guess."""
    ledger = read_ledger(facts(GOOD[1:], covered=covered), TOKEN)
    assert ledger.status is status
    assert said in ledger.why
    assert ledger.evidence[0].where == "block 11, log 1"
    metrics = measure(View(facts(GOOD[1:], covered=covered), Subject(token=TOKEN)))
    assert [metric.status for metric in metrics] == [status] * 3
    assert [metric.value for metric in metrics] == [None] * 3


def test_blocks_that_nobody_looked_at_make_it_unknown():
    ledger = read_ledger(facts(GOOD, covered=Coverage(0, 30, ((20, 22),))), TOKEN)
    assert ledger.status is Status.UNKNOWN
    assert "blocks 20 to 22 were not looked at" in ledger.why


@pytest.mark.parametrize("from_creation", [False, True])
def test_what_happened_after_the_last_look_makes_it_unknown(from_creation):
    """Two tables in one folder: the second reaches further than the first."""
    seen = Coverage(0, 25, complete=from_creation)
    ledger = read_ledger(facts(GOOD, covered=seen), TOKEN)
    assert ledger.status is Status.UNKNOWN
    assert "until block 25, and asked about at 30" in ledger.why


def test_a_rebasing_token_is_not_judged_by_its_transfers():
    """Balances grow with interest and no event says so; nothing is negative, all is wrong."""
    answers = {balance_of(HOLDER): told(10**27 + 5_000)}
    ledger = read_ledger(facts(GOOD, covered=WHOLE_HISTORY, answers=answers), TOKEN)
    assert ledger.status is Status.NOT_APPLICABLE
    assert "rebases, or takes a fee" in ledger.why
    assert [each.value for each in ledger.evidence] == [str(10**27 + 5_000), str(10**27 - 10)]


def test_a_fee_on_transfers_that_events_do_not_tell_is_found():
    """The event says 3 arrived; the token credited 2 and kept one."""
    answers = {balance_of(HOLDER): told(10**27 - 10), balance_of(THIRD): told(0)}
    ledger = read_ledger(facts(GOOD, covered=WHOLE_HISTORY, answers=answers), TOKEN)
    assert ledger.status is Status.NOT_APPLICABLE
    assert f"balanceOf {THIRD} is 0 and by its transfers 1" in ledger.why


def test_the_same_difference_in_a_history_that_may_be_cut_is_only_unknown():
    answers = {(TOKEN, TOTAL_SUPPLY): told(10**27 + 9)}
    ledger = read_ledger(facts(GOOD, answers=answers), TOKEN)
    assert ledger.status is Status.UNKNOWN
    assert "history is incomplete" in ledger.why


def test_a_history_without_its_first_mints_that_never_goes_below_zero_is_found_by_the_supply():
    """An insider's early mint never moved: dropped from a file, nobody is overdrawn."""
    early = [Row(1, 1, 0, 0, ZERO, THIRD, 10**30), *GOOD]
    answers = {(TOKEN, TOTAL_SUPPLY): told(sum(r.amount for r in early if r.source == ZERO) - 1)}
    assert read_ledger(facts(early, answers=answers), TOKEN).status is Status.OK
    assert read_ledger(facts(GOOD, answers=answers), TOKEN).status is Status.UNKNOWN


def test_tokens_count_what_lies_at_zero_in_their_own_way():
    """A pool of Uniswap's mints its first 1000 units to the zero address, and counts them."""
    pool = rows((ZERO, ZERO, 1_000), (ZERO, HOLDER, 9_000), (HOLDER, ZERO, 500))
    for supply in (9_500, 8_500, 10_000):
        answers = {(TOKEN, TOTAL_SUPPLY): told(supply)}
        assert read_ledger(facts(pool, answers=answers), TOKEN).status is Status.OK
    answers = {(TOKEN, TOTAL_SUPPLY): told(9_501)}
    assert read_ledger(facts(pool, answers=answers), TOKEN).status is Status.UNKNOWN


def test_answers_that_are_none_are_not_compared():
    answers = {
        (TOKEN, TOTAL_SUPPLY): (Read(30, False, b"\0" * 32),),
        balance_of(HOLDER): (Read(30, True, b"\5"),),
    }
    assert read_ledger(facts(GOOD, answers=answers), TOKEN).asked == 0


def test_a_token_that_never_moved_has_no_numbers():
    ledger = read_ledger(facts([]), TOKEN)
    assert ledger.status is Status.INSUFFICIENT
    metrics = measure(View(facts([]), Subject(token=TOKEN)))
    assert {metric.value for metric in metrics} == {None}
    with pytest.raises(NotFound):
        read_ledger(facts([]), HOLDER)


def test_the_metrics_say_what_they_come_from():
    view = View(facts(GOOD, covered=WHOLE_HISTORY), Subject(token=TOKEN))
    replayed, minted, total = measure(view)
    assert (replayed.value, minted.value, total.value) == (True, 10**27 - 1, 10**27 - 8)
    assert {metric.inputs_hash for metric in (replayed, minted, total)} != {""}
    assert ledger_of(view) is ledger_of(view)


def test_the_order_of_holders_does_not_depend_on_their_ids():
    moves = rows((ZERO, HOLDER, 5), (ZERO, BUYER, 5), (ZERO, THIRD, 2**70))
    for table in ([HOLDER, BUYER, THIRD], [THIRD, BUYER, DEAD, HOLDER]):
        held = Transfers.of(TOKEN, moves, Addresses.of(table))
        ledger = read_ledger(Facts(Memory(1, Head(30, 300), {TOKEN: held})), TOKEN)
        assert held.addresses.texts(ledger.order()) == [THIRD, HOLDER, BUYER]


@pytest.mark.skipif("TESSERA_REFERENCE_DATA" not in os.environ, reason="no reference data")
def test_every_pool_token_replays_without_a_negative_balance_and_with_exact_totals():
    from tessera.facts.files import Clock, read_transfers

    path = Path(os.environ["TESSERA_REFERENCE_DATA"]) / "lp_token_transfers.parquet"
    memory = read_transfers(path, times=Clock(13_153_380, 1_630_650_000, 13_300))
    longest = 0
    for token in memory.held:
        ledger = read_ledger(Facts(memory), token)
        assert ledger.status is Status.OK, ledger.why
        held = memory.held[token]
        names = list(held.addresses)
        moves = [
            Row(0, 0, 0, 0, names[source], names[target], amount)
            for source, target, amount in zip(
                held.source.tolist(), held.target.tolist(), held.amount, strict=True
            )
        ]
        balances, minted, burned, _ = by_hand(moves)
        assert ledger.held.total() == ledger.supply == minted - burned
        assert [ledger.held[held.addresses.id_of(who)] for who in balances] == list(
            balances.values()
        )
        longest = max(longest, *(len(str(amount)) for amount in held.amount))
    assert longest >= 27
