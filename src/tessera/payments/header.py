"""Vouchers and receipts as they travel: in a header, in a body, in the books.

Numbers that a JSON reader could round (channels, assets, amounts) are decimal strings.
"""

from __future__ import annotations

import binascii
from typing import Final

import msgspec

from tessera.errors import InputError, SignatureRejected
from tessera.payments.callmac import MAC_BYTES
from tessera.spec.receipt_batches import MAX_PROOF, signed_digest
from tessera.spec.signatures import (
    SIGNATURE_BYTES,
    Address,
    Domain,
    address_of,
    address_text,
    recover,
)
from tessera.spec.vouchers import (
    MAX_LINES,
    Line,
    Receipt,
    SignedVoucher,
    Voucher,
    receipt_digest,
)

__all__ = [
    "ACCESS_HEADER",
    "CALL_DEADLINE_HEADER",
    "CALL_HEADER",
    "CALL_MAC_HEADER",
    "CALL_SIGNATURE_HEADER",
    "CHARGED_HEADER",
    "COST_HEADER",
    "KEY_SIGNATURE_HEADER",
    "MAX_HEADER_BYTES",
    "ORDER_HEADER",
    "PAYMENT_HEADER",
    "PROOF_HEADER",
    "RECEIPT_HEADER",
    "TERMS_HEADER",
    "USE_HEADER",
    "SignedReceipt",
    "parse_call_deadline",
    "parse_call_id",
    "parse_call_mac",
    "parse_call_signature",
    "parse_order",
    "parse_payment",
    "parse_proof",
    "parse_receipt",
    "parse_terms",
    "payment_header",
    "proof_header",
    "receipt_json",
]

PAYMENT_HEADER: Final = "tessera-payment"
"""On a request: the voucher."""

CALL_HEADER: Final = "tessera-call"
"""On a request: 32 hexadecimal digits that the consumer chose, to ask for the receipt by."""

TERMS_HEADER: Final = "tessera-terms"
"""On a request: under which of the model's terms, where it has others for holders."""

CALL_SIGNATURE_HEADER: Final = "tessera-call-signature"
"""On a paid request: the voucher's signer over channel, call and body; 0x-hex."""

CALL_MAC_HEADER: Final = "tessera-call-mac"
"""In its place: a code over the same by the key that signer and operator share; hex."""

ACCESS_HEADER: Final = "tessera-access"
"""On a request that an order pays for: the product's address."""

ORDER_HEADER: Final = "tessera-order"
"""On such a request: the number of the order."""

CALL_DEADLINE_HEADER: Final = "tessera-call-deadline"
"""On such a request: until when it may be served, unix seconds; signed with it."""

USE_HEADER: Final = "tessera-use"
"""On such a request: what the answer is for beyond inference, such as `commercial`."""

KEY_SIGNATURE_HEADER: Final = "tessera-key-signature"
"""On rules for an API key: its channel's payer over them, 0x-hex."""

RECEIPT_HEADER: Final = "tessera-receipt"
"""On an answer: the receipt's id."""

CHARGED_HEADER: Final = "tessera-charged"
"""On an answer: the cumulative charge of the line."""

COST_HEADER: Final = "tessera-cost"
"""On an answer: what this call cost."""

PROOF_HEADER: Final = "tessera-proof"
"""On an answer: the signed receipt, base64url of its JSON, so that no second request is needed."""

_TERMS_DIGITS: Final = 10

MAX_HEADER_BYTES: Final = 8_192
"""Sixteen lines of the largest numbers take 3,600 bytes."""

_RECEIPT_BITS: Final = {
    "channel": 64,
    "asset": 256,
    "version": 32,
    "terms": 32,
    "charged": 96,
    "units": 64,
    "time": 64,
    "identity": 8,
}
_MAX_DIGITS: Final = 78
_CALL_DIGITS: Final = 32
_CALL_ALPHABET: Final = frozenset("0123456789abcdef")
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_DEADLINE_DIGITS: Final = 12
_HASH_BYTES: Final = 32


class _PaymentWire(msgspec.Struct, forbid_unknown_fields=True):
    channel: str
    lines: list[tuple[str, int, str]]
    signature: str


class ReceiptWire(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A signed receipt as JSON."""

    id: str
    operator: str
    chain_id: int
    contract: str
    channel: str
    asset: str
    version: int
    terms: int
    charged: str
    request: str
    response: str
    units: str
    time: int
    identity: int
    signature: str
    cost: str
    call: str
    proof: str = ""


_payment_decoder = msgspec.json.Decoder(_PaymentWire)
_receipt_decoder = msgspec.json.Decoder(ReceiptWire)


class SignedReceipt(msgspec.Struct, frozen=True):
    """A receipt with its operator's signature.

    Attributes
    ----------
    receipt
        What was signed.
    signature
        r, s, v: 65 bytes.
    cost, call
        What this one call cost, and the id that the consumer chose for it. Not signed: the
        cumulative `charged` is what counts.
    proof
        Nodes that lead from the receipt to the root that was signed; empty where it was signed
        alone.
    """

    receipt: Receipt
    signature: bytes
    cost: int
    call: str
    proof: tuple[bytes, ...] = ()

    def id(self, domain: Domain) -> str:
        """Return the receipt's name: its EIP-712 digest in hexadecimal digits."""
        return receipt_digest(domain, self.receipt).hex()

    def signer(self, domain: Domain) -> Address:
        """Return who signed it, alone or with others; the zero address where nobody did."""
        return recover(signed_digest(domain, self.receipt, self.proof), self.signature)

    def verify(self, domain: Domain, operator: Address) -> None:
        """Check that the operator signed exactly this.

        Raises
        ------
        SignatureRejected
            Somebody else did, or it was changed.
        """
        signer = self.signer(domain)
        if signer != operator:
            raise SignatureRejected(
                "receipt",
                found=f"signed by {address_text(signer)}",
                wanted=f"the operator {address_text(operator)}",
                next_step="it is forged, altered, or for another chain or contract",
            )


def payment_header(signed: SignedVoucher) -> str:
    """Write a voucher as the value of `Tessera-Payment`."""
    wire = _PaymentWire(
        channel=str(signed.voucher.channel),
        lines=[(str(line.asset), line.terms, str(line.maximum)) for line in signed.voucher.lines],
        signature="0x" + signed.signature.hex(),
    )
    return _in_base64(msgspec.json.encode(wire))


def parse_payment(value: str | bytes) -> SignedVoucher:
    """Read `Tessera-Payment`.

    Raises
    ------
    SignatureRejected
        It is not what `payment_header` writes: encoding, JSON, numbers or signature.
    InputError
        Its numbers do not fit a voucher, or its lines are not in order.
    """
    raw = value.encode("ascii", "replace") if isinstance(value, str) else value
    if len(raw) > MAX_HEADER_BYTES:
        raise SignatureRejected(
            "Tessera-Payment", found=f"{len(raw)} bytes", wanted=f"{MAX_HEADER_BYTES} or fewer"
        )
    try:
        wire = _payment_decoder.decode(_base64(raw))
        if len(wire.lines) > MAX_LINES:
            raise ValueError(f"{len(wire.lines)} lines")
        channel = _digits(wire.channel)
        lines = tuple(
            Line(_digits(asset), terms, _digits(maximum)) for asset, terms, maximum in wire.lines
        )
        signature = _hex(wire.signature, SIGNATURE_BYTES)
    except (binascii.Error, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SignatureRejected(
            "Tessera-Payment",
            found=str(error),
            wanted='base64url of {"channel","lines":[[asset,terms,maximum]],"signature"}',
        ) from error
    return SignedVoucher(Voucher(channel, lines), signature)


def parse_call_id(value: bytes) -> str:
    """Read `Tessera-Call`.

    Raises
    ------
    SignatureRejected
        It is not 32 lower-case hexadecimal digits.
    """
    text = value.decode("ascii", "replace")
    if len(text) != _CALL_DIGITS or not _CALL_ALPHABET.issuperset(text):
        raise SignatureRejected(
            "Tessera-Call", found=text[:64], wanted="32 lower-case hexadecimal digits"
        )
    return text


def parse_call_signature(value: bytes) -> bytes:
    """Read `Tessera-Call-Signature`.

    Raises
    ------
    SignatureRejected
        It is not 65 bytes in hexadecimal digits.
    """
    try:
        return _hex(value.decode("ascii"), SIGNATURE_BYTES)
    except ValueError as error:
        raise SignatureRejected(
            "Tessera-Call-Signature", found=str(error), wanted="0x and 130 hexadecimal digits"
        ) from error


def parse_call_mac(value: bytes) -> bytes:
    """Read `Tessera-Call-Mac`.

    Raises
    ------
    SignatureRejected
        It is not 32 bytes in hexadecimal digits.
    """
    try:
        return _hex(value.decode("ascii"), MAC_BYTES)
    except ValueError as error:
        raise SignatureRejected(
            "Tessera-Call-Mac", found=str(error), wanted="64 hexadecimal digits"
        ) from error


def parse_order(access: bytes | None, order: bytes | None) -> tuple[Address, int]:
    """Read `Tessera-Access` and `Tessera-Order`.

    Raises
    ------
    InputError
        One of them is missing, or is not an address or a number.
    """
    wanted = "Tessera-Access, an address, and Tessera-Order, its order's number"
    if access is None or order is None:
        raise InputError("order", found="one of its two headers", wanted=wanted)
    try:
        return address_of(access.decode("ascii")), _digits(order.decode("ascii"))
    except (SignatureRejected, ValueError) as error:
        raise InputError("order", found=str(error), wanted=wanted) from error


def parse_terms(header: bytes) -> int:
    """Read the number of a terms row.

    Raises
    ------
    InputError
        It is none.
    """
    if not header.isdigit() or len(header) > _TERMS_DIGITS:
        raise InputError(
            TERMS_HEADER, found=header.decode("latin-1"), wanted="the number of the terms"
        )
    return int(header)


def parse_call_deadline(value: bytes | None) -> int:
    """Read `Tessera-Call-Deadline`.

    Raises
    ------
    SignatureRejected
        It is missing, or no number of seconds.
    """
    text = "" if value is None else value.decode("ascii", "replace")
    if not (text.isascii() and text.isdigit()) or len(text) > _DEADLINE_DIGITS:
        raise SignatureRejected("Tessera-Call-Deadline", found=text[:40], wanted="unix seconds")
    return int(text)


def receipt_json(
    signed: SignedReceipt, domain: Domain, operator: Address, name: str | None = None
) -> bytes:
    """Write a receipt as JSON, with everything that verifying it takes.

    Parameters
    ----------
    name
        What `signed.id(domain)` is, where that is known.
    """
    receipt = signed.receipt
    return msgspec.json.encode(
        ReceiptWire(
            id=signed.id(domain) if name is None else name,
            operator=address_text(operator),
            chain_id=domain.chain_id,
            contract=address_text(domain.contract),
            channel=str(receipt.channel),
            asset=str(receipt.asset),
            version=receipt.version,
            terms=receipt.terms,
            charged=str(receipt.charged),
            request="0x" + receipt.request.hex(),
            response="0x" + receipt.response.hex(),
            units=str(receipt.units),
            time=receipt.time,
            identity=receipt.identity,
            signature="0x" + signed.signature.hex(),
            cost=str(signed.cost),
            call=signed.call,
            proof="0x" + b"".join(signed.proof).hex() if signed.proof else "",
        )
    )


def parse_receipt(data: bytes | str) -> SignedReceipt:
    """Read a receipt; what it claims about chain, contract and operator is for the reader to know.

    Raises
    ------
    SignatureRejected
        It is no receipt.
    """
    try:
        wire = _receipt_decoder.decode(data)
        receipt = Receipt(
            channel=_digits(wire.channel),
            asset=_digits(wire.asset),
            version=wire.version,
            terms=wire.terms,
            charged=_digits(wire.charged),
            request=_hex(wire.request, _HASH_BYTES),
            response=_hex(wire.response, _HASH_BYTES),
            units=_digits(wire.units),
            time=wire.time,
            identity=wire.identity,
        )
        for field, bits in _RECEIPT_BITS.items():
            number = getattr(receipt, field)
            if not 0 <= number < 1 << bits:
                raise ValueError(f"{field} is no uint{bits}")
        signature = _hex(wire.signature, SIGNATURE_BYTES)
        return SignedReceipt(receipt, signature, _digits(wire.cost), wire.call, _nodes(wire.proof))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SignatureRejected(
            "receipt", found=str(error), wanted="the JSON of GET /receipts/{id}"
        ) from error


def proof_header(body: bytes) -> str:
    """Write a receipt's JSON as the value of `Tessera-Proof`."""
    return _in_base64(body)


def parse_proof(value: str) -> SignedReceipt:
    """Read `Tessera-Proof`.

    Raises
    ------
    SignatureRejected
        It is no receipt.
    """
    try:
        body = _base64(value.encode("ascii"))
    except (binascii.Error, ValueError) as error:
        raise SignatureRejected("Tessera-Proof", found=str(error), wanted="base64url") from error
    return parse_receipt(body)


def _nodes(text: str) -> tuple[bytes, ...]:
    raw = bytes.fromhex(text.removeprefix("0x"))
    if len(raw) % _HASH_BYTES or len(raw) > MAX_PROOF * _HASH_BYTES:
        raise ValueError(f"a proof of {len(raw)} bytes")
    return tuple(raw[at : at + _HASH_BYTES] for at in range(0, len(raw), _HASH_BYTES))


def _in_base64(raw: bytes) -> str:
    written = binascii.b2a_base64(raw, newline=False)
    return written.translate(_URL_SAFE).rstrip(b"=").decode()


def _base64(raw: bytes) -> bytes:
    return binascii.a2b_base64(
        raw.translate(_FROM_URL_SAFE) + b"=" * (-len(raw) % 4), strict_mode=True
    )


def _digits(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        raise ValueError(f"{text[:90]!r} is no whole number")
    return int(text)


def _hex(text: str, size: int) -> bytes:
    raw = bytes.fromhex(text.removeprefix("0x"))
    if len(raw) != size:
        raise ValueError(f"{len(raw)} bytes instead of {size}")
    return raw
