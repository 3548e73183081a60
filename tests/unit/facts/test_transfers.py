"""Addresses have numbers, and a token's transfers are columns that can be cut and identified."""

import random
from types import SimpleNamespace

import numpy as np
import pytest

from tessera.errors import InputError
from tessera.facts import ABSENT, ZERO, ZERO_ID, Addresses, Row, Transfers

TOKEN = "0x" + "70" * 20


def address(number):
    return f"0x{number:040x}"


def rows(count, seed=7):
    chance = random.Random(seed)
    return [
        Row(100 + at // 3, 1_000 + 12 * (at // 3), at % 3, at % 3,
            address(chance.randrange(9)), address(chance.randrange(9)), chance.getrandbits(200))
        for at in range(count)
    ]  # fmt: skip


def test_addresses_count_from_zero_which_is_the_zero_address():
    table = Addresses.of([address(5), address(9), address(5)])
    assert list(table) == [ZERO, address(5), address(9)] == [table[i] for i in range(3)]
    assert table.id_of(ZERO) == ZERO_ID
    assert table.id_of(address(9).upper().replace("X", "x")) == 2
    assert table.id_of(address(1)) is None
    assert address(9) in table
    assert table.ids_of([address(9), address(1)]).tolist() == [2, ABSENT]
    assert table.texts([2, ABSENT]) == [address(9), ""]


@pytest.mark.parametrize(
    "wrong", ["", "0x", "0x12", address(1)[2:], address(1) + "00", "0x" + "g" * 40]
)
def test_what_is_no_address_is_refused(wrong):
    with pytest.raises(InputError, match="wanted 0x and 40 hexadecimal digits"):
        Addresses.of([wrong])


def test_rows_in_any_order_become_columns_in_the_order_of_the_chain():
    wanted = rows(30)
    shuffled = random.Random(1).sample(wanted, len(wanted))
    held = Transfers.of(TOKEN, shuffled)
    assert list(zip(held.block, held.log, held.amount, strict=True)) == [
        (row.block, row.log, row.amount) for row in wanted
    ]
    assert held.addresses.texts(held.source) == [row.source for row in wanted]
    assert held.addresses.texts(held.target) == [row.target for row in wanted]


def test_blocks_and_windows_cut_where_they_say():
    held = Transfers.of(TOKEN, rows(30))
    assert held.before(103).block.max() == 102
    assert held.up_to(103).block.max() == 103
    window = held.within(SimpleNamespace(start=1_012, end=1_036))
    assert sorted(set(window.time.tolist())) == [1_012, 1_024]
    assert len(held.up_to(99)) == 0
    assert len(held.up_to(10**9)) == 30


def test_the_digest_depends_on_the_rows_alone():
    held = Transfers.of(TOKEN, rows(30))
    ids = Addresses.of([address(n) for n in range(40, 0, -1)])
    same = Transfers.of(TOKEN, reversed(rows(30)), ids)
    assert same.digest() == held.digest()
    wide = held.select(slice(0, 10))
    assert Transfers.of(TOKEN, rows(30)[:10]).digest() == wide.digest() != held.digest()


@pytest.mark.parametrize("column", Row._fields)
def test_any_change_of_any_row_changes_the_digest(column):
    """An attacker who alters one figure of history cannot keep a report's inputs the same."""
    held = rows(30)
    value = getattr(held[11], column)
    other = address(77) if isinstance(value, str) else value + 1
    changed = [*held[:11], held[11]._replace(**{column: other}), *held[12:]]
    assert Transfers.of(TOKEN, changed).digest() != Transfers.of(TOKEN, held).digest()


def test_participants_are_those_who_gave_or_got():
    ids = Addresses.of([address(8), address(3)])
    held = Transfers.of(TOKEN, [Row(1, 1, 0, 0, ZERO, address(3), 5)], ids)
    assert held.addresses.texts(held.participants()) == [address(3)]
    assert held.mints.tolist() == [True]
    assert held.burns.tolist() == [False]


def test_nothing_has_a_digest_and_a_sum_too():
    held = Transfers.none(TOKEN, Addresses.of([]))
    assert len(held) == 0
    assert held.amount.total() == 0
    assert held.digest() == Transfers.of(TOKEN, []).digest()
    assert not len(held.participants())
    assert held.select(np.zeros(0, np.bool_)).digest() == held.digest()
