"""Who pays, in a month: payers by entity, how unevenly, and whether they come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.money.answers import coverage_of, is_at, without
from tessera.diligence.money.flows import Flows
from tessera.diligence.money.payers import concentration, freshness, retention
from tessera.diligence.money.prices import worth
from tessera.diligence.money.statement import Statement
from tessera.diligence.money.takings import Takings, circular_of, entities_by_id
from tessera.diligence.results import Coverage, Evidence, Metric, Status, Window, hash_inputs
from tessera.diligence.view import View
from tessera.facts import ABSENT, ZERO_ID, Kind

__all__ = ["NAMES", "paying"]

NAMES: Final = (
    "payer_count", "payer_top10", "payer_hhi", "payer_entropy", "payer_retention",
    "payer_fresh_share",
)  # fmt: skip

_WHO: Final = "who is behind contracts that pay for others"
_NOBODY: Final = 0xFF
_MOST_HIDDEN: Final = 0.05
"""Where more of a month's fees than this comes from payers that nobody can name, shares of payers
mean nothing."""


def paying(view: View, takings: Takings, found: Statement, month: int) -> list[Metric]:
    """Say who pays, in the reporting month and in each before it."""
    window = found.months[month]
    clean = _clean(view, takings)
    payers = entities_by_id(view, clean.party)
    sums = [
        _by_payer(clean.within(each), payers[clean.rows_within(each)], found)
        for each in found.months
    ]
    inputs = hash_inputs(found.inputs, _names_of(payers, clean))
    paid, hidden = sums[month]
    total = sum(paid.values()) + hidden
    if not total:
        why = "nobody paid in this month, or nothing that has a price"
        return [_none(name, Status.INSUFFICIENT, why, window, inputs) for name in NAMES]
    share_hidden = hidden / total
    if share_hidden > _MOST_HIDDEN:
        why = f"{share_hidden:.1%} of the month's fees comes through contracts that hide who pays"
        return [
            _none(
                name,
                Status.UNKNOWN,
                why,
                window,
                inputs,
                (_WHO,),
            )
            for name in NAMES
        ]
    return [
        *_spread(takings, found, window, paid, share_hidden, sums, inputs, clean),
        _retained(found, month, sums, inputs),
        _fresh(view, found, window, paid, clean, payers, inputs),
    ]


def _spread(
    takings: Takings,
    found: Statement,
    window: Window,
    paid: Mapping[int, int],
    hidden: float,
    sums: list[tuple[dict[int, int], int]],
    inputs: str,
    clean: Flows,
) -> list[Metric]:
    by_entity = concentration(paid.values())
    assert by_entity is not None
    by_address = concentration(
        _by_payer(clean.within(window), clean.party[clean.rows_within(window)], found)[0].values()
    )
    assert by_address is not None
    coverage = coverage_of(takings)
    if hidden:
        coverage = Coverage(1 - hidden, (*coverage.missing, _WHO))
    total = sum(paid.values())
    months = [concentration(each.values()) for each, _ in sums]
    largest = sorted(paid.items(), key=lambda each: (-each[1], clean.addresses[each[0]]))[:10]
    evidence = tuple(
        Evidence("its share of the month's fees", clean.addresses[payer], amount / total)
        for payer, amount in largest[:3]
    )
    parts = {
        "count": [0 if each is None else each.count for each in months],
        "top10": [None if each is None else each.top for each in months],
        "largest": [
            {"payer": clean.addresses[payer], "share": amount / total} for payer, amount in largest
        ],
        "hidden_share": hidden,
    }
    told: tuple[tuple[str, float | int, float | int, str, str], ...] = (
        ("payer_count", by_entity.count, by_address.count, "payers",
         f"{by_entity.count} paid in the month, by entity; {by_address.count} by address"),
        ("payer_top10", by_entity.top, by_address.top, "share",
         f"{by_entity.top:.1%} of the fees comes from the ten who pay most"),
        ("payer_hhi", by_entity.hhi, by_address.hhi, "",
         f"{by_entity.hhi:.4f}: 1 where one pays all, {1 / by_entity.count:.4f} where all alike"),
        ("payer_entropy", by_entity.entropy, by_address.entropy, "nats",
         f"{by_entity.entropy:.3f} nats: as spread as {by_entity.effective:.1f} equal payers"),
    )  # fmt: skip
    return [
        is_at(name, value, unit, text, window, inputs, {**parts, "by_address": plain}, coverage,
              evidence)
        for name, value, plain, unit, text in told
    ]  # fmt: skip


def _retained(
    found: Statement, month: int, sums: list[tuple[dict[int, int], int]], inputs: str
) -> Metric:
    name, window = "payer_retention", found.months[month]
    kept = retention(sums[month - 1][0], sums[month][0]) if month else None
    if kept is None:
        why = "nobody paid in the month before" if month else "there is no month before"
        return _none(name, Status.INSUFFICIENT, why, window, inputs)
    rates = [retention(sums[at - 1][0], sums[at][0]) if at else None for at in range(len(sums))]
    text = f"{kept:.1%} of those who paid in the month before paid again"
    return is_at(name, kept, "share", text, window, inputs, {"by_month": rates})


def _fresh(
    view: View,
    found: Statement,
    window: Window,
    paid: Mapping[int, int],
    clean: Flows,
    payers: NDArray[np.int32],
    inputs: str,
) -> Metric:
    """Say how much comes from wallets funded within a week of their first payment."""
    name = "payer_fresh_share"
    people, first = np.unique(payers, return_index=True)
    first_paid = dict(zip(people.tolist(), clean.time[first].tolist(), strict=True))
    funded = _first_funded(view, clean, payers)
    fresh = freshness(paid, first_paid, funded)
    if not fresh.dated or fresh.dated < (1 - _MOST_HIDDEN) * fresh.total:
        why = "when payers first got money was not observed"
        return _none(name, Status.UNKNOWN, why, window, inputs, ("first funding of payers",))
    share = fresh.fresh / fresh.dated
    text = f"{share:.1%} of the fees comes from wallets funded within a week of their first payment"
    return is_at(name, share, "share", text, window, inputs,
                 coverage=Coverage(fresh.dated / fresh.total))  # fmt: skip


def _first_funded(view: View, clean: Flows, payers: NDArray[np.int32]) -> dict[int, int]:
    """Return when each entity first got a currency, the token or a coin, of what was observed."""
    entity_of = np.zeros(len(clean.addresses), np.int32)
    named = clean.party >= 0
    entity_of[clean.party[named]] = payers[named]
    wanted = np.zeros(len(clean.addresses), np.bool_)
    wanted[clean.party[clean.party >= 0]] = True
    columns = [(each.addresses, each.target, each.time) for each in view.currencies.values()]
    if Kind.CALLS in view.facts.kinds:
        calls = view.facts.calls()
        got = calls.select(calls.ok & (calls.to >= 0) & calls.value.limbs.any(axis=1))
        columns.append((got.addresses, got.to, got.time))
    found: dict[int, int] = {}
    for table, target, time in columns:
        ids = np.arange(len(table), dtype=np.int32)
        if table is not clean.addresses:
            ids = clean.addresses.ids_of(table)
        at = ids[target]
        rows = np.flatnonzero((at > ZERO_ID) & wanted[np.maximum(at, 0)])
        people, first = np.unique(at[rows], return_index=True)
        for person, moment in zip(people.tolist(), time[rows[first]].tolist(), strict=True):
            entity = int(entity_of[person])
            found[entity] = min(found.get(entity, moment), moment)
    return found


def _clean(view: View, takings: Takings) -> Flows:
    """Return payments by users from outside, whole: what was refunded in part stays."""
    circular = circular_of(view, takings)
    left = ~takings.insiders
    return takings.payments.select(left if circular is None else left & ~circular)


def _names_of(payers: NDArray[np.int32], payments: Flows) -> bytes:
    """Return whose payments these are, in whatever order the table has its addresses."""
    names = payments.addresses.table[np.maximum(payers, 0)]
    names[payers < 0] = _NOBODY
    return names.tobytes()


def _by_payer(
    payments: Flows, payers: NDArray[np.int32], found: Statement
) -> tuple[dict[int, int], int]:
    """Return what each payer paid, and what nobody can say who paid.

    In base units where all is paid in one currency, else in 1 / `ATOMS` dollars.
    """
    people, place = np.unique(payers, return_inverse=True)
    sums = payments.amount.totals_by(place, len(people))
    if len(payments.currencies) > 1:
        sums = [0] * len(people)
        for index, token in enumerate(payments.currencies):
            rows, money = payments.currency == index, found.monies[token]
            value = worth(
                money.quotes,
                money.decimals,
                payments.amount[rows],
                payments.time[rows],
                place[rows].astype(np.int64),
                len(people),
            )
            sums = [mine + more for mine, more in zip(sums, value.atoms, strict=True)]
    paid = {payer: amount for payer, amount in zip(people.tolist(), sums, strict=True) if amount}
    return paid, paid.pop(ABSENT, 0)


def _none(
    name: str,
    status: Status,
    why: str,
    window: Window,
    inputs: str,
    missing: tuple[str, ...] = (),
) -> Metric:
    return without(name, status, why, window=window, inputs=inputs, missing=missing)
