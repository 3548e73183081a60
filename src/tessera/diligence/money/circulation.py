"""How much of a token circulates: what is not burned, vested, or with the team."""

from __future__ import annotations

from tessera.diligence.labels import LOCKED, AddressClass, classes_of
from tessera.diligence.money.supply import Supply, supply_outside
from tessera.diligence.view import View

__all__ = ["circulating"]


def circulating(view: View) -> Supply:
    """Return the circulating supply over time, once.

    Addresses are classed as of the view: what is locked today counts as locked all along.
    """
    return view.kept(
        "circulating",
        lambda: supply_outside(
            view.transfers, classes_of(view).members(*LOCKED, AddressClass.BURN)
        ),
    )
