"""x402's part of an operator's books: rows in, rows out."""

from __future__ import annotations

import enum
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, Select, Table, select

from tessera.errors import DataError
from tessera.payments.x402.book import ChannelBook, ChannelState, KeptVoucher
from tessera.spec.signatures import Address
from tessera.spec.vouchers import TillKey
from tessera.spec.x402_digests import ChannelConfig
from tessera.storage import schema

__all__ = [
    "KeptPayment",
    "Kind",
    "State",
    "channel_change",
    "load_channel",
    "load_due",
    "load_payment",
    "load_tills",
    "payment_change",
]

_ADDRESS: Final = 20
_DELAY_BYTES: Final = 5
_AMOUNT_BYTES: Final = 16
_CONFIG_BYTES: Final = 5 * _ADDRESS + _DELAY_BYTES + 32


class Kind(enum.IntEnum):
    """What an authorization was for."""

    DEPOSIT = 0
    EXACT = 1


class State(enum.IntEnum):
    """How far its transaction came."""

    INTENDED = 0
    """It may have been sent; the chain knows."""
    DONE = 1
    REFUSED = 2


class KeptPayment(NamedTuple):
    """A transaction that a payment asked for.

    Attributes
    ----------
    nonce
        Of its authorization: 32 bytes.
    kind, state
        What for, and how far it came.
    payer, asset, terms, amount
        Who pays how much for what; base units.
    tx
        The transaction where it is known, else "".
    request
        Keccak-256 of the body that it pays for.
    time
        When it was written down, unix seconds.
    """

    nonce: bytes
    kind: Kind
    state: State
    payer: Address
    asset: int
    terms: int
    amount: int
    tx: str
    request: bytes
    time: int


def channel_change(book: ChannelBook) -> tuple[Table, dict[str, Any]]:
    """Remember a channel as it stands."""
    return schema.x402_channels, {
        "id": book.id,
        "config": b"".join(book.config[:5])
        + book.config.withdraw_delay.to_bytes(_DELAY_BYTES, "big")
        + book.config.salt,
        "balance": book.chain.balance,
        "claimed": book.chain.claimed,
        "withdraw_at": book.chain.withdraw_at,
        "refund_nonce": book.chain.refund_nonce,
        "charged": book.charged,
        "asset": book.asset,
        "terms": book.terms,
        "vouchers": msgspec.msgpack.encode(
            [(v.maximum.to_bytes(_AMOUNT_BYTES, "big"), v.signature) for v in book.vouchers]
        ),
        "published": msgspec.msgpack.encode(
            [maximum.to_bytes(_AMOUNT_BYTES, "big") for maximum in sorted(book.published)]
        ),
    }


def load_channel(connection: Connection, channel: bytes) -> ChannelBook | None:
    """Read a channel; None where it was never charged nor announced anything."""
    query = select(schema.x402_channels).where(schema.x402_channels.c.id == channel)
    found = _books(connection, query)
    return found[0] if found else None


def load_due(connection: Connection) -> list[ChannelBook]:
    """Read every channel that was charged more than is claimed."""
    row = schema.x402_channels.c
    query = select(schema.x402_channels).where(row.charged != row.claimed).order_by(row.id)
    return [book for book in _books(connection, query) if book.due]


def load_tills(connection: Connection) -> dict[TillKey, Address]:
    """Read whose Tills channels have ever paid."""
    row = schema.x402_channels.c
    query = select(row.asset, row.terms, row.config).distinct()
    return {
        TillKey(asset, terms): Address(config[2 * _ADDRESS : 3 * _ADDRESS])
        for asset, terms, config in connection.execute(query).all()
    }


def payment_change(payment: KeptPayment) -> tuple[Table, dict[str, Any]]:
    """Remember a transaction that a payment asks for."""
    return schema.x402_payments, {
        "nonce": payment.nonce,
        "kind": int(payment.kind),
        "state": int(payment.state),
        "payer": payment.payer,
        "asset": payment.asset,
        "terms": payment.terms,
        "amount": payment.amount,
        "tx": payment.tx,
        "body": payment.request,
        "time": payment.time,
    }


def load_payment(connection: Connection, nonce: bytes) -> KeptPayment | None:
    """Read what became of an authorization; None where nobody asked for it."""
    query = select(schema.x402_payments).where(schema.x402_payments.c.nonce == nonce)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return KeptPayment(
        row.nonce,
        Kind(row.kind),
        State(row.state),
        Address(row.payer),
        row.asset,
        row.terms,
        row.amount,
        row.tx,
        row.body or b"",
        row.time,
    )


def _books(connection: Connection, query: Select[Any]) -> list[ChannelBook]:
    return [_book(row) for row in connection.execute(query).all()]


def _book(row: Row[Any]) -> ChannelBook:
    raw: bytes = row.config
    try:
        vouchers = msgspec.msgpack.decode(row.vouchers, type=list[tuple[bytes, bytes]])
        published = msgspec.msgpack.decode(row.published, type=list[bytes])
        if len(raw) != _CONFIG_BYTES:
            raise ValueError(f"{len(raw)} bytes of terms")
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(
            f"books: x402 channel 0x{row.id.hex()}", found=str(error), wanted="a sound row"
        ) from error
    payer, authorizer, receiver, ours, token = (
        Address(raw[at : at + _ADDRESS]) for at in range(0, 5 * _ADDRESS, _ADDRESS)
    )
    delay = int.from_bytes(raw[5 * _ADDRESS : -32], "big")
    return ChannelBook(
        id=row.id,
        config=ChannelConfig(payer, authorizer, receiver, ours, token, delay, raw[-32:]),
        asset=row.asset,
        terms=row.terms,
        chain=ChannelState(row.balance, row.claimed, row.withdraw_at, row.refund_nonce),
        charged=row.charged,
        vouchers=tuple(KeptVoucher(int.from_bytes(m, "big"), bytes(s)) for m, s in vouchers),
        published=frozenset(int.from_bytes(maximum, "big") for maximum in published),
    )
