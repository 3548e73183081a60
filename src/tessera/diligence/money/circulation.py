"""How much of a token circulates: what is not burned, vested, or with the team."""

from __future__ import annotations

from typing import Final

import numpy as np

from tessera.diligence.ledger import BURN
from tessera.diligence.money.supply import Supply, supply_outside
from tessera.diligence.view import View

__all__ = ["circulating"]

_LOCKED: Final = frozenset({"vesting", "treasury", "team"})


def circulating(view: View) -> Supply:
    """Return the circulating supply over time, once.

    What is locked today counts as locked all along.
    """

    def read() -> Supply:
        people, labels = view.subject.people, view.subject.labels
        locked = {*BURN, *people.team, *people.treasury}
        locked |= {address for address, label in labels.items() if label in _LOCKED}
        mask = np.zeros(len(view.transfers.addresses), np.bool_)
        ids = view.transfers.addresses.ids_of(locked)
        mask[ids[ids >= 0]] = True
        return supply_outside(view.transfers, mask)

    return view.kept("circulating", read)
