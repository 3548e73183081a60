"""Money that moved between users, a project and its holders, as columns over all currencies."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.results import DAY_S, Window
from tessera.facts import ABSENT, ZERO_ID, Addresses, Amounts, Calls, Row, Transfers

__all__ = [
    "ENTRY_POINTS",
    "REFUND_S",
    "Flows",
    "Refund",
    "as_transfers",
    "flows_between",
    "flows_of_rows",
    "refunds",
    "with_payers",
]

REFUND_S: Final = 7 * DAY_S
"""What goes back to a payer within this time was no fee."""

ENTRY_POINTS: Final = (
    "0x5ff137d4b0fdcd49dca30c7cf57e578a026d2789",
    "0x0000000071727de22e5e9d8baf0edac6f37da032",
    "0x4337084d9e255ff0702461cf8895ce9e3b5ff108",
)
"""ERC-4337's entry points 0.6, 0.7 and 0.8, the same on every chain: they pay for others."""


@dataclass(frozen=True, eq=False)
class Flows:
    """Movements in the order of the chain.

    Attributes
    ----------
    currencies
        Addresses of the tokens, lower case.
    addresses
        What the ids mean.
    block, time
        int64 of shape (n,).
    tx, log
        int32 of shape (n,). (block, log) names a transfer of a currency.
    party
        int32 of shape (n,): id of who paid, or was paid; `ABSENT` where nobody can say.
    other
        int32 of shape (n,): id of the project's side.
    currency
        int16 of shape (n,): index into `currencies`.
    amount
        n amounts in base units, each of its currency.
    """

    currencies: tuple[str, ...]
    addresses: Addresses
    block: NDArray[np.int64]
    time: NDArray[np.int64]
    tx: NDArray[np.int32]
    log: NDArray[np.int32]
    party: NDArray[np.int32]
    other: NDArray[np.int32]
    currency: NDArray[np.int16]
    amount: Amounts

    def __len__(self) -> int:
        return len(self.block)

    def select(self, chosen: NDArray[np.bool_] | slice) -> Flows:
        """Return the rows of a mask or of a slice, in the same order and with the same ids."""
        return Flows(
            self.currencies,
            self.addresses,
            self.block[chosen],
            self.time[chosen],
            self.tx[chosen],
            self.log[chosen],
            self.party[chosen],
            self.other[chosen],
            self.currency[chosen],
            self.amount[chosen],
        )

    def rows_within(self, window: Window) -> slice:
        """Return which rows lie within a window."""
        first, last = np.searchsorted(self.time, [window.start, window.end], side="left")
        return slice(int(first), int(last))

    def within(self, window: Window) -> Flows:
        """Return what moved within a window."""
        return self.select(self.rows_within(window))

    def totals(self) -> dict[str, int]:
        """Return the exact sum in each currency, base units; all currencies are named."""
        sums = self.amount.totals_by(self.currency, len(self.currencies))
        return dict(zip(self.currencies, sums, strict=True))

    def digest(self) -> str:
        """Return what these movements are, as SHA-256; it hangs on no id."""
        said = hashlib.sha256(b"tessera flows 1\0" + " ".join(self.currencies).encode())
        for column in (self.block, self.time, self.tx, self.log, self.currency):
            said.update(column.astype("<i8").tobytes())
        for ids in (self.party, self.other):
            table = np.vstack([self.addresses.table, np.full((1, 20), 255, np.uint8)])
            said.update(table[ids].tobytes())
        said.update(self.amount.significant().astype("<u8").tobytes())
        return said.hexdigest()


@dataclass(frozen=True, slots=True)
class Refund:
    """Part of a payment that went back: base units of the payment's currency."""

    row: int
    amount: int


def flows_between(
    transfers: Mapping[str, Transfers],
    base: Addresses,
    *,
    sources: Iterable[str] | None = None,
    targets: Iterable[str] | None = None,
    apart: Iterable[str] = (),
) -> Flows:
    """Return what went to some addresses, or from them.

    Parameters
    ----------
    transfers
        By currency, in the order in which results name them.
    base
        Ids of results are this table's, and go on behind it for whom it lacks.
    sources, targets
        One of both: the project's side. What moves within it, what is minted and what is burned is
        none of users' money.
    apart
        Further addresses that are not the other side.
    """
    assert (sources is None) != (targets is None)
    ours = list((sources if targets is None else targets) or ())
    rows: list[tuple[Transfers, NDArray[np.bool_]]] = []
    for moved in transfers.values():
        inside = _mask(moved.addresses, ours)
        beside = _mask(moved.addresses, apart)
        beside[ZERO_ID] = True
        near, far = (
            (moved.target, moved.source) if sources is None else (moved.source, moved.target)
        )
        rows.append((moved, inside[near] & ~inside[far] & ~beside[far]))
    addresses, ids = _joined(base, [moved.addresses for moved, _ in rows])
    parts = []
    for index, ((moved, mask), table) in enumerate(zip(rows, ids, strict=True)):
        kept = moved.select(mask)
        near, far = (kept.target, kept.source) if sources is None else (kept.source, kept.target)
        parts.append((index, kept, table[far], table[near]))
    return _sorted(tuple(transfers), addresses, parts)


def flows_of_rows(
    rows: Sequence[tuple[Row, str]], currencies: tuple[str, ...], base: Addresses, *, into: bool
) -> Flows:
    """Return flows of few rows, each with the currency that it is in.

    Parameters
    ----------
    rows
        An empty address is unknown.
    into
        Whether the project's side is the target.
    """
    known = [address for row, _ in rows for address in (row.source, row.target) if address]
    extra = Addresses.of(known)
    addresses, (ids,) = _joined(base, [extra])
    find = {address: int(ids[at]) for at, address in enumerate(extra)} | {"": ABSENT}

    def side(of_row: Row, *, ours: bool) -> int:
        return find[(of_row.target if ours == into else of_row.source).lower()]

    order = sorted(rows, key=lambda row: (row[0].block, row[0].log))
    return Flows(
        currencies,
        addresses,
        np.array([row.block for row, _ in order], np.int64),
        np.array([row.time for row, _ in order], np.int64),
        np.array([row.tx for row, _ in order], np.int32),
        np.array([row.log for row, _ in order], np.int32),
        np.array([side(row, ours=False) for row, _ in order], np.int32),
        np.array([side(row, ours=True) for row, _ in order], np.int32),
        np.array([currencies.index(token) for _, token in order], np.int16),
        Amounts.of([row.amount for row, _ in order]),
    )


def as_transfers(calls: Calls, token: str) -> Transfers:
    """Return what transactions sent of the chain's own coin, as transfers of a token.

    What contracts sent within a transaction is not there: nobody logs it.
    """
    chosen = calls.ok & calls.value.limbs.any(axis=1) & (calls.to >= 0)
    kept = calls.select(chosen)
    # A transaction's own transfer comes before whatever is logged in it.
    log = np.full(len(kept), -1, np.int32)
    return Transfers(
        token, kept.addresses, kept.block, kept.time, kept.index,
        log, kept.sender, kept.to, kept.value,
    )  # fmt: skip


def with_payers(
    payments: Flows, transfers: Mapping[str, Transfers], relayers: Collection[str]
) -> Flows:
    """Name who is behind a relayer: one who gave it the very same amount in the same transaction.

    Where nobody did, the payer is unknown. A transfer by permit or ERC-3009 needs nothing of this:
    its source is who signed, whoever sent the transaction.

    Parameters
    ----------
    relayers
        Addresses that pay for others.
    """
    hides = _mask(payments.addresses, relayers)
    party = payments.party.copy()
    rows = np.flatnonzero((party >= 0) & hides[np.maximum(party, 0)])
    if not len(rows):
        return payments
    into: dict[str, Flows] = {
        token: flows_between({token: moved}, payments.addresses, targets=relayers)
        for token, moved in transfers.items()
    }
    for row in rows.tolist():
        given = into[payments.currencies[int(payments.currency[row])]]
        first, last = np.searchsorted(given.block, [payments.block[row], payments.block[row] + 1])
        party[row] = ABSENT
        givers = {
            int(given.party[at])
            for at in range(int(first), int(last))
            if given.tx[at] == payments.tx[row]
            and given.log[at] < payments.log[row]
            and given.other[at] == payments.party[row]
            and given.amount[at] == payments.amount[row]
        }
        if len(givers) == 1 and (found := next(iter(givers))) < len(payments.addresses):
            party[row] = found
    return Flows(
        payments.currencies, payments.addresses, payments.block, payments.time, payments.tx,
        payments.log, party, payments.other, payments.currency, payments.amount,
    )  # fmt: skip


def refunds(payments: Flows, returned: Flows) -> list[Refund]:
    """Return what of each payment went back to who had paid it, within `REFUND_S`.

    A refund takes from the payer's newest payments first, and never more than was paid in that
    time: the rest is no refund, but income of the payer's.

    Parameters
    ----------
    returned
        What went from where users pay to who paid, in the same currencies.
    """
    if not len(returned) or not len(payments):
        return []
    # Most payers never get anything back: only those who do are looked at one by one.
    got = payments.addresses.ids_of(returned.addresses.texts(np.unique(returned.party)))
    rows = np.flatnonzero(np.isin(payments.party, got[got > 0]))
    names = dict(zip(rows.tolist(), payments.addresses.texts(payments.party[rows]), strict=True))
    payers, receivers = set(names.values()), returned.addresses.texts(returned.party)
    wanted = [row for row, address in enumerate(receivers) if address in payers]
    open_of: dict[tuple[str, str], list[list[int]]] = {}
    events = sorted(
        [(int(payments.block[row]), int(payments.log[row]), 0, row) for row in names]
        + [(int(returned.block[row]), int(returned.log[row]), 1, row) for row in wanted]
    )
    found: list[Refund] = []
    for _, _, is_back, row in events:
        side = returned if is_back else payments
        who = receivers[row] if is_back else names[row]
        key = (who, side.currencies[int(side.currency[row])])
        stack = open_of.setdefault(key, [])
        if not is_back:
            stack.append([row, payments.amount[row]])
            continue
        left = returned.amount[row]
        while left and stack:
            newest = stack[-1]
            if returned.time[row] - payments.time[newest[0]] >= REFUND_S:
                stack.clear()
                break
            part = min(left, newest[1])
            found.append(Refund(newest[0], part))
            left -= part
            newest[1] -= part
            if not newest[1]:
                stack.pop()
    return found


def _mask(addresses: Addresses, chosen: Iterable[str]) -> NDArray[np.bool_]:
    mask = np.zeros(len(addresses), np.bool_)
    ids = addresses.ids_of(chosen)
    mask[ids[ids >= 0]] = True
    return mask


def _joined(
    base: Addresses, others: Sequence[Addresses]
) -> tuple[Addresses, list[NDArray[np.int32]]]:
    """Return one table, and for each of the others what its ids are there."""
    others = list(others)
    tables = list({id(table): table for table in others if table is not base}.values())
    known = {id(base): np.arange(len(base), dtype=np.int32)}
    known |= {id(table): base.ids_of(table) for table in tables}
    joined = base
    lacking = [table for table in tables if (known[id(table)] < 0).any()]
    if lacking:
        joined = Addresses.of([*base, *(address for table in lacking for address in table)])
        known |= {id(table): joined.ids_of(table) for table in lacking}
    return joined, [known[id(table)] for table in others]


def _sorted(
    currencies: tuple[str, ...],
    addresses: Addresses,
    parts: Sequence[tuple[int, Transfers, NDArray[np.int32], NDArray[np.int32]]],
) -> Flows:
    block = np.concatenate([np.zeros(0, np.int64), *(kept.block for _, kept, _, _ in parts)])
    log = np.concatenate([np.zeros(0, np.int32), *(kept.log for _, kept, _, _ in parts)])
    tx = np.concatenate([np.zeros(0, np.int32), *(kept.tx for _, kept, _, _ in parts)])
    order = np.lexsort((log, tx, block))

    def column(rows: list[NDArray[np.int32]]) -> NDArray[np.int32]:
        return np.concatenate([np.zeros(0, np.int32), *rows])[order]

    index = [np.full(len(kept), at, np.int16) for at, kept, _, _ in parts]
    return Flows(
        currencies,
        addresses,
        block[order],
        np.concatenate([np.zeros(0, np.int64), *(kept.time for _, kept, _, _ in parts)])[order],
        tx[order],
        log[order],
        column([party for _, _, party, _ in parts]),
        column([other for _, _, _, other in parts]),
        np.concatenate([np.zeros(0, np.int16), *index])[order],
        Amounts.joined([kept.amount for _, kept, _, _ in parts])[order],
    )
