"""x402 version 2 as it travels: three headers of base64 JSON, and its words for what is refused.

Amounts are decimal strings, addresses EIP-55 text, hashes and signatures 0x-hex. The words are part
of the standard: official clients act on some of them, so they are spelled as theirs are.
"""

from __future__ import annotations

import base64
import binascii
import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tessera.errors import (
    BackendFailed,
    Busy,
    ChainError,
    Closed,
    Conflict,
    DataError,
    InputError,
    InvariantViolation,
    MeterMismatch,
    NotAllowed,
    PaymentRequired,
    QuotaExceeded,
    RpcUnavailable,
    ServingError,
    SignatureRejected,
    TesseraError,
    TransactionReverted,
)
from tessera.spec.signatures import SIGNATURE_BYTES, Address, address_of
from tessera.spec.x402_digests import ChannelConfig

__all__ = [
    "BATCH",
    "EXACT",
    "MAX_PAYMENT_BYTES",
    "REQUIRED_HEADER",
    "RESPONSE_HEADER",
    "SIGNATURE_HEADER",
    "Accept",
    "Authorization",
    "ConfigWire",
    "Deposit",
    "Payment",
    "Reason",
    "Refund",
    "Required",
    "Resource",
    "Response",
    "Voucher",
    "encode_header",
    "hex_text",
    "network_of",
    "number_of",
    "parse_payment",
    "read_payload",
    "reason_of",
    "refused",
]

REQUIRED_HEADER: Final = "payment-required"
"""On a 402: what would be accepted."""

SIGNATURE_HEADER: Final = "payment-signature"
"""On a request: the payment."""

RESPONSE_HEADER: Final = "payment-response"
"""On an answer: what became of the payment."""

BATCH: Final = "batch-settlement"
EXACT: Final = "exact"

MAX_PAYMENT_BYTES: Final = 8_192
"""A deposit with its two signatures takes 2,600."""

_VERSION: Final = 2
_MAX_DIGITS: Final = 78
_WORD_BYTES: Final = 32
_MAX_UINT40: Final = 2**40 - 1


class Reason(enum.StrEnum):
    """Why a payment was refused, in the standard's words."""

    NO_MATCH = "No matching payment requirements"
    SCHEME = "invalid_batch_settlement_evm_scheme"
    PAYLOAD_TYPE = "invalid_batch_settlement_evm_payload_type"
    VOUCHER_PAYLOAD = "invalid_batch_settlement_evm_voucher_payload"
    CHANNEL_ID_MISMATCH = "invalid_batch_settlement_evm_channel_id_mismatch"
    CHANNEL_NOT_FOUND = "invalid_batch_settlement_evm_channel_not_found"
    RECEIVER_MISMATCH = "invalid_batch_settlement_evm_receiver_mismatch"
    AUTHORIZER_MISMATCH = "invalid_batch_settlement_evm_receiver_authorizer_mismatch"
    CURRENCY_MISMATCH = "invalid_batch_settlement_evm_token_mismatch"
    DELAY_MISMATCH = "invalid_batch_settlement_evm_withdraw_delay_mismatch"
    DELAY_OUT_OF_RANGE = "invalid_batch_settlement_evm_withdraw_delay_out_of_range"
    VOUCHER_SIGNATURE = "invalid_batch_settlement_evm_voucher_signature"
    EXCEEDS_BALANCE = "invalid_batch_settlement_evm_cumulative_exceeds_balance"
    BELOW_CLAIMED = "invalid_batch_settlement_evm_cumulative_below_claimed"
    AMOUNT_MISMATCH = "invalid_batch_settlement_evm_cumulative_amount_mismatch"
    CHANNEL_BUSY = "invalid_batch_settlement_evm_channel_busy"
    DEPOSIT_PAYLOAD = "invalid_batch_settlement_evm_deposit_payload"
    DEPOSIT_BELOW_MINIMUM = "invalid_batch_settlement_evm_deposit_below_min_deposit"
    DEPOSIT_NOT_YET = "invalid_batch_settlement_evm_payload_authorization_valid_after"
    DEPOSIT_EXPIRED = "invalid_batch_settlement_evm_payload_authorization_valid_before"
    DEPOSIT_SIGNATURE = "invalid_batch_settlement_evm_receive_authorization_signature"
    DEPOSIT_METHOD = "invalid_batch_settlement_evm_erc3009_authorization_required"
    DEPOSIT_FAILED = "invalid_batch_settlement_evm_deposit_transaction_failed"
    REFUND_PAYLOAD = "invalid_batch_settlement_evm_refund_payload"
    REFUND_AMOUNT = "invalid_batch_settlement_evm_refund_amount_invalid"
    REFUND_NO_BALANCE = "invalid_batch_settlement_evm_refund_no_balance"
    REFUND_FAILED = "invalid_batch_settlement_evm_refund_transaction_failed"
    RPC_READ_FAILED = "invalid_batch_settlement_evm_rpc_read_failed"
    STATE_UNAVAILABLE = "invalid_batch_settlement_evm_verification_state_unavailable"
    CHARGE_EXCEEDS_SIGNED = "invalid_batch_settlement_evm_charge_exceeds_signed_cumulative"
    TRANSACTION_REVERTED = "invalid_batch_settlement_evm_transaction_reverted"
    EXACT_SIGNATURE = "invalid_exact_evm_payload_signature"
    EXACT_RECIPIENT = "invalid_exact_evm_payload_recipient_mismatch"
    EXACT_VALUE = "invalid_exact_evm_payload_authorization_value_mismatch"
    EXACT_EXPIRED = "invalid_exact_evm_payload_authorization_valid_before"
    EXACT_NOT_YET = "invalid_exact_evm_payload_authorization_valid_after"
    EXACT_NONCE_USED = "invalid_exact_evm_nonce_already_used"
    EXACT_BALANCE = "invalid_exact_evm_insufficient_balance"
    TRANSACTION_FAILED = "transaction_failed"
    UNSUPPORTED_SCHEME = "unsupported_scheme"
    NETWORK_MISMATCH = "network_mismatch"
    BATCH_NETWORK_MISMATCH = "invalid_batch_settlement_evm_network_mismatch"
    DOMAIN_MISSING = "missing_eip712_domain"
    BATCH_DOMAIN_MISSING = "invalid_batch_settlement_evm_missing_eip712_domain"
    EXACT_NOT_DELIVERED = "invalid_exact_evm_transfer_event_mismatch"
    EXACT_SIMULATION_FAILED = "invalid_exact_evm_transaction_simulation_failed"
    BATCH_BALANCE = "invalid_batch_settlement_evm_insufficient_balance"
    DEPOSIT_SIMULATION_FAILED = "invalid_batch_settlement_evm_deposit_simulation_failed"
    CLAIM_PAYLOAD = "invalid_batch_settlement_evm_claim_payload"
    CLAIM_SIMULATION_FAILED = "invalid_batch_settlement_evm_claim_simulation_failed"
    CLAIM_FAILED = "invalid_batch_settlement_evm_claim_transaction_failed"
    SETTLE_PAYLOAD = "invalid_batch_settlement_evm_settle_payload"
    SETTLE_SIMULATION_FAILED = "invalid_batch_settlement_evm_settle_simulation_failed"
    SETTLE_FAILED = "invalid_batch_settlement_evm_settle_transaction_failed"
    NOTHING_TO_SETTLE = "invalid_batch_settlement_evm_nothing_to_settle"
    REFUND_SIMULATION_FAILED = "invalid_batch_settlement_evm_refund_simulation_failed"
    AUTHORIZER_MISSING = "invalid_batch_settlement_evm_authorizer_not_configured"
    SETTLEMENT_PENDING = "settlement_pending"
    NOT_SERVED = "request_failed"


# For whatever stops a call after its payment was looked at; the nearest class counts.
_REASONS: Final[Mapping[type[TesseraError], Reason]] = {
    TesseraError: Reason.NOT_SERVED,
    InputError: Reason.NOT_SERVED,
    NotAllowed: Reason.NOT_SERVED,
    SignatureRejected: Reason.VOUCHER_SIGNATURE,
    PaymentRequired: Reason.NO_MATCH,
    Conflict: Reason.NOT_SERVED,
    Closed: Reason.NOT_SERVED,
    Busy: Reason.CHANNEL_BUSY,
    ChainError: Reason.RPC_READ_FAILED,
    RpcUnavailable: Reason.RPC_READ_FAILED,
    TransactionReverted: Reason.TRANSACTION_REVERTED,
    DataError: Reason.STATE_UNAVAILABLE,
    ServingError: Reason.NOT_SERVED,
    BackendFailed: Reason.NOT_SERVED,
    QuotaExceeded: Reason.NOT_SERVED,
    MeterMismatch: Reason.CHARGE_EXCEEDS_SIGNED,
    InvariantViolation: Reason.NOT_SERVED,
}


def refused(
    reason: Reason,
    *,
    found: object,
    wanted: str,
    next_step: str | None = None,
    **operands: object,
) -> PaymentRequired:
    """Make the refusal of a payment; its operand `x402` is the standard's word for it."""
    return PaymentRequired(
        "x402 payment",
        found=found,
        wanted=wanted,
        next_step=next_step,
        x402=str(reason),
        **operands,
    )


def reason_of(error: TesseraError) -> str:
    """Return the standard's word for a refusal: its own, or that of the nearest class."""
    given = error.operands.get("x402")
    if isinstance(given, str):
        return given
    return next(_REASONS[kind] for kind in type(error).__mro__ if kind in _REASONS)


class Resource(msgspec.Struct, frozen=True, rename="camel"):
    """What is paid for."""

    url: str
    description: str = ""
    mime_type: str = "application/json"


class Accept(msgspec.Struct, frozen=True, rename="camel"):
    """One way to pay for it.

    Attributes
    ----------
    scheme, network, asset, pay_to
        How, on which chain, in which token, to whom.
    amount
        Base units, decimal; in `batch-settlement` the most that the call can cost.
    max_timeout_seconds
        How long an authorization must be good for.
    extra
        The token's EIP-712 name and version, and what the scheme adds.
    """

    scheme: str
    network: str
    asset: str
    amount: str
    pay_to: str
    max_timeout_seconds: int
    extra: dict[str, Any] = {}


class Required(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`PAYMENT-REQUIRED`; offers that a tender adds to are plain JSON objects."""

    resource: Resource
    accepts: Sequence[Accept | Mapping[str, Any]]
    error: str = ""
    x402_version: int = msgspec.field(default_factory=lambda: _VERSION)
    extensions: dict[str, Any] | None = None


class Response(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """`PAYMENT-RESPONSE`; `transaction` is empty where there was none."""

    success: bool
    network: str
    transaction: str = msgspec.field(default_factory=str)
    payer: str = ""
    amount: str = ""
    error_reason: str = ""
    error_message: str = ""
    extra: dict[str, Any] | None = None


class Voucher(msgspec.Struct, frozen=True):
    """What a payer signed: up to `maximum` of the channel may be claimed in all.

    Attributes
    ----------
    config
        The channel's terms.
    channel
        What the client believes that they hash to.
    maximum
        Base units, cumulative.
    signature
        65 bytes.
    """

    config: ChannelConfig
    channel: bytes
    maximum: int
    signature: bytes


class Deposit(msgspec.Struct, frozen=True):
    """An EIP-3009 authorization for the collector; its nonce follows from channel and salt."""

    amount: int
    valid_after: int
    valid_before: int
    salt: int
    signature: bytes


class Refund(msgspec.Struct, frozen=True):
    """A wish for money back: all that is free, or `amount` of it."""

    amount: int | None


class Authorization(msgspec.Struct, frozen=True):
    """An EIP-3009 transfer of exactly the price."""

    payer: Address
    receiver: Address
    value: int
    valid_after: int
    valid_before: int
    nonce: bytes
    signature: bytes


class Payment(msgspec.Struct, frozen=True):
    """`PAYMENT-SIGNATURE`, read.

    Attributes
    ----------
    accepted
        The entry of `accepts` that the client chose, as it repeats it.
    voucher
        In `batch-settlement`.
    deposit, refund
        Beside the voucher, where there is one.
    authorization
        In `exact`.
    """

    accepted: Accept
    voucher: Voucher | None = None
    deposit: Deposit | None = None
    refund: Refund | None = None
    authorization: Authorization | None = None


class ConfigWire(msgspec.Struct, rename="camel"):
    """A channel's terms, as they travel."""

    payer: str
    payer_authorizer: str
    receiver: str
    receiver_authorizer: str
    token: str
    withdraw_delay: int
    salt: str

    def read(self) -> ChannelConfig:
        """Return the terms; raises ValueError or SignatureRejected where they are none."""
        if not 0 <= self.withdraw_delay <= _MAX_UINT40:
            raise ValueError("withdrawDelay is no uint40")
        return ChannelConfig(
            address_of(self.payer),
            address_of(self.payer_authorizer),
            address_of(self.receiver),
            address_of(self.receiver_authorizer),
            address_of(self.token),
            self.withdraw_delay,
            _bytes(self.salt, _WORD_BYTES),
        )


class _VoucherWire(msgspec.Struct, rename="camel"):
    channel_id: str
    max_claimable_amount: str
    signature: str


class _Erc3009Wire(msgspec.Struct, rename="camel"):
    valid_after: str
    valid_before: str
    salt: str
    signature: str


class _DepositBy(msgspec.Struct):
    erc3009: _Erc3009Wire | None = msgspec.field(default=None, name="erc3009Authorization")


class _DepositWire(msgspec.Struct):
    amount: str
    authorization: _DepositBy


class _BatchWire(msgspec.Struct, rename="camel"):
    type: str
    channel_config: ConfigWire
    voucher: _VoucherWire
    deposit: _DepositWire | None = None
    amount: str | None = None


class _AuthorizationWire(msgspec.Struct, rename="camel"):
    payer: str = msgspec.field(name="from")
    to: str
    value: str
    valid_after: str
    valid_before: str
    nonce: str


class _ExactWire(msgspec.Struct):
    signature: str
    authorization: _AuthorizationWire


class _PaymentWire(msgspec.Struct, rename="camel"):
    x402_version: int
    accepted: Accept
    payload: msgspec.Raw


_payment_decoder = msgspec.json.Decoder(_PaymentWire)
_batch_decoder = msgspec.json.Decoder(_BatchWire)
_exact_decoder = msgspec.json.Decoder(_ExactWire)


def encode_header(value: Required | Response) -> bytes:
    """Write a header's value."""
    return base64.b64encode(msgspec.json.encode(value))


def parse_payment(value: bytes) -> Payment:
    """Read `PAYMENT-SIGNATURE`; what it says is for others to judge.

    Raises
    ------
    PaymentRequired
        It is not base64 of the standard's JSON, or of a scheme that is not taken here.
    """
    if len(value) > MAX_PAYMENT_BYTES:
        raise refused(
            Reason.VOUCHER_PAYLOAD,
            found=f"{len(value)} bytes",
            wanted=f"{MAX_PAYMENT_BYTES} or fewer",
        )
    try:
        wire = _payment_decoder.decode(base64.b64decode(value, validate=True))
        if wire.x402_version != _VERSION:
            raise ValueError(f"x402Version {wire.x402_version}")
    except (binascii.Error, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise refused(
            Reason.VOUCHER_PAYLOAD, found=str(error), wanted="base64 of x402's payment JSON"
        ) from error
    return read_payload(wire.accepted, wire.payload)


def read_payload(accepted: Accept, payload: bytes | msgspec.Raw) -> Payment:
    """Read a payment's payload, as JSON, by the scheme of the offer that it accepts.

    Raises
    ------
    PaymentRequired
        It is none of the scheme's, or of a scheme that is not taken here.
    """
    reason = Reason.VOUCHER_PAYLOAD
    try:
        match accepted.scheme:
            case "batch-settlement":
                return _batch(accepted, _batch_decoder.decode(payload))
            case "exact":
                reason = Reason.EXACT_SIGNATURE
                return _exact(accepted, _exact_decoder.decode(payload))
            case other:
                raise refused(Reason.SCHEME, found=other[:64], wanted=f"{BATCH} or {EXACT}")
    except (msgspec.MsgspecError, SignatureRejected, ValueError, RecursionError) as error:
        raise refused(
            reason, found=str(error), wanted=f"the payload of {accepted.scheme}"
        ) from error


def network_of(chain_id: int) -> str:
    """Return the CAIP-2 name of a chain."""
    return f"eip155:{chain_id}"


def hex_text(data: bytes) -> str:
    """Write bytes as 0x-hex."""
    return "0x" + data.hex()


def _batch(accepted: Accept, wire: _BatchWire) -> Payment:
    voucher = Voucher(
        config=wire.channel_config.read(),
        channel=_bytes(wire.voucher.channel_id, _WORD_BYTES),
        maximum=number_of(wire.voucher.max_claimable_amount, 128),
        signature=_bytes(wire.voucher.signature, SIGNATURE_BYTES),
    )
    match wire.type:
        case "voucher":
            return Payment(accepted, voucher)
        case "deposit":
            return Payment(accepted, voucher, deposit=_deposit(wire.deposit))
        case "refund":
            amount = None if wire.amount is None else number_of(wire.amount, 128)
            return Payment(accepted, voucher, refund=Refund(amount))
        case other:
            raise refused(
                Reason.PAYLOAD_TYPE, found=other[:64], wanted="voucher, deposit or refund"
            )


def _deposit(wire: _DepositWire | None) -> Deposit:
    if wire is None:
        raise refused(Reason.DEPOSIT_PAYLOAD, found="no deposit", wanted="one beside the voucher")
    by = wire.authorization.erc3009
    if by is None:
        raise refused(
            Reason.DEPOSIT_METHOD,
            found="another authorization",
            wanted="erc3009Authorization",
            next_step="the token of this server takes EIP-3009",
        )
    try:
        return Deposit(
            amount=number_of(wire.amount, 128),
            valid_after=number_of(by.valid_after, 256),
            valid_before=number_of(by.valid_before, 256),
            salt=_salt(by.salt),
            signature=_bytes(by.signature, SIGNATURE_BYTES),
        )
    except ValueError as error:
        raise refused(
            Reason.DEPOSIT_PAYLOAD, found=str(error), wanted="an EIP-3009 authorization"
        ) from error


def _exact(accepted: Accept, wire: _ExactWire) -> Payment:
    by = wire.authorization
    authorization = Authorization(
        payer=address_of(by.payer),
        receiver=address_of(by.to),
        value=number_of(by.value, 256),
        valid_after=number_of(by.valid_after, 256),
        valid_before=number_of(by.valid_before, 256),
        nonce=_bytes(by.nonce, _WORD_BYTES),
        signature=_bytes(wire.signature, SIGNATURE_BYTES),
    )
    return Payment(accepted, authorization=authorization)


def number_of(text: str, bits: int) -> int:
    """Read a decimal number of at most so many bits; raises ValueError."""
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        raise ValueError(f"{text[:90]!r} is no whole number")
    number = int(text)
    if number >> bits:
        raise ValueError(f"{text} is no uint{bits}")
    return number


def _salt(text: str) -> int:
    # Official clients write it in hexadecimal digits, and read decimal ones too.
    if text.startswith("0x"):
        return int.from_bytes(_bytes(text, _WORD_BYTES), "big")
    return number_of(text, 256)


def _bytes(text: str, size: int) -> bytes:
    raw = bytes.fromhex(text.removeprefix("0x"))
    if len(raw) != size:
        raise ValueError(f"{len(raw)} bytes instead of {size}")
    return raw
