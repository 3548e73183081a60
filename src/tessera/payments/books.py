"""An operator's books in the database: rows in, rows out, and the log copied into rows.

Accepted vouchers and answered calls are entries of the log (`payments.entries`); `fold` copies
what a search needs of them into tables. What happens rarely is written as rows at once, in the
transaction of its batch.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Table, case, func, select, tuple_
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import Insert, insert

from tessera.errors import DataError, WrongChain
from tessera.payments import entries
from tessera.payments.account import Account, LineBook
from tessera.payments.header import SignedReceipt
from tessera.payments.ports import ChannelView, OrderProof
from tessera.spec.signatures import Address, Domain, address_text
from tessera.spec.vouchers import Line, SignedVoucher, TillKey, Voucher
from tessera.storage import schema
from tessera.storage.batches import Seal

if TYPE_CHECKING:
    from tessera.payments.rights import SignedUse

__all__ = [
    "DONE",
    "FAILED",
    "OPEN",
    "Change",
    "KeptOrder",
    "LogWriter",
    "channel_change",
    "claim_domain",
    "fold",
    "index_batch",
    "line_change",
    "load_account",
    "load_answered",
    "load_costs",
    "load_latest_receipts",
    "load_order",
    "load_owing",
    "load_proofs",
    "load_receipt",
    "load_receipt_of_call",
    "load_unsettled",
    "load_vouchers",
    "order_change",
    "proof_change",
    "use_change",
    "voucher_change",
    "write_changes",
]

OPEN: Final = 0
DONE: Final = 1
FAILED: Final = 2
"""States of a use of an order."""

_TO_PROVE: Final = 0

Change = tuple[Table, dict[str, Any]]
"""A row to insert, or to put in place of the one with the same key."""


class LogWriter:
    """What the log of an operator's books leaves to who knows the books.

    Parameters
    ----------
    seal
        Vouches for the receipts of a batch.
    """

    def __init__(self, seal: Callable[[Sequence[bytes]], Seal]) -> None:
        self._seal = seal

    def write(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Write rows inside a batch's transaction."""
        write_changes(connection, changes)

    def seal(self, leaves: Sequence[bytes]) -> Seal:
        """Vouch for receipts."""
        return self._seal(leaves)

    def fold(self, connection: Connection, most: int) -> int:
        """Copy entries into the tables that are searched."""
        return fold(connection, most)


def write_changes(connection: Connection, changes: Sequence[Change]) -> None:
    """Write a batch of rows; of several states of one row only the last is written."""
    rows: dict[str, dict[object, dict[str, Any]]] = {}
    for table, row in changes:
        key = tuple(row[column.name] for column in table.primary_key)
        rows.setdefault(table.name, {})[key] = row
    for name, found in rows.items():
        connection.execute(_upsert(name, connection.dialect.name), list(found.values()))


@functools.cache
def _upsert(name: str, dialect: str) -> Insert | PostgresInsert:
    table = schema.METADATA.tables[name]
    statement = insert(table) if dialect == "sqlite" else postgres_insert(table)
    keys = [column.name for column in table.primary_key]
    others: dict[str, Any] = {
        c.name: statement.excluded[c.name] for c in table.c if c.name not in keys
    }
    if table is schema.lines:
        # What was charged stays charged, even if another gateway knows of more.
        others["charged"] = _higher(statement.excluded.charged)
    return statement.on_conflict_do_update(index_elements=keys, set_=others)


def _higher(charged: ColumnElement[int]) -> ColumnElement[int]:
    """Of digits: those of the same number of places are in the order of their numbers."""
    kept = schema.lines.c.charged
    more = tuple_(func.length(charged), charged) > tuple_(func.length(kept), kept)
    return case((more, charged), else_=kept)


def index_batch(connection: Connection, n: int, written: Sequence[entries.Entry]) -> None:
    """Write into the tables of shared books what a search needs of a batch, as `fold` does."""
    changes: list[Change] = []
    totals: dict[tuple[int, bytes, int], dict[str, Any]] = {}
    for place, entry in enumerate(written):
        if not isinstance(entry, entries.ChargeEntry):
            continue
        at = {"batch": n, "place": place}
        key = entries.call_key(entry.channel, entry.call)
        changes.append((schema.receipt_places, {"id": entry.id, **at}))
        changes.append((schema.call_places, {"call": key, **at}))
        if entry.channel:
            line = {
                "channel": entry.channel,
                "asset": int.from_bytes(entry.asset),
                "terms": entry.terms,
            }
            changes.append((schema.line_places, {**line, **at}))
            total = {"charged": int.from_bytes(entry.charged), "settled": 0, "cap": 0, "expires": 0}
            totals[entry.channel, entry.asset, entry.terms] = {**line, **total}
    if totals:
        connection.execute(_raise_line(), list(totals.values()))
    write_changes(connection, changes)


@functools.cache
def _raise_line() -> PostgresInsert:
    statement = postgres_insert(schema.lines)
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in schema.lines.primary_key],
        set_={"charged": _higher(statement.excluded.charged)},
    )


_CHECKPOINT: Final = (
    "INSERT INTO checkpoint (id, n) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET n = excluded.n"
)
_FOLD_VOUCHER: Final = (
    "INSERT INTO vouchers (channel, lines, signature, accepted_at) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (channel) DO UPDATE SET lines = excluded.lines, "
    "signature = excluded.signature, accepted_at = excluded.accepted_at"
)
# Digits of the same number of places are in the order of their numbers.
_FOLD_LINE: Final = (
    "INSERT INTO lines (channel, asset, terms, charged, settled, cap, expires) "
    "VALUES (?, ?, ?, ?, '0', '0', 0) "
    "ON CONFLICT (channel, asset, terms) DO UPDATE SET charged = excluded.charged "
    "WHERE (length(excluded.charged), excluded.charged) > (length(charged), charged)"
)
_FOLD_LINE_PLACE: Final = (
    "INSERT OR REPLACE INTO line_places (channel, asset, terms, batch, place) "
    "VALUES (?, ?, ?, ?, ?)"
)
# All rows by one statement, which works without the interpreter: a step for each row would let go
# of it and ask for it back as often, while the event loop holds it.
_FOLD_PLACES: Final = (
    "INSERT OR REPLACE INTO {table} ({column}, batch, place) "
    "SELECT substr(?, key * {size} + 1, {size}), value >> 32, value & 0xffffffff FROM json_each(?)"
)
_FOLD_RECEIPTS: Final = _FOLD_PLACES.format(
    table="receipt_places", column="id", size=entries.ID_BYTES
)
_FOLD_CALLS: Final = _FOLD_PLACES.format(
    table="call_places", column="call", size=entries.CALL_KEY_BYTES
)


def fold(connection: Connection, most: int, domain: Domain | None = None) -> int:
    """Copy entries of the log that were not copied yet into the tables that are searched.

    Whoever does it, and however often, comes to the same: it begins behind the checkpoint and
    moves it in the same transaction.

    Parameters
    ----------
    most
        It ends behind the batch that brings it to so many.
    domain
        What receipts are signed for: each is held against its name then. None believes what this
        process wrote itself.

    Returns
    -------
    int
        How many entries were copied.

    Raises
    ------
    DataError
        An entry cannot be read, or is not what was written.
    """
    at = schema.batches.c
    done = connection.execute(select(schema.checkpoint.c.n)).scalar_one_or_none() or 0
    vouchers: dict[int, tuple[object, ...]] = {}
    charged: dict[tuple[int, bytes, int], tuple[bytes, int, int]] = {}
    receipts: list[tuple[bytes, int]] = []
    calls: list[tuple[bytes, int]] = []
    copied = 0
    query = select(at.n, at.body).where(at.n > done).order_by(at.n)
    result = connection.execute(query)
    for n, body in result:
        for place, entry in enumerate(entries.read_batch(body)):
            copied += 1
            if isinstance(entry, entries.VoucherEntry):
                vouchers[entry.channel] = _voucher_row(entry)
                continue
            if domain is not None:
                entries.check_charge(entry, domain)
            at_place = n << 32 | place
            receipts.append((entry.id, at_place))
            calls.append((entries.call_key(entry.channel, entry.call), at_place))
            if entry.channel:
                charged[entry.channel, entry.asset, entry.terms] = (entry.charged, n, place)
        done = n
        if copied >= most:
            break
    result.close()
    if not copied:
        return 0
    lines = [
        ((str(channel), str(int.from_bytes(asset)), terms), *state)
        for (channel, asset, terms), state in charged.items()
    ]
    for statement, rows in (
        (_FOLD_VOUCHER, list(vouchers.values())),
        (_FOLD_LINE, [(*key, str(int.from_bytes(total))) for key, total, *_ in lines]),
        (_FOLD_LINE_PLACE, [(*key, n, place) for key, _, n, place in lines]),
        (_FOLD_RECEIPTS, _places(receipts)),
        (_FOLD_CALLS, _places(calls)),
        (_CHECKPOINT, [(done,)]),
    ):
        if rows:
            connection.exec_driver_sql(statement, rows)
    return copied


def _places(found: list[tuple[bytes, int]]) -> list[tuple[bytes, str]]:
    # In the order of their keys, which is the order in which the tables keep them.
    found.sort()
    keys = b"".join([key for key, _ in found])
    return [(keys, msgspec.json.encode([at for _, at in found]).decode())]


def _voucher_row(entry: entries.VoucherEntry) -> tuple[object, ...]:
    lines = [
        (str(int.from_bytes(asset)), terms, str(int.from_bytes(maximum)))
        for asset, terms, maximum in entry.lines
    ]
    return str(entry.channel), msgspec.json.encode(lines).decode(), entry.signature, entry.at


def channel_change(channel: int, view: ChannelView) -> Change:
    """Remember what the chain said about a channel."""
    return schema.channels, {
        "channel": channel,
        "payer": view.payer,
        "signer": view.signer,
        "restricted": view.restricted,
        "balance": view.balance,
        "available_at": view.available_at,
    }


def voucher_change(signed: SignedVoucher, now: int) -> Change:
    """Remember in shared books the voucher that a channel's calls are answered on."""
    lines = [(str(line.asset), line.terms, str(line.maximum)) for line in signed.voucher.lines]
    return schema.vouchers, {
        "channel": signed.voucher.channel,
        "lines": msgspec.json.encode(lines).decode(),
        "signature": signed.signature,
        "accepted_at": now,
    }


def line_change(channel: int, key: TillKey, line: LineBook) -> Change:
    """Remember what a line was charged and how much of it is settled."""
    return schema.lines, {
        "channel": channel,
        "asset": key.asset,
        "terms": key.terms,
        "charged": line.charged,
        "settled": line.settled,
        "cap": line.cap,
        "expires": line.expires,
    }


def claim_domain(connection: Connection, domain: Domain, operator: Address) -> None:
    """Bind new books to a chain, a contract and an operator, or check that they are bound so.

    Raises
    ------
    WrongChain
        They hold somebody else's signatures; none of them would count here.
    """
    row = connection.execute(select(schema.domain)).one_or_none()
    if row is None:
        ours = insert if connection.dialect.name == "sqlite" else postgres_insert
        connection.execute(
            ours(schema.domain)
            .values(id=1, chain_id=domain.chain_id, contract=domain.contract, operator=operator)
            # Of two gateways that begin together one is first.
            .on_conflict_do_nothing()
        )
        row = connection.execute(select(schema.domain)).one()
    if (row.chain_id, row.contract, row.operator) != (domain.chain_id, domain.contract, operator):
        raise WrongChain(
            "books",
            found=f"chain {row.chain_id}, Channels {address_text(row.contract)}, "
            f"operator {address_text(row.operator)}",
            wanted=f"chain {domain.chain_id}, Channels {address_text(domain.contract)}, "
            f"operator {address_text(operator)}",
            next_step="use the data folder that belongs to this chain, or a new one",
        )


def load_account(connection: Connection, channel: int) -> Account:
    """Read all that is known about a channel; an empty account where that is nothing."""
    return _accounts(connection, lambda column: column == channel).get(channel, Account(channel))


def load_owing(connection: Connection) -> list[Account]:
    """Read every channel with something charged that the chain does not have, in ascending order.

    In three queries, however many there are: a gateway begins with them.
    """
    line = schema.lines.c
    owing = select(line.channel).where(line.charged != line.settled)
    found = _accounts(connection, lambda column: column.in_(owing))
    return [found[channel] for channel in sorted(found)]


def _accounts(
    connection: Connection, wanted: Callable[[ColumnElement[int]], ColumnElement[bool]]
) -> dict[int, Account]:
    made: dict[int, Account] = {}

    def rows(table: Table) -> Iterable[tuple[Account, Row[Any]]]:
        for row in connection.execute(select(table).where(wanted(table.c.channel))):
            yield made.setdefault(row.channel, Account(row.channel)), row

    for account, row in rows(schema.channels):
        account.chain = ChannelView(
            Address(row.payer), Address(row.signer), row.restricted, row.balance, row.available_at
        )
    for account, row in rows(schema.vouchers):
        account.voucher = _voucher(row)
    for account, row in rows(schema.lines):
        account.lines[TillKey(row.asset, row.terms)] = LineBook(
            row.charged, row.settled, row.cap, row.expires
        )
    return made


def load_vouchers(connection: Connection, channels: Sequence[int]) -> dict[int, SignedVoucher]:
    """Read the vouchers that are kept of some channels."""
    query = select(schema.vouchers).where(schema.vouchers.c.channel.in_(channels))
    return {row.channel: _voucher(row) for row in connection.execute(query)}


def load_unsettled(
    connection: Connection,
) -> list[tuple[SignedVoucher, dict[TillKey, int], int]]:
    """Read of each unsettled channel its voucher, the charges it covers, and what is due.

    In ascending order, and in two queries however many there are: who reads holds up who writes.
    """
    line = schema.lines.c
    unsettled = line.charged != line.settled
    lines: dict[int, list[Row[Any]]] = {}
    for row in connection.execute(select(schema.lines).where(unsettled)):
        lines.setdefault(row.channel, []).append(row)
    channels = select(line.channel).where(unsettled)
    query = select(schema.vouchers).where(schema.vouchers.c.channel.in_(channels))
    found = []
    for kept in connection.execute(query):
        rows = lines[kept.channel]
        charged = {
            TillKey(row.asset, row.terms): row.charged for row in rows if row.charged > row.settled
        }
        if charged:
            due = sum(row.charged - row.settled for row in rows)
            found.append((_voucher(kept), charged, due))
    return sorted(found, key=lambda claim: claim[0].voucher.channel)


def load_receipt(connection: Connection, name: str) -> SignedReceipt | None:
    """Read one receipt by its id."""
    wanted = bytes.fromhex(name)
    at = schema.receipt_places.c
    place = connection.execute(
        select(at.batch, at.place).where(at.id == wanted[: entries.ID_BYTES])
    ).one_or_none()
    return None if place is None else _in_log(connection, place.batch, place.place)


def load_receipt_of_call(connection: Connection, channel: int, call: str) -> SignedReceipt | None:
    """Read the receipt of the call that a consumer named so; the latest, if he named two so."""
    at = schema.call_places.c
    key = entries.call_key(channel, bytes.fromhex(call))
    place = connection.execute(select(at.batch, at.place).where(at.call == key)).one_or_none()
    # Shared books keep the names of calls that failed, with no batch.
    if place is None or not place.batch:
        return None
    return _in_log(connection, place.batch, place.place)


def load_latest_receipts(connection: Connection, channel: int) -> list[SignedReceipt]:
    """Read of each line the receipt whose charge is what the line was charged."""
    line, at = schema.lines.c, schema.line_places.c
    found: list[SignedReceipt] = []
    for row in connection.execute(select(schema.lines).where(line.channel == channel)).all():
        place = connection.execute(
            select(at.batch, at.place).where(
                at.channel == channel, at.asset == row.asset, at.terms == row.terms
            )
        ).one_or_none()
        if place is None:
            continue
        latest = _in_log(connection, place.batch, place.place)
        # What the chain has and these books do not was charged by books that are lost.
        if latest.receipt.charged == row.charged:
            found.append(latest)
    return found


def load_costs(connection: Connection) -> dict[int, int]:
    """Return what all calls of each channel cost together, from every receipt that is kept.

    It is what the channel's lines were charged: a check for whoever doubts the books.
    """
    costs: Counter[int] = Counter()
    for body in connection.execute(select(schema.batches.c.body)).scalars():
        for entry in entries.read_batch(body):
            if isinstance(entry, entries.ChargeEntry):
                costs[entry.channel] += int.from_bytes(entry.cost)
    return dict(costs)


def load_answered(connection: Connection, most: int) -> list[tuple[int, str]]:
    """Return (channel, name) of the latest calls that channels paid for, oldest first."""
    found: list[tuple[int, str]] = []
    query = select(schema.batches.c.body).order_by(schema.batches.c.n.desc())
    for body in connection.execute(query).scalars():
        batch = entries.read_batch(body)
        found += [(entry.channel, entry.call.hex()) for entry in reversed(batch) if entry.channel]
        if len(found) >= most:
            break
    return found[:most][::-1]


def _in_log(connection: Connection, batch: int, place: int) -> SignedReceipt:
    at = schema.batches.c
    row = connection.execute(select(at.body, at.root, at.signature).where(at.n == batch)).one()
    bound = connection.execute(select(schema.domain)).one()
    domain = Domain(bound.chain_id, Address(bound.contract))
    seal = Seal(row.root, row.signature)
    return entries.signed_receipt(entries.read_batch(row.body), place, domain, seal)


def _voucher(row: Row[Any]) -> SignedVoucher:
    try:
        lines = msgspec.json.decode(row.lines, type=list[tuple[str, int, str]])
    except msgspec.MsgspecError as error:
        raise DataError(
            f"books: voucher of channel {row.channel}", found=str(error), wanted="its lines"
        ) from error
    voucher = Voucher(
        row.channel,
        tuple(Line(int(asset), terms, int(maximum)) for asset, terms, maximum in lines),
    )
    return SignedVoucher(voucher, row.signature)


# --- Orders of Access -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """What the books know of an order.

    Attributes
    ----------
    done
        Calls that were answered.
    open
        Names of calls that were begun and never ended.
    names
        Names whose requests could still be repeated, with their deadlines.
    proof
        Whether a use is kept that proves its service.
    """

    done: int
    open: frozenset[str]
    names: dict[str, int]
    proof: bool


def use_change(
    use: SignedUse, signer: Address, response: bytes | None, state: int, now: int
) -> Change:
    """Remember a use of an order."""
    return schema.order_uses, {
        "access": use.access,
        "order": use.order,
        "call": use.name,
        "request": use.body,
        "deadline": use.deadline,
        "signature": use.signature,
        "signer": signer,
        "response": response,
        "state": state,
        "time": now,
    }


def order_change(access: Address, order: int, serve_by: int) -> Change:
    """Remember that an order was served and is to be proved."""
    return schema.orders, {
        "access": access,
        "order": order,
        "serve_by": serve_by,
        "proof": _TO_PROVE,
        "tx_hash": "",
    }


def proof_change(proof: OrderProof, *, counted: bool, tx_hash: str) -> Change:
    """Remember what the chain made of a proof."""
    return schema.orders, {
        "access": proof.access,
        "order": proof.order,
        "serve_by": proof.serve_by,
        "proof": 1 if counted else 2,
        "tx_hash": tx_hash,
    }


def load_order(connection: Connection, access: Address, order: int, now: int) -> KeptOrder:
    """Read what is known of an order."""
    uses, rows = schema.order_uses.c, schema.orders.c
    of_it = (uses.access == access, uses.order == order)
    done = connection.execute(
        select(func.count()).select_from(schema.order_uses).where(*of_it, uses.state == DONE)
    ).scalar_one()
    begun = connection.execute(select(uses.call).where(*of_it, uses.state == OPEN)).scalars()
    names = connection.execute(
        select(uses.call, uses.deadline).where(*of_it, uses.deadline >= now)
    ).all()
    kept = connection.execute(
        select(rows.order).where(rows.access == access, rows.order == order)
    ).all()
    return KeptOrder(
        done, frozenset(begun), {row.call: row.deadline for row in names}, proof=bool(kept)
    )


def load_proofs(connection: Connection) -> list[OrderProof]:
    """Read of each order that is to be proved its first answered use, the most urgent first."""
    uses, rows = schema.order_uses.c, schema.orders.c
    found: list[OrderProof] = []
    waiting = select(schema.orders).where(rows.proof == _TO_PROVE).order_by(rows.serve_by)
    for row in connection.execute(waiting).all():
        first = connection.execute(
            select(schema.order_uses)
            .where(uses.access == row.access, uses.order == row.order, uses.state == DONE)
            .order_by(uses.time, uses.call)
            .limit(1)
        ).one()
        found.append(
            OrderProof(
                access=Address(row.access),
                order=row.order,
                call=bytes.fromhex(first.call),
                request=first.request,
                deadline=first.deadline,
                signature=first.signature,
                response=first.response,
                serve_by=row.serve_by,
            )
        )
    return found
