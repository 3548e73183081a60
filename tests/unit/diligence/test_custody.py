"""What lies in contracts for others, and who behaves like an exchange."""

from __future__ import annotations

import numpy as np
from tests.unit.diligence.markets import address, history

from tessera.diligence.custody import deposits, see_through, sweeps
from tessera.facts import Transfers


def ids(transfers: Transfers, *people: int) -> list[int]:
    return [transfers.addresses.id_of(address(n)) for n in people]


def mask(transfers: Transfers, *people: int) -> np.ndarray:
    found = np.zeros(len(transfers.addresses), np.bool_)
    found[ids(transfers, *people)] = True
    return found


def test_who_put_in_what_is_there_less_what_they_took_out():
    moves = history(
        (0, 0, 1, 100), (0, 0, 2, 10**27), (1, 1, 9, 60), (1, 2, 9, 10**27), (2, 9, 1, 20),
        (3, 9, 2, 10**27), (4, 0, 9, 7), (5, 9, 8, 5),
    )  # fmt: skip
    one, pool, other = ids(moves, 1, 9, 8)
    assert deposits(moves, mask(moves, 9)) == {pool: {one: 40}}
    # From one staking contract to another nobody has put anything.
    assert deposits(moves, mask(moves, 9, 8)) == {pool: {one: 40}}
    assert other not in deposits(moves, mask(moves, 9))


def test_balances_are_given_to_who_put_them_there_pro_rata():
    seen, through = see_through([0, 1, 0, 10], {3: {1: 1, 2: 2}})
    assert seen == [0, 1 + 3, 6, 1]
    assert through == [3]
    assert see_through([0, 5, 0], {2: {1: 1}}) == ([0, 5, 0], [])
    assert see_through([0, 0, 7], {2: {}}) == ([0, 0, 7], [])


def test_deposit_addresses_of_an_exchange_and_its_hot_wallet():
    """Twenty users send to an address of their own each, which is swept to one wallet in hours."""
    moves = [(0, 0, n, 100) for n in range(100, 120)]
    moves += [(5 + n / 100, n, n + 100, 100) for n in range(100, 120)]
    moves += [(6 + n / 1000, n + 100, 7, 100) for n in range(100, 120)]
    moves += [(8 + n / 1000, 7, n + 500, 50) for n in range(100, 120)]
    moves.sort()
    transfers = history(*moves)
    found = sweeps(transfers)
    hot = ids(transfers, 7)[0]
    assert np.flatnonzero(found.hot).tolist() == [hot]
    assert set(np.flatnonzero(found.deposit)) == set(ids(transfers, *range(200, 220)))
    assert (found.serving(found.hot) == found.deposit).all()
    # A user kept it for days, and a single one less makes no exchange.
    assert not sweeps(transfers, least=21).hot.any()


def test_attack_stakers_make_no_exchange_of_a_staking_contract():
    """Everybody sends to one contract and it pays many: an exchange, to a careless eye.

    Who stakes holds before, keeps a rest or comes back; only who passes on all within a day, always
    to the same, is a deposit address.
    """
    moves = [(0, 0, n, 100) for n in range(100, 140)]
    moves += [(20, n, 7, 100) for n in range(100, 140)]
    moves += [(40, 7, n, 100) for n in range(100, 140)]
    assert not sweeps(history(*moves)).hot.any()


def test_attack_who_buys_and_stakes_at_once_makes_no_exchange():
    """Found on real liquidity tokens: mint, stake within a day, and never look again.

    Each of them passes on all to one contract, as deposit addresses do. But the contract pays those
    who put something in, and an exchange pays whoever withdraws.
    """
    moves = [(n / 10, 0, n, 100) for n in range(100, 160)]
    moves += [(n / 10 + 0.01, n, 7, 100) for n in range(100, 160)]
    moves += [(40, 7, n, 50) for n in range(100, 130)]
    moves.sort()
    assert not sweeps(history(*moves)).hot.any()


def test_no_transfers_are_no_exchange():
    found = sweeps(Transfers.of(address(5), []))
    assert not found.hot.any()
    assert not found.deposit.any()
