"""What lies in contracts for somebody else: who put it there, and who is likely an exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.results import DAY_S
from tessera.facts import ABSENT, ZERO_ID, Transfers

__all__ = ["Sweeps", "deposits", "see_through", "sweeps"]

FORWARDED = 0.99
"""Of what an address ever got; who passes on as much, soon and to one other, is swept."""

DELAY_S = DAY_S
LEAST_DEPOSITORS = 20


def deposits(transfers: Transfers, contracts: NDArray[np.bool_]) -> dict[int, dict[int, int]]:
    """Return what each holder has in each contract by its transfers there and back.

    Parameters
    ----------
    contracts
        Mask over ids. Moves between two of them are nobody's; mints and burns neither.

    Returns
    -------
    dict
        By contract, then by holder: base units above 0, put in less taken out. Rewards that were
        taken out count as taken out, so a holder's part may be more than stated here.
    """
    source, target = transfers.source, transfers.target
    into = contracts[target] & ~contracts[source] & (source != ZERO_ID)
    out = contracts[source] & ~contracts[target] & (target != ZERO_ID)
    size = np.int64(len(transfers.addresses))
    keys_in = target[into].astype(np.int64) * size + source[into]
    keys_out = source[out].astype(np.int64) * size + target[out]
    keys, place = np.unique(np.concatenate([keys_in, keys_out]), return_inverse=True)
    put = transfers.amount[into].totals_by(place[: len(keys_in)], len(keys))
    taken = transfers.amount[out].totals_by(place[len(keys_in) :], len(keys))
    found: dict[int, dict[int, int]] = {}
    for key, gave, got in zip(keys.tolist(), put, taken, strict=True):
        if gave > got:
            contract, holder = divmod(key, int(size))
            found.setdefault(contract, {})[holder] = gave - got
    return found


def see_through(
    balances: Sequence[int], parts: dict[int, dict[int, int]]
) -> tuple[list[int], list[int]]:
    """Return balances with those of contracts given to who put them there, pro rata.

    Parameters
    ----------
    parts
        By contract, what each has of it, in any unit.

    Returns
    -------
    pair
        Balances by id, rounded down, what is left over remaining with the contract; and the ids
        of contracts that were seen through.
    """
    seen, through = list(balances), []
    for contract, shares in sorted(parts.items()):
        held, whole = balances[contract], sum(shares.values())
        if not held or not whole:
            continue
        through.append(contract)
        for holder, share in shares.items():
            part = held * share // whole
            seen[holder] += part
            seen[contract] -= part
    return seen, through


@dataclass(frozen=True, eq=False)
class Sweeps:
    """Addresses that behave like an exchange's.

    Attributes
    ----------
    deposit
        Mask over ids: passes on nearly all that it gets, within a day, always to the same.
    collector
        int32 over ids: to whom, for those; -1 for others.
    hot
        Mask over ids: 20 or more of these pass on to it, and it pays 20 or more who never
        sent it any.
    """

    deposit: NDArray[np.bool_]
    collector: NDArray[np.int32]
    hot: NDArray[np.bool_]

    def serving(self, exchange: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Mask of deposit addresses of these exchanges."""
        return self.deposit & exchange[np.maximum(self.collector, 0)]


def sweeps(transfers: Transfers, *, least: int = LEAST_DEPOSITORS) -> Sweeps:
    """Find deposit addresses and those that collect from them.

    Notes
    -----
    The delay is the mean time of what goes out less that of what comes in, each weighted with its
    amount, in floats: a heuristic, which only ever widens a range.
    """
    count = len(transfers.addresses)
    source, target = transfers.source, transfers.target
    amount = transfers.amount.approximate()
    lowest = np.full(count, count, np.int32)
    highest = np.full(count, ABSENT, np.int32)
    np.minimum.at(lowest, source, target)
    np.maximum.at(highest, source, target)
    gave = np.bincount(source, amount, count)
    got = np.bincount(target, amount, count)
    second = (transfers.time - (transfers.time[0] if len(transfers) else 0)) * amount
    with np.errstate(invalid="ignore", divide="ignore"):
        delay = np.bincount(source, second, count) / gave
        delay -= np.bincount(target, second, count) / got
        deposit = (lowest == highest) & (gave >= FORWARDED * got) & (delay <= DELAY_S)
    deposit &= (got > 0) & (highest > ZERO_ID)
    deposit[ZERO_ID] = False
    collector = np.where(deposit, highest, ABSENT).astype(np.int32)
    collects = np.bincount(collector[deposit], minlength=count) >= least
    out, back = collects[source], collects[target]
    paid = np.unique(source[out].astype(np.int64) * count + target[out])
    # A staking contract pays those who put something in; an exchange pays whoever withdraws.
    strangers = np.setdiff1d(paid, target[back].astype(np.int64) * count + source[back])
    pays = np.bincount(strangers // count, minlength=count) >= least
    return Sweeps(deposit, collector, collects & pays)
