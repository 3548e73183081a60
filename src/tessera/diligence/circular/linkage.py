"""Who pays with the project's own money: payers that it funded, and what it sent them back.

Two things are asked of a payer. **Linked**: was its first native token sent by the project, by its
deployer or by another payer, directly or over one account in between? Whoever was funded by an
exchange, a bridge or a mixer is not linked, which does not make it clean. **Conserved**: of what it
paid in some 30 days, did more than so much come from the project in the same 30 days? A payment is
circular where both hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.results import DAY_S
from tessera.errors import InputError
from tessera.facts.amounts import Amounts

__all__ = [
    "LINKS",
    "LinkRules",
    "first_funders",
    "funded_by_payee",
    "funder_groups",
    "linked_payers",
]

_HALF_BITS: Final = 32


@dataclass(frozen=True, slots=True)
class LinkRules:
    """What makes a payer the project's.

    Attributes
    ----------
    depth
        Steps of funding that are followed.
    window_s
        Before a payment, in which its payer's payments and what it got are compared.
    ratio
        Of the payer's payments, what came from the project: above this it is funded.
    """

    depth: int = 2
    window_s: int = 30 * DAY_S
    ratio: float = 0.8

    def __post_init__(self) -> None:
        if self.depth < 1 or self.window_s < 1 or self.ratio < 0:
            raise InputError("link rules", found=self, wanted="1 step or more, 1 s or more")


LINKS: Final = LinkRules()


def first_funders(
    source: NDArray[np.integer], target: NDArray[np.integer], entities: int
) -> NDArray[np.int32]:
    """Who first sent each entity native tokens.

    Parameters
    ----------
    source, target
        Transfers of native tokens of more than nothing, in chain order.

    Returns
    -------
    ndarray of int32, shape (entities,)
        -1 where nothing was seen.
    """
    funder = np.full(entities, -1, dtype=np.int32)
    apart = source != target
    # The last write stays: from the end, that is the first that came.
    funder[target[apart][::-1]] = source[apart][::-1]
    return funder


def linked_payers(
    funder: NDArray[np.int32],
    payers: NDArray[np.bool_],
    project: NDArray[np.bool_],
    hub: NDArray[np.bool_],
    rules: LinkRules = LINKS,
) -> NDArray[np.bool_]:
    """Which payers were funded by the project or by another payer, shape (entities,).

    Parameters
    ----------
    funder
        Of each entity; -1 where unknown.
    payers, project
        bool, shape (entities,).
    hub
        Exchanges, bridges and mixers: who is funded by one is linked to nobody.
    """
    linked = np.zeros(len(funder), dtype=np.bool_)
    own = np.arange(len(funder))
    at = funder.astype(np.int64)
    for _ in range(rules.depth):
        known = (at >= 0) & ~hub[at]
        at = np.where(known, at, -1)
        linked |= known & (project[at] | (payers[at] & (at != own)))
        at = np.where(known, funder[at], -1)
    return linked & payers


def funder_groups(
    funder: NDArray[np.int32], project: NDArray[np.bool_], hub: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """A number for each group with one owner by evidence, -1 for nobody's, shape (entities,).

    The project's addresses, whoever they funded, and whoever has one first funder that is no hub.
    A funder belongs to the group of those it funded.
    """
    entities = len(funder)
    known = (funder >= 0) & ~hub[np.maximum(funder, 0)]
    group = np.where(known, funder, -1).astype(np.int32)
    funds = np.bincount(funder[known], minlength=entities) > 0
    alone = funds & (group < 0) & ~hub
    group[alone] = np.flatnonzero(alone)
    team = entities
    of_team = project | ((group >= 0) & (project[np.maximum(group, 0)]))
    group[of_team & ~hub] = team
    return group


def funded_by_payee(
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    time: NDArray[np.int64],
    amount: Amounts,
    revenue: NDArray[np.bool_],
    project: NDArray[np.bool_],
    rules: LinkRules = LINKS,
) -> NDArray[np.bool_]:
    """Which payments to the revenue set were paid with what the project had sent, shape (n,).

    Parameters
    ----------
    source, target, time, amount
        Transfers in chain order.
    revenue
        bool, shape (entities,): who takes payments.
    project
        Team, treasury, deployer, and the revenue set itself: who sends money back.

    Notes
    -----
    For a payment at t: all that its payer paid in (t - window, t], the payment itself counted, and
    all that it got from the project in the same time and before the payment. Sums are exact until
    they are divided.
    """
    pays = revenue[target] & ~project[source] & ~revenue[source]
    gets = (project[source] | revenue[source]) & ~project[target] & ~revenue[target]
    funded = np.zeros(len(source), dtype=np.bool_)
    if not pays.any() or not gets.any():
        return funded
    owner = np.where(pays, source, target)
    rows = np.flatnonzero(pays | gets)
    # Only whoever did both can be funded.
    both = np.zeros(int(max(source.max(), target.max())) + 1, dtype=np.int8)
    both[source[pays]] |= 1
    both[target[gets]] |= 2
    rows = rows[both[owner[rows]] == 3]
    if not len(rows):
        return funded
    rows = rows[np.argsort(owner[rows], kind="stable")]
    who, when, paid = owner[rows], time[rows], pays[rows]
    # One rising key for payer and time, so that each window is one search for all payers.
    span = int(time[-1]) - int(time[0]) + rules.window_s + 2
    key = who.astype(np.int64) * span + (when - int(time[0])) + rules.window_s
    since = np.searchsorted(key, key - rules.window_s, side="right")
    here = np.arange(len(rows))
    spent = _between(amount[rows], paid, since, here + 1)
    got = _between(amount[rows], ~paid, since, here + 1)
    funded[rows[paid & (got > rules.ratio * spent)]] = True
    return funded


def _between(
    amount: Amounts,
    counted: NDArray[np.bool_],
    since: NDArray[np.integer],
    until: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Sums of the counted amounts from one row to just before another, shape (n,), nearest float.

    Running sums of 32-bit halves are exact in 64 bits, so a small sum late in a long history is not
    lost in a large one, as it is in running floats.
    """
    halves = np.ascontiguousarray(amount.limbs, dtype="<u8").view("<u4")
    total = np.zeros(len(amount))
    for half in range(halves.shape[1]):
        running = np.zeros(len(amount) + 1, dtype=np.int64)
        np.cumsum(np.where(counted, halves[:, half], 0), dtype=np.int64, out=running[1:])
        total += (running[until] - running[since]) * 2.0 ** (_HALF_BITS * half)
    return total
