"""Everything that step 1 counts, gathered once: of any ERC-20, or of an asset of our own.

Of a stranger's token an analyst says where users pay and who pays holders, and transfers
say what happened there. Of our own assets their contracts say it, to the unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.circular.views import circular_by_currency
from tessera.diligence.entities import entities_of
from tessera.diligence.money.flows import (
    ENTRY_POINTS,
    Flows,
    Refund,
    as_transfers,
    flows_between,
    flows_of_rows,
    refunds,
    with_payers,
)
from tessera.diligence.money.prices import Prices, fixed, read_prices
from tessera.diligence.money.statement import Money
from tessera.diligence.own.books import AssetBooks, read_books
from tessera.diligence.own.holders import earned_by
from tessera.diligence.own.movements import Movement
from tessera.diligence.own.payers import channels_of, deployment_of, till_payers
from tessera.diligence.own.prices import traded
from tessera.diligence.own.subject import observed_events
from tessera.diligence.subject import Currency
from tessera.diligence.view import View
from tessera.errors import NotFound
from tessera.facts import ZERO, Addresses, Facts, Kind, Row, Transfers

__all__ = [
    "Takings",
    "books_of",
    "circular_of",
    "entities_by_id",
    "payments_of",
    "pays_holders",
    "prices_of",
    "takings_of",
    "token_money",
]

_LOG_BITS: Final = 31
_INSIDERS: Final = frozenset({"team", "treasury"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Takings:
    """What step 1 counts.

    Attributes
    ----------
    payments
        By users; `other` is the revenue set's address, or the Share of an asset of our own.
    refunded
        What went back to who paid: within a week, or, of our own assets, as revenue of its shares.
    supply_side
        To who does the work; of our own assets operators, and royalties to parents.
    payouts
        To holders, one row for each; of our own assets what reached the Share, at once for all.
    minted
        What was minted to who pays holders.
    buybacks, burns
        Spent on the token, and burned of it, for the holders.
    monies
        Every currency of all these.
    insiders
        Mask of shape (n,) over the payments: the team or its treasury paid.
    launched
        Unix seconds.
    missing
        What was not observed, in words.
    unobserved
        Currencies that users pay in and that nobody looked at.
    books
        Of an asset of our own.
    """

    payments: Flows
    refunded: tuple[Refund, ...]
    supply_side: Flows
    payouts: Flows
    minted: Flows
    buybacks: Flows
    burns: Flows
    monies: Mapping[str, Money]
    insiders: NDArray[np.bool_]
    launched: int
    missing: tuple[str, ...] = ()
    unobserved: tuple[str, ...] = ()
    books: AssetBooks | None = None


def takings_of(view: View) -> Takings | None:
    """Gather a view's takings, once.

    Returns
    -------
    Takings or None
        None where nobody said where users pay.

    Raises
    ------
    TesseraError
        The facts do not hold what was asked for.
    """
    return view.kept("takings", lambda: _takings(view))


def payments_of(view: View) -> Flows | None:
    """Return what users paid: the list that steps 1 and RF3 look at; None where nobody said where.

    Raises
    ------
    TesseraError
        The facts do not hold what was asked for.
    """
    found = takings_of(view)
    return None if found is None else found.payments


def pays_holders(view: View, takings: Takings) -> bool:
    """Return whether it is known how holders are paid, if they are."""
    holders = view.subject.holders
    said = holders.distributors or holders.buybacks or holders.burns
    return takings.books is not None or bool(said)


def circular_of(view: View, takings: Takings) -> NDArray[np.bool_] | None:
    """Return which payments go in circles; None where that was not looked at.

    Of our own assets what comes back is known to the unit, and is among what was given back.
    """
    return view.kept("circular payments", lambda: _circular(view, takings))


def _circular(view: View, takings: Takings) -> NDArray[np.bool_] | None:
    payments = takings.payments
    found = np.zeros(len(payments), np.bool_)
    if takings.books is not None:
        return found
    circular = circular_by_currency(view)
    for index, token in enumerate(payments.currencies):
        rows = np.flatnonzero(payments.currency == index)
        if token not in circular:
            if len(rows):
                return None
            continue
        of = circular[token]
        flagged = _places(of.transfers.block[of.rows], of.transfers.log[of.rows])
        found[rows] = np.isin(_places(payments.block[rows], payments.log[rows]), flagged)
    return found


def _places(block: NDArray[np.int64], log: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return a number for each place of a log in the chain."""
    return block << _LOG_BITS | log


def prices_of(view: View) -> Prices:
    """Return the prices of a view: those of its file, and stablecoins as their dollars.

    Raises
    ------
    TesseraError
        The file is no file of prices.
    """

    def read() -> Prices:
        prices = Prices({}) if view.prices_file is None else read_prices(view.prices_file)
        pegs = {
            each.address: fixed(each.usd)
            for each in view.subject.payments.currencies
            if each.usd is not None
        }
        return prices.with_quotes(pegs)

    return view.kept("prices", read)


def books_of(view: View, asset: int) -> dict[int, AssetBooks]:
    """Return the books of an asset and of all others of its Registry, once.

    Raises
    ------
    DataError
        Our own contracts' events were not observed, or not from the first.
    """

    def read() -> dict[int, AssetBooks]:
        events = deployment_of(observed_events(view.facts), asset)
        money = channels_of(events)
        tills: dict[tuple[int, int], dict[str, int]] = {}
        for moved in view.currencies.values():
            tills |= till_payers(events, moved)
        return read_books(events, calldata=_calldata(view.facts, money), till_payers=tills)

    return view.kept(f"books of {asset}", read)


def _calldata(facts: Facts, money: str | None) -> dict[tuple[int, int], bytes]:
    if money is None or Kind.CALLS not in facts.kinds:
        return {}
    calls = facts.calls(to=money)
    where = zip(calls.block.tolist(), calls.index.tolist(), calls.data, strict=True)
    return {(block, index): data for block, index, data in where if data}


def _takings(view: View) -> Takings | None:
    if view.subject.asset is not None:
        return _own(view, view.subject.asset)
    paid = view.subject.payments
    if not paid.contracts:
        return None
    transfers, missing = _currencies(view)
    subject, base = view.subject, view.transfers.addresses
    held = {**transfers, subject.token: view.transfers}
    monies = {each.address: _money(view, each) for each in paid.currencies}
    monies.setdefault(subject.token, token_money(view) or Money(subject.token, 0))
    arrived = flows_between(transfers, base, targets=paid.contracts)
    payments = with_payers(arrived, transfers, {*paid.relayers, *ENTRY_POINTS})
    distributors, supply = subject.holders.distributors, paid.supply_side
    returned = flows_between(
        transfers, base, sources=paid.contracts, apart=(*distributors, *supply)
    )
    ours = {*paid.contracts, *distributors, *subject.holders.buybacks, *supply}
    return Takings(
        payments=payments,
        # Who pays holders out of the very address where users pay refunds nobody by it.
        refunded=()
        if set(distributors) & set(paid.contracts)
        else tuple(refunds(payments, returned)),
        supply_side=_into(transfers, base, {*paid.contracts, *distributors}, supply),
        payouts=flows_between(
            held, base, sources=distributors, apart=(*ours, *subject.holders.burns)
        ),
        minted=_minted(held, base, distributors),
        buybacks=flows_between(transfers, base, sources=subject.holders.buybacks, apart=ours),
        burns=_into({subject.token: view.transfers}, base, None, subject.holders.burns),
        monies=monies,
        insiders=_insiders(view, payments),
        launched=_launched(view),
        missing=missing,
        unobserved=tuple(
            each.symbol or each.address for each in paid.currencies if each.address not in transfers
        ),
    )


def _own(view: View, asset: int) -> Takings:
    books = books_of(view, asset)
    if asset not in books:
        raise NotFound(
            f"asset {asset}: not registered", next_step="tessera list shows what there is"
        )
    book = books[asset]
    declared = view.subject.payments.currencies
    currencies = tuple(each.address for each in declared)
    base, share = view.transfers.addresses, view.subject.token
    first = currencies[0] if currencies else ZERO

    def flows(rows: list[tuple[Movement, str, str]], *, into: bool) -> Flows:
        made = [
            (Row(at.block, at.time, 0, at.log, source, target, at.amount), first)
            for at, source, target in rows
            if at.amount
        ]
        return flows_of_rows(made, (first,), base, into=into)

    paid_on = [
        (each.at._replace(amount=part), share, to)
        for each in book.incomes
        for part, to in (
            (each.parts.operator, each.operator),
            *((royalty, "") for _, royalty in each.parts.parents),
        )
    ]
    payments = flows([(each.at, each.payer or "", share) for each in book.paid], into=True)
    none = flows([], into=False)
    return Takings(
        payments=payments,
        refunded=tuple(_came_back(view, payments, book)),
        supply_side=flows(paid_on, into=False),
        payouts=flows([(at, "", share) for at in book.to_share], into=False),
        minted=none,
        buybacks=none,
        burns=none,
        monies={first: _money(view, declared[0])} if declared else {first: Money(first, 0)},
        # Who serves an asset and pays for it pays itself.
        insiders=_insiders(view, payments, {each.operator for each in book.incomes}),
        launched=book.registered,
        missing=() if declared or not book.incomes else ("the currency that users pay in",),
        books=book,
    )


def _came_back(view: View, payments: Flows, book: AssetBooks) -> list[Refund]:
    """Return what payers got back of their own payments as holders, rounded down.

    Of a payment the holders' part streams to all of them, so a payer, with all that is one entity
    with it, pays itself its own part of that. What it earns of others' payments is income.
    """
    streamed = sum(each.amount for each in book.distributed)
    if not streamed or not book.gross:
        return []
    earned = earned_by(observed_events(view.facts), book.share, view.head.time)
    holders = payments.addresses.ids_of(earned)
    # Who never paid may not be in the table of those who did.
    known = [(int(at), each) for at, each in zip(holders, earned.values(), strict=True) if at > 0]
    entities = entities_by_id(view, np.array([at for at, _ in known], np.int32))
    entitled = Counter[int]()
    for entity, (_, each) in zip(entities.tolist(), known, strict=True):
        entitled[entity] += each.entitled
    revenue = sum(each.amount for each in book.to_share)
    payers = entities_by_id(view, payments.party).tolist()
    parts = (
        amount * entitled.get(payer, 0) * revenue // (book.gross * streamed)
        for payer, amount in zip(payers, payments.amount, strict=True)
    )
    return [Refund(row, part) for row, part in enumerate(parts) if part]


def entities_by_id(view: View, ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the entity of each id, of the same shape.

    Only who ever had the token is joined with others; whoever else pays stays alone, and `ABSENT`
    stays what it is.
    """
    entity = entities_of(view).entity
    found = ids.copy()
    known = (found >= 0) & (found < len(entity))
    found[known] = entity[found[known]]
    return found


def _currencies(view: View) -> tuple[dict[str, Transfers], tuple[str, ...]]:
    transfers: dict[str, Transfers] = {}
    missing = []
    for each in view.subject.payments.currencies:
        if each.address in view.currencies:
            transfers[each.address] = view.currencies[each.address]
        elif each.address == ZERO and Kind.CALLS in view.facts.kinds:
            transfers[ZERO] = as_transfers(view.facts.calls(), ZERO)
            missing.append("coins that contracts sent within transactions")
        elif each.address == view.subject.token:
            transfers[each.address] = view.transfers
        else:
            missing.append(f"transfers of {each.symbol or each.address}")
            continue
        if each.address != ZERO:
            seen = view.facts.coverage(each.address)
            missing += [f"{each.address}, blocks {low} to {high}" for low, high in seen.gaps]
    return transfers, tuple(missing)


def _money(view: View, currency: Currency) -> Money:
    quotes = prices_of(view).of(currency.address, currency.symbol)
    return Money(currency.address, currency.decimals, currency.symbol, quotes)


def token_money(view: View) -> Money | None:
    """Return the token itself as a currency; None where its decimals are not known.

    What a Share is worth, the trades of our own market say where no file does. A price goes by the
    token's address alone: the symbol is whatever its maker chose, such as that of a dear coin.
    """
    token, decimals = view.subject.token, view.token.decimals
    if decimals is None:
        return None
    quotes = prices_of(view).of(token)
    if quotes is None and view.subject.asset is not None and view.subject.payments.currencies:
        in_decimals = view.subject.payments.currencies[0].decimals
        quotes = traded(observed_events(view.facts), token, decimals, in_decimals)
    return Money(token, decimals, view.token.symbol, quotes)


def _into(
    transfers: Mapping[str, Transfers],
    base: Addresses,
    sources: Collection[str] | None,
    targets: Collection[str],
) -> Flows:
    found = flows_between(transfers, base, targets=targets)
    if sources is None:
        return found
    allowed = np.zeros(len(found.addresses), np.bool_)
    ids = found.addresses.ids_of(sources)
    allowed[ids[ids >= 0]] = True
    return found.select(allowed[found.party])


def _minted(held: Mapping[str, Transfers], base: Addresses, distributors: Collection[str]) -> Flows:
    rows = []
    for token, moved in held.items():
        ids = moved.addresses.ids_of(distributors)
        for at in np.flatnonzero(moved.mints & np.isin(moved.target, ids[ids > 0])).tolist():
            target = moved.addresses[int(moved.target[at])]
            where = int(moved.block[at]), int(moved.time[at]), int(moved.tx[at]), int(moved.log[at])
            rows.append((Row(*where, ZERO, target, moved.amount[at]), token))
    return flows_of_rows(rows, tuple(held), base, into=True)


def _insiders(view: View, payments: Flows, further: Collection[str] = ()) -> NDArray[np.bool_]:
    people = view.subject.people
    inside = {
        *further,
        *people.team,
        *people.treasury,
        *([people.deployer] if people.deployer else []),
    }
    inside |= {each for each, label in view.subject.labels.items() if label in _INSIDERS}
    ids = payments.addresses.ids_of(inside)
    # A wallet that belongs to the team by evidence pays as the team.
    owners = entities_by_id(view, ids[ids > 0])
    return np.isin(entities_by_id(view, payments.party), owners)


def _launched(view: View) -> int:
    stated = view.subject.launched
    if stated is not None:
        return int(datetime(stated.year, stated.month, stated.day, tzinfo=UTC).timestamp())
    moved = view.transfers
    return int(moved.time[0]) if len(moved) else view.head.time
