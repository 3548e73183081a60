"""Who plays which part in a view, and what of each of its currencies goes in circles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.circular.composite import Circular, Parties, look
from tessera.diligence.entities import entities_of, first_funders
from tessera.diligence.labels import AddressClass, classes_of
from tessera.diligence.results import Window
from tessera.diligence.view import View
from tessera.facts import ABSENT, Addresses, Kind

__all__ = ["TRADE_DAYS", "circular_by_currency", "circular_trades", "parties_of"]

TRADE_DAYS: Final = 90
"""The token's own transfers are looked at over so many days, up to the view's head."""

_REMOVED: Final = (
    AddressClass.BURN,
    AddressClass.EXCHANGE,
    AddressClass.BRIDGE,
    AddressClass.STAKING,
    AddressClass.VESTING,
    AddressClass.DEX_POOL,
)


def circular_by_currency(view: View) -> Mapping[str, Circular]:
    """Return what goes in circles of each currency that users pay in and that was observed, once.

    Raises
    ------
    TesseraError
        What is needed of the facts is not there.
    """

    def find() -> dict[str, Circular]:
        return {
            token: look(moved, parties_of(view, moved.addresses))
            for token, moved in view.currencies.items()
        }

    return view.kept("circular by currency", find)


def circular_trades(view: View) -> Circular:
    """Return what goes in circles of the token's transfers of the last `TRADE_DAYS`, once."""

    def find() -> Circular:
        moved = view.transfers.within(Window.last(TRADE_DAYS, view.head.time + 1))
        return look(moved, parties_of(view, moved.addresses))

    return view.kept("circular trades", find)


def parties_of(view: View, table: Addresses) -> Parties:
    """Return who plays which part, by the ids of a table.

    What the project says of itself goes before a label: where users pay and who its people are is
    never taken out.
    """
    subject, labels = view.subject, classes_of(view).labels
    people = subject.people
    project = _mask(table, {*people.team, *people.treasury, people.deployer or ""} - {""})
    revenue = _mask(table, subject.payments.contracts)
    removed = _mask(
        table,
        (
            address
            for address, label in labels.by_address.items()
            if label.klass in _REMOVED or label.public
        ),
    )
    removed |= _mask(table, subject.payments.relayers)
    removed |= _carried(view, table, classes_of(view).members(*_REMOVED))
    return Parties(
        entity=_entities(view, table),
        removed=removed & ~project & ~revenue,
        project=project,
        revenue=revenue,
        funder=_funders(view, table),
    )


def _mask(table: Addresses, addresses: Iterable[str]) -> NDArray[np.bool_]:
    mask = np.zeros(len(table), np.bool_)
    ids = table.ids_of(addresses)
    mask[ids[ids > 0]] = True
    return mask


def _carried(view: View, table: Addresses, of_token: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask over the token's addresses as one over those of a table."""
    base = view.transfers.addresses
    if table is base:
        return of_token.copy()
    return _mask(table, base.texts(np.flatnonzero(of_token)))


def _entities(view: View, table: Addresses) -> NDArray[np.int32]:
    """Return entities as ids of a table; whoever never had the token is alone."""
    base, entity = view.transfers.addresses, entities_of(view).entity
    if table is base:
        return entity
    known = base.ids_of(table)
    found = np.arange(len(table), dtype=np.int32)
    rows = np.flatnonzero(known >= 0)
    _, first, group = np.unique(entity[known[rows]], return_index=True, return_inverse=True)
    found[rows] = rows[first][group]
    return found


def _funders(view: View, table: Addresses) -> NDArray[np.int32] | None:
    """Return who first sent each address coins; None where nobody looked at calls."""
    if Kind.CALLS not in view.facts.kinds:
        return None
    calls = view.facts.calls()
    funded, funder = first_funders(calls)
    here = np.arange(len(table), dtype=np.int32)
    if calls.addresses is not table:
        here = table.ids_of(calls.addresses)
    found = np.full(len(table), ABSENT, np.int32)
    member, giver = here[funded], here[funder]
    found[member[member >= 0]] = giver[member >= 0]
    return found
