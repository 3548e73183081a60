"""What official clients send is read, what we send is read by them, and the words are theirs."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount
from x402.http.utils import (
    decode_payment_required_header,
    decode_payment_response_header,
    encode_payment_signature_header,
)
from x402.mechanisms.evm import constants as exact_words
from x402.mechanisms.evm.batch_settlement import errors as batch_words
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.schemas import PaymentPayload
from x402.schemas import PaymentRequired as OfficialRequired

from tessera import errors
from tessera.payments.x402 import wire
from tessera.payments.x402.wire import (
    Accept,
    Reason,
    Required,
    Resource,
    Response,
    encode_header,
    parse_payment,
    reason_of,
    refused,
)
from tessera.spec.signatures import Address, Domain, address_text, recover
from tessera.spec.x402_digests import (
    DEPOSIT_COLLECTOR,
    channel_id,
    deposit_nonce,
    receive_digest,
    transfer_digest,
    voucher_digest,
)

CHAIN = 84_532
PAYER = EthAccount.from_key(b"\x05" * 32)
PAYER_ADDRESS = Address(bytes.fromhex(PAYER.address[2:]))
TILL, OPERATOR, DOLLAR = (Address(bytes([n]) * 20) for n in (1, 2, 3))
TOKEN = Domain(CHAIN, DOLLAR, "Test Dollar", "1")
# What the server says of itself; no client acts on them.
OUR_WORDS = {Reason.NO_MATCH, Reason.NOT_SERVED}


def required(scheme: str) -> Required:
    extra: dict[str, Any] = {"name": "Test Dollar", "version": "1"}
    if scheme == "batch-settlement":
        extra |= {"receiverAuthorizer": address_text(OPERATOR), "withdrawDelay": 86_400}
    accept = Accept(
        scheme, f"eip155:{CHAIN}", address_text(DOLLAR), "500", address_text(TILL), 60, extra
    )
    return Required(Resource("http://gateway/x402/digits"), (accept,), error="no payment")


def header(scheme: Any, asked: OfficialRequired) -> bytes:
    payload = PaymentPayload(
        payload=scheme.create_payment_payload(asked.accepts[0]),
        accepted=asked.accepts[0],
        resource=asked.resource,
    )
    return encode_payment_signature_header(payload).encode()


def heard(needed: Required) -> OfficialRequired:
    read = decode_payment_required_header(encode_header(needed).decode())
    assert isinstance(read, OfficialRequired)
    return read


def test_a_402_is_what_official_clients_read() -> None:
    needed = required("exact")
    asked = heard(needed)
    assert asked.x402_version == 2
    assert asked.error == "no payment"
    assert asked.resource is not None
    assert asked.resource.url == needed.resource.url
    assert asked.accepts[0].model_dump(by_alias=True) == {
        "scheme": "exact",
        "network": "eip155:84532",
        "asset": address_text(DOLLAR),
        "amount": "500",
        "payTo": address_text(TILL),
        "maxTimeoutSeconds": 60,
        "extra": {"name": "Test Dollar", "version": "1"},
    }


def test_a_response_is_what_official_clients_read() -> None:
    sent = Response(success=True, network="eip155:1", extra={"chargedAmount": "7"})
    read = decode_payment_response_header(encode_header(sent).decode())
    assert (read.success, read.transaction, read.network) == (True, "", "eip155:1")
    assert read.extra == {"chargedAmount": "7"}


def test_a_deposit_with_its_voucher_is_read() -> None:
    needed = required("batch-settlement")
    payment = parse_payment(header(BatchSettlementEvmScheme(PAYER), heard(needed)))
    assert payment.accepted == needed.accepts[0]
    voucher, deposit = payment.voucher, payment.deposit
    assert voucher is not None
    assert deposit is not None
    channel = channel_id(CHAIN, voucher.config)
    assert voucher.channel == channel
    assert voucher.config.receiver == TILL
    assert voucher.config.withdraw_delay == 86_400
    digest = voucher_digest(CHAIN, channel, voucher.maximum)
    assert recover(digest, voucher.signature) == PAYER_ADDRESS
    digest = receive_digest(
        TOKEN,
        PAYER_ADDRESS,
        DEPOSIT_COLLECTOR,
        deposit.amount,
        deposit.valid_after,
        deposit.valid_before,
        deposit_nonce(channel, deposit.salt),
    )
    assert recover(digest, deposit.signature) == PAYER_ADDRESS


def test_an_exact_payment_is_read() -> None:
    needed = required("exact")
    by = parse_payment(header(ExactEvmScheme(PAYER), heard(needed))).authorization
    assert by is not None
    assert (by.payer, by.receiver, by.value) == (PAYER_ADDRESS, TILL, 500)
    digest = transfer_digest(
        TOKEN, by.payer, by.receiver, by.value, by.valid_after, by.valid_before, by.nonce
    )
    assert recover(digest, by.signature) == PAYER_ADDRESS


def changed(path: str, value: object) -> bytes:
    """Return a deposit's header with one field changed; a value of None takes the field away."""
    data = json.loads(
        base64.b64decode(
            header(BatchSettlementEvmScheme(PAYER), heard(required("batch-settlement")))
        )
    )
    *folders, name = path.split(".")
    place = data
    for folder in folders:
        place = place[folder]
    if value is None:
        del place[name]
    else:
        place[name] = value
    return base64.b64encode(json.dumps(data).encode())


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("x402Version", 1, Reason.VOUCHER_PAYLOAD),
        ("accepted.scheme", "upto", Reason.SCHEME),
        ("accepted.scheme", "exact", Reason.EXACT_SIGNATURE),
        ("accepted", None, Reason.VOUCHER_PAYLOAD),
        ("payload.type", "claim", Reason.PAYLOAD_TYPE),
        ("payload.voucher", None, Reason.VOUCHER_PAYLOAD),
        ("payload.voucher.maxClaimableAmount", "-1", Reason.VOUCHER_PAYLOAD),
        ("payload.voucher.maxClaimableAmount", str(2**128), Reason.VOUCHER_PAYLOAD),
        ("payload.voucher.maxClaimableAmount", "9" * 5_000, Reason.VOUCHER_PAYLOAD),
        ("payload.voucher.maxClaimableAmount", "१२", Reason.VOUCHER_PAYLOAD),
        ("payload.voucher.signature", "0x00", Reason.VOUCHER_PAYLOAD),
        ("payload.channelConfig.payer", "0x12", Reason.VOUCHER_PAYLOAD),
        ("payload.channelConfig.withdrawDelay", 2**40, Reason.VOUCHER_PAYLOAD),
        ("payload.channelConfig.withdrawDelay", "86400", Reason.VOUCHER_PAYLOAD),
        ("payload.deposit", None, Reason.DEPOSIT_PAYLOAD),
        ("payload.deposit.amount", "many", Reason.DEPOSIT_PAYLOAD),
        ("payload.deposit.authorization.erc3009Authorization", None, Reason.DEPOSIT_METHOD),
    ],
)
def test_what_is_no_payment_is_refused_with_the_word_for_it(
    path: str, value: object, reason: Reason
) -> None:
    with pytest.raises(errors.PaymentRequired) as refusal:
        parse_payment(changed(path, value))
    assert refusal.value.operands["x402"] == str(reason)


@pytest.mark.parametrize("raw", [b"", b"!", b"e30=", b"e30", base64.b64encode(b"[" * 3_000)])
def test_what_is_not_even_json_is_refused(raw: bytes) -> None:
    with pytest.raises(errors.PaymentRequired, match=r"base64 of x402|or fewer"):
        parse_payment(raw)
    with pytest.raises(errors.PaymentRequired, match="or fewer"):
        parse_payment(b"A" * 9_000)


def test_the_words_are_the_standards() -> None:
    official = {
        value
        for module in (batch_words, exact_words)
        for name, value in vars(module).items()
        if name.startswith("ERR_")
    }
    assert {str(reason) for reason in Reason} - official == {str(word) for word in OUR_WORDS}


def test_every_error_has_a_word() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TesseraError)
    ]
    assert len(kinds) > 20
    for kind in kinds:
        made = kind.__new__(kind)
        made.operands = {}
        assert reason_of(made) in set(Reason)
    ours = refused(Reason.CHANNEL_BUSY, found="a call", wanted="one at a time")
    assert reason_of(ours) == "invalid_batch_settlement_evm_channel_busy"


def test_every_word_is_said_somewhere() -> None:
    """A word that nothing says would be a refusal that nobody thought through."""
    folder = Path(wire.__file__).parent
    text = "".join(
        file.read_text(encoding="utf-8").split("_REASONS: Final")[-1]
        for file in sorted(folder.glob("*.py"))
    )
    assert [reason.name for reason in Reason if f"Reason.{reason.name}" not in text] == []
