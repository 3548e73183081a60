"""What stands in the log: each accepted voucher and each answered call, as msgpack.

An entry is an array whose first element names its kind and version. A version that was released
never changes; a new one gets a new name. Amounts and ids that may exceed 64 bits are big-endian
bytes. A receipt stands here without its signature: that is the batch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from tessera.errors import DataError
from tessera.payments.header import SignedReceipt
from tessera.payments.receipting import proved, vouched
from tessera.spec.signatures import Domain
from tessera.spec.vouchers import Receipt, SignedVoucher, receipt_digest
from tessera.storage.batches import Seal

__all__ = [
    "CALL_KEY_BYTES",
    "ID_BYTES",
    "ChargeEntry",
    "Entry",
    "VoucherEntry",
    "call_key",
    "charge_entry",
    "check_charge",
    "read_batch",
    "receipt_of",
    "signed_receipt",
    "voucher_entry",
]

_ASSET_BYTES: Final = 32
_AMOUNT_BYTES: Final = 12
CALL_KEY_BYTES: Final = 24
ID_BYTES: Final = 16
"""So much of a receipt's digest finds it; whoever asks compares the rest."""


class VoucherEntry(msgspec.Struct, frozen=True, array_like=True, tag="V1", gc=False):
    """A voucher that a call was answered on, and who asked first.

    Attributes
    ----------
    channel, lines, signature
        The voucher; each line is asset, terms, maximum.
    call
        The name of the call that brought it.
    at
        Unix seconds.
    """

    channel: int
    lines: tuple[tuple[bytes, int, bytes], ...]
    signature: bytes
    call: bytes
    at: int


class ChargeEntry(msgspec.Struct, frozen=True, array_like=True, tag="C1", gc=False):
    """A call that was answered: its receipt, and what it cost.

    Attributes
    ----------
    id
        The first half of the receipt's digest.
    channel, asset, version, terms, charged, request, response, units, time, identity
        As in the receipt.
    cost, call
        What this one call cost, and the consumer's name for it.
    """

    id: bytes
    channel: int
    call: bytes
    asset: bytes
    terms: int
    version: int
    identity: int
    charged: bytes
    cost: bytes
    units: int
    time: int
    request: bytes
    response: bytes


Entry = VoucherEntry | ChargeEntry

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Entry]).decode


def voucher_entry(signed: SignedVoucher, call: str, at: int) -> bytes:
    """Write down a voucher."""
    voucher = signed.voucher
    lines = tuple(
        (asset.to_bytes(_ASSET_BYTES), terms, maximum.to_bytes(_AMOUNT_BYTES))
        for asset, terms, maximum in voucher.lines
    )
    return _encode(VoucherEntry(voucher.channel, lines, signed.signature, bytes.fromhex(call), at))


def charge_entry(digest: bytes, receipt: Receipt, cost: int, call: str) -> bytes:
    """Write down an answered call.

    Parameters
    ----------
    digest
        The receipt's.
    receipt, cost, call
        As in `SignedReceipt`.
    """
    return _encode(
        ChargeEntry(
            digest[:ID_BYTES],
            receipt.channel,
            bytes.fromhex(call),
            receipt.asset.to_bytes(_ASSET_BYTES),
            receipt.terms,
            receipt.version,
            receipt.identity,
            receipt.charged.to_bytes(_AMOUNT_BYTES),
            cost.to_bytes(_AMOUNT_BYTES),
            receipt.units,
            receipt.time,
            receipt.request,
            receipt.response,
        )
    )


def read_batch(body: bytes) -> list[Entry]:
    """Read a batch of the log.

    Raises
    ------
    DataError
        It is damaged, or has entries of a newer program.
    """
    try:
        return _decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(
            "books: log",
            found=str(error),
            wanted="entries that this version knows",
            next_step="use the newer Tessera that wrote them, or a sound copy of the books",
        ) from error


def check_charge(entry: ChargeEntry, domain: Domain) -> None:
    """See that a receipt is what it is named after.

    Raises
    ------
    DataError
        A bit of it changed on the disk.
    """
    try:
        sound = receipt_digest(domain, receipt_of(entry))[:ID_BYTES] == entry.id
    except OverflowError:
        sound = False
    if not sound:
        raise DataError(
            "books: log",
            found=f"a receipt of channel {entry.channel} that is not what was written",
            wanted="what was signed",
            next_step="use a sound copy of the books",
        )


def call_key(channel: int, call: bytes) -> bytes:
    """Return what a call is found by: `CALL_KEY_BYTES` bytes."""
    return channel.to_bytes(8) + call


def signed_receipt(
    entries: Sequence[Entry], place: int, domain: Domain, seal: Seal
) -> SignedReceipt:
    """Return the receipt that stands at a place of a batch.

    Parameters
    ----------
    domain
        Chain and Channels contract that receipts are signed for.
    seal
        Of the batch, as it was kept.
    """
    entry = entries[place]
    if not isinstance(entry, ChargeEntry):
        raise DataError("books: log", found="another entry", wanted=f"a receipt at {place}")
    charges = [found for found in entries if isinstance(found, ChargeEntry)]
    if seal.root is not None:
        seal = proved(domain, seal, [receipt_digest(domain, receipt_of(one)) for one in charges])
    index = sum(isinstance(found, ChargeEntry) for found in entries[:place])
    signature, proof = vouched(seal, index)
    cost, call = int.from_bytes(entry.cost), entry.call.hex()
    return SignedReceipt(receipt_of(entry), signature, cost, call, proof)


def receipt_of(entry: ChargeEntry) -> Receipt:
    """Return what was signed."""
    return Receipt(
        channel=entry.channel,
        asset=int.from_bytes(entry.asset),
        version=entry.version,
        terms=entry.terms,
        charged=int.from_bytes(entry.charged),
        request=entry.request,
        response=entry.response,
        units=entry.units,
        time=entry.time,
        identity=entry.identity,
    )
