"""Receipts at the door: the hash of what was answered, and the check that anyone can make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sha3 import keccak_256

from tessera.assets.directory import AssetRecord
from tessera.errors import SignatureRejected
from tessera.payments.header import SignedReceipt, parse_receipt
from tessera.spec.signatures import Address, Domain, address_text, keccak

__all__ = [
    "RECEIPT_EVENT",
    "CheckedReceipt",
    "StreamHash",
    "check_receipt",
    "listed_signer",
    "receipt_event",
]

RECEIPT_EVENT: Final = "tessera.receipt"
"""Name of the SSE event behind `[DONE]` that holds a stream's receipt."""


class StreamHash:
    """Keccak-256 over pieces as they are sent."""

    def __init__(self) -> None:
        self._state = keccak_256()

    def feed(self, piece: bytes) -> bytes:
        """Take a piece and return it."""
        self._state.update(piece)
        return piece

    def digest(self) -> bytes:
        """Return the hash of everything so far."""
        found: bytes = self._state.digest()
        return found


@dataclass(frozen=True, slots=True)
class CheckedReceipt:
    """What a check found.

    Attributes
    ----------
    signed
        The receipt; its signature is the operator's.
    id
        Its name.
    request_matches, response_matches
        Whether the bodies are those that it names; None where none was given.
    """

    signed: SignedReceipt
    id: str
    request_matches: bool | None
    response_matches: bool | None


def check_receipt(
    data: bytes,
    domain: Domain,
    operator: Address,
    *,
    request: bytes | None = None,
    response: bytes | None = None,
) -> CheckedReceipt:
    """Check a receipt: who signed it, and that it is about these bytes.

    Parameters
    ----------
    data
        The JSON of `GET /receipts/{id}`, or of a stream's last event.
    domain, operator
        From the chain, never from the receipt itself.
    request, response
        The exact bodies; a stream's is all its bytes before the receipt's event.

    Raises
    ------
    SignatureRejected
        It is no receipt, not this operator's, or not about these bodies.
    """
    signed = parse_receipt(data)
    signed.verify(domain, operator)
    matches: list[bool | None] = []
    for name, body, wanted in (
        ("request", request, signed.receipt.request),
        ("response", response, signed.receipt.response),
    ):
        if body is not None and keccak(body) != wanted:
            raise SignatureRejected(
                f"receipt: {name}",
                found=f"a body with hash 0x{keccak(body).hex()}",
                wanted=f"the body with hash 0x{wanted.hex()}",
                next_step="it belongs to another call, or the body was changed on its way",
            )
        matches.append(None if body is None else True)
    return CheckedReceipt(signed, signed.id(domain), matches[0], matches[1])


def listed_signer(signed: SignedReceipt, domain: Domain, record: AssetRecord) -> Address:
    """Return who signed a receipt, if the chain lists or listed him as the asset's operator.

    Raises
    ------
    SignatureRejected
        It was somebody else.
    """
    signer = signed.signer(domain)
    if address_text(signer) not in record.endpoints:
        raise SignatureRejected(
            "receipt",
            found=f"signed by {address_text(signer)}",
            wanted=f"an operator that the chain lists for {record.slug}",
            next_step="it is forged, altered, or for another chain; or name who: --operator",
        )
    return signer


def receipt_event(body: bytes) -> bytes:
    """Write a receipt's JSON as the last event of a stream."""
    return b"event: " + RECEIPT_EVENT.encode() + b"\ndata: " + body + b"\n\n"
