"""An operator's books in the database: rows in, rows out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Connection, Row, Table, func, select, text
from sqlalchemy.dialects.sqlite import insert

from tessera.errors import DataError, WrongChain
from tessera.payments.account import Account, LineBook
from tessera.payments.header import SignedReceipt
from tessera.payments.ports import ChannelView, OrderProof, SettleResult
from tessera.spec.signatures import Address, Domain, address_text
from tessera.spec.vouchers import Line, Receipt, SignedVoucher, TillKey, Voucher
from tessera.storage import schema

if TYPE_CHECKING:
    from tessera.payments.rights import SignedUse

__all__ = [
    "DONE",
    "FAILED",
    "OPEN",
    "Change",
    "KeptOrder",
    "channel_change",
    "claim_domain",
    "line_change",
    "load_account",
    "load_answered",
    "load_latest_receipts",
    "load_order",
    "load_proofs",
    "load_receipt",
    "load_receipt_of_call",
    "load_unsettled",
    "order_change",
    "proof_change",
    "receipt_change",
    "settlement_change",
    "unsettled_channels",
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

_ORDER = (
    schema.channels,
    schema.vouchers,
    schema.lines,
    schema.receipts,
    schema.settlements,
    schema.order_uses,
    schema.orders,
)
# A receipt is never replaced. The same id is the same receipt: two free calls in one second.
_APPEND_ONLY = frozenset({schema.receipts.name})


def _statements() -> dict[str, Any]:
    made: dict[str, Any] = {}
    for table in _ORDER:
        statement = insert(table)
        if table.name in _APPEND_ONLY:
            statement = statement.on_conflict_do_nothing()
        else:
            keys = [column.name for column in table.primary_key]
            others = {c.name: statement.excluded[c.name] for c in table.c if c.name not in keys}
            statement = statement.on_conflict_do_update(index_elements=keys, set_=others)
        made[table.name] = statement
    return made


_STATEMENTS = _statements()


def write_changes(connection: Connection, changes: Sequence[Change]) -> None:
    """Write a batch; of several states of one row only the last is written."""
    rows: dict[str, dict[object, dict[str, Any]]] = {table.name: {} for table in _ORDER}
    for table, row in changes:
        key = tuple(row[column.name] for column in table.primary_key)
        rows[table.name][key] = row
    for table in _ORDER:
        if rows[table.name]:
            connection.execute(_STATEMENTS[table.name], list(rows[table.name].values()))


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
    """Remember the voucher that a channel's calls are answered on."""
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


def receipt_change(name: str, signed: SignedReceipt) -> Change:
    """Remember a receipt for ever."""
    receipt = signed.receipt
    return schema.receipts, {
        "id": name,
        "channel": receipt.channel,
        "call": signed.call,
        "asset": receipt.asset,
        "version": receipt.version,
        "terms": receipt.terms,
        "charged": receipt.charged,
        "cost": signed.cost,
        "request": receipt.request,
        "response": receipt.response,
        "units": receipt.units,
        "time": receipt.time,
        "identity": receipt.identity,
        "signature": signed.signature,
    }


def settlement_change(result: SettleResult, vouchers: int, now: int) -> Change:
    """Remember a settlement."""
    skipped = [(str(channel), reason.name) for channel, reason in result.skipped]
    return schema.settlements, {
        "tx_hash": result.tx_hash,
        "block": result.block,
        "settled_at": now,
        "vouchers": vouchers,
        "total": result.total,
        "skipped": msgspec.json.encode(skipped).decode(),
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
        connection.execute(
            insert(schema.domain).values(
                id=1, chain_id=domain.chain_id, contract=domain.contract, operator=operator
            )
        )
        return
    if (row.chain_id, row.contract, row.operator) != (domain.chain_id, domain.contract, operator):
        raise WrongChain(
            "books",
            found=f"chain {row.chain_id}, Channels {address_text(row.contract)}, "
            f"operator {address_text(row.operator)}",
            wanted=f"chain {domain.chain_id}, Channels {address_text(domain.contract)}, "
            f"operator {address_text(operator)}",
            next_step="use the data folder that belongs to this chain, or a new one",
        )


def load_answered(connection: Connection, most: int) -> list[tuple[int, str]]:
    """Return (channel, name) of the latest calls that channels paid for, oldest first."""
    receipts = schema.receipts.c
    found = connection.execute(
        select(receipts.channel, receipts.call)
        .where(receipts.channel != 0)
        .order_by(text("rowid DESC"))
        .limit(most)
    )
    return [(row.channel, row.call) for row in found][::-1]


def load_account(connection: Connection, channel: int) -> Account:
    """Read all that is known about a channel; an empty account where that is nothing."""
    account = Account(channel)
    row = connection.execute(
        select(schema.channels).where(schema.channels.c.channel == channel)
    ).one_or_none()
    if row is not None:
        account.chain = ChannelView(
            Address(row.payer), Address(row.signer), row.restricted, row.balance, row.available_at
        )
    voucher = connection.execute(
        select(schema.vouchers).where(schema.vouchers.c.channel == channel)
    ).one_or_none()
    if voucher is not None:
        account.voucher = _voucher(voucher)
    for line in connection.execute(select(schema.lines).where(schema.lines.c.channel == channel)):
        account.lines[TillKey(line.asset, line.terms)] = LineBook(
            line.charged, line.settled, line.cap, line.expires
        )
    return account


def unsettled_channels(connection: Connection) -> list[int]:
    """Return the channels with something charged that the chain does not have."""
    query = (
        select(schema.lines.c.channel)
        .where(schema.lines.c.charged != schema.lines.c.settled)
        .distinct()
    )
    return sorted(connection.execute(query).scalars())


def load_unsettled(
    connection: Connection,
) -> list[tuple[SignedVoucher, dict[TillKey, int], int]]:
    """Read of each unsettled channel its voucher, the charges it covers, and what is due."""
    found = []
    for channel in unsettled_channels(connection):
        kept = load_account(connection, channel)
        charged = {key: line.charged for key, line in kept.lines.items() if line.due > 0}
        if kept.voucher is not None and charged:
            found.append((kept.voucher, charged, kept.due))
    return found


def load_receipt(connection: Connection, name: str) -> SignedReceipt | None:
    """Read one receipt by its id."""
    return _receipt(
        connection.execute(select(schema.receipts).where(schema.receipts.c.id == name)).all()
    )


def load_receipt_of_call(connection: Connection, channel: int, call: str) -> SignedReceipt | None:
    """Read the receipt of the call that a consumer named so; the latest, if he named two so."""
    return _receipt(
        connection.execute(
            select(schema.receipts)
            .where(schema.receipts.c.channel == channel, schema.receipts.c.call == call)
            .order_by(schema.receipts.c.time.desc())
            .limit(1)
        ).all()
    )


def load_latest_receipts(connection: Connection, channel: int) -> list[SignedReceipt]:
    """Read of each line the receipt whose charge is what the line was charged."""
    line, receipt = schema.lines.c, schema.receipts.c
    found: list[SignedReceipt] = []
    for row in connection.execute(select(schema.lines).where(line.channel == channel)).all():
        query = (
            select(schema.receipts)
            .where(
                receipt.channel == channel,
                receipt.asset == row.asset,
                receipt.terms == row.terms,
                receipt.charged == row.charged,
            )
            .limit(1)
        )
        latest = _receipt(connection.execute(query).all())
        if latest is not None:
            found.append(latest)
    return found


def _receipt(rows: Iterable[Row[Any]]) -> SignedReceipt | None:
    for row in rows:
        receipt = Receipt(
            channel=row.channel,
            asset=row.asset,
            version=row.version,
            terms=row.terms,
            charged=row.charged,
            request=row.request,
            response=row.response,
            units=row.units,
            time=row.time,
            identity=row.identity,
        )
        return SignedReceipt(receipt, row.signature, row.cost, row.call)
    return None


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
