"""What servers ask a facilitator for, read: payments to verify or settle, and three actions.

A server that takes vouchers has claims, receivers and refunds settled by the same request as a
payment, with another payload. What it signs it signs itself: a facilitator of ours signs for no
server, as whoever may ask for a signature could ask for a refund of money that was earned.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tessera.errors import SignatureRejected
from tessera.payments.x402.ports import Claim
from tessera.payments.x402.wire import (
    BATCH,
    Accept,
    ConfigWire,
    Payment,
    Reason,
    number_of,
    read_payload,
    refused,
)
from tessera.spec.signatures import Address, address_of
from tessera.spec.x402 import MAX_CLAIMS
from tessera.spec.x402_digests import ChannelConfig

__all__ = ["Claims", "GivingBack", "Request", "Sweep", "read_request"]

_VERSION: Final = 2
_SIGNATURE_BYTES: Final = 256
"""A contract's signature may be longer than a key's."""


class Claims(msgspec.Struct, frozen=True):
    """Claims to record, by their authorizer's signature."""

    claims: tuple[Claim, ...]
    signature: bytes


class Sweep(msgspec.Struct, frozen=True):
    """A receiver that is to be sent what it earned."""

    receiver: Address
    token: Address


class GivingBack(msgspec.Struct, frozen=True):
    """A refund by its authorizer's signature, and the claims that go before it, by another."""

    config: ChannelConfig
    amount: int
    nonce: int
    signature: bytes
    claims: Claims | None


class Request(msgspec.Struct, frozen=True):
    """A request to verify or settle.

    Attributes
    ----------
    wanted
        What the server asks for.
    payment
        What its client gave for it; None in an action.
    action
        What else the server wants settled.
    resource, extensions
        What was paid for, and what else the client repeated of it.
    """

    wanted: Accept
    payment: Payment | None
    action: Claims | Sweep | GivingBack | None
    resource: dict[str, Any] | None
    extensions: dict[str, Any] | None


class _PaymentWire(msgspec.Struct, rename="camel"):
    accepted: Accept
    payload: msgspec.Raw
    x402_version: int = _VERSION
    resource: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None


class _RequestWire(msgspec.Struct, rename="camel"):
    payment_payload: _PaymentWire
    payment_requirements: Accept
    x402_version: int = _VERSION


class _KindWire(msgspec.Struct, rename="camel"):
    type: str = ""
    refund_nonce: str | None = None


class _SignedFor(msgspec.Struct, rename="camel"):
    channel: ConfigWire
    max_claimable_amount: str


class _ClaimWire(msgspec.Struct, rename="camel"):
    voucher: _SignedFor
    signature: str
    total_claimed: str


class _ClaimsWire(msgspec.Struct, rename="camel"):
    claims: list[_ClaimWire]
    claim_authorizer_signature: str | None = None


class _SweepWire(msgspec.Struct):
    receiver: str
    token: str


class _GivingBackWire(msgspec.Struct, rename="camel"):
    channel_config: ConfigWire
    amount: str
    refund_nonce: str
    claims: list[_ClaimWire]
    refund_authorizer_signature: str | None = None
    claim_authorizer_signature: str | None = None


def read_request(body: bytes) -> Request:
    """Read what a server sends to `/verify` or `/settle`.

    Raises
    ------
    PaymentRequired
        It is none of the standard's, or of a scheme that is not known here.
    """
    reason = Reason.VOUCHER_PAYLOAD
    try:
        wire = msgspec.json.decode(body, type=_RequestWire)
        given, wanted = wire.payment_payload, wire.payment_requirements
        if (wire.x402_version, given.x402_version) != (_VERSION, _VERSION):
            raise ValueError(f"x402Version {wire.x402_version}, {given.x402_version}")
        payment: Payment | None = None
        action: Claims | Sweep | GivingBack | None = None
        kind = msgspec.json.decode(given.payload, type=_KindWire)
        if given.accepted.scheme != BATCH:
            payment = read_payload(given.accepted, given.payload)
        elif kind.type == "claim":
            reason = Reason.CLAIM_PAYLOAD
            action = _claims(msgspec.json.decode(given.payload, type=_ClaimsWire))
        elif kind.type == "settle":
            reason = Reason.SETTLE_PAYLOAD
            sweep = msgspec.json.decode(given.payload, type=_SweepWire)
            action = Sweep(address_of(sweep.receiver), address_of(sweep.token))
        elif kind.type == "refund" and kind.refund_nonce is not None:
            reason = Reason.REFUND_PAYLOAD
            action = _giving_back(msgspec.json.decode(given.payload, type=_GivingBackWire))
        else:
            payment = read_payload(given.accepted, given.payload)
    except (msgspec.MsgspecError, SignatureRejected, ValueError, RecursionError) as error:
        raise refused(reason, found=str(error), wanted="x402's JSON, version 2") from error
    return Request(wanted, payment, action, given.resource, given.extensions)


def _claims(wire: _ClaimsWire) -> Claims:
    if not 0 < len(wire.claims) <= MAX_CLAIMS:
        raise ValueError(f"{len(wire.claims)} claims instead of 1 to {MAX_CLAIMS}")
    rows = tuple(
        Claim(
            config=row.voucher.channel.read(),
            maximum=number_of(row.voucher.max_claimable_amount, 128),
            signature=_signature(row.signature),
            charged=number_of(row.total_claimed, 128),
        )
        for row in wire.claims
    )
    return Claims(rows, _by_authorizer(wire.claim_authorizer_signature, "claim"))


def _giving_back(wire: _GivingBackWire) -> GivingBack:
    before = None
    if wire.claims:
        before = _claims(_ClaimsWire(wire.claims, wire.claim_authorizer_signature))
    return GivingBack(
        config=wire.channel_config.read(),
        amount=number_of(wire.amount, 128),
        nonce=number_of(wire.refund_nonce, 256),
        signature=_by_authorizer(wire.refund_authorizer_signature, "refund"),
        claims=before,
    )


def _by_authorizer(text: str | None, thing: str) -> bytes:
    if text is None:
        raise refused(
            Reason.AUTHORIZER_MISSING,
            found=f"a {thing} without the authorizer's signature",
            wanted="one that the server signed",
            next_step="give the server a key of its own as receiverAuthorizer",
        )
    return _signature(text)


def _signature(text: str) -> bytes:
    raw = bytes.fromhex(text.removeprefix("0x"))
    if len(raw) > _SIGNATURE_BYTES:
        raise ValueError(f"a signature of {len(raw)} bytes")
    return raw
