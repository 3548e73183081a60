"""What different nodes say, understood."""

from __future__ import annotations

import pytest

from tessera.bindings.codec import encode
from tessera.bindings.reverts import ShareBalanceTooLow
from tessera.chain.fees import Fees
from tessera.chain.jsonrpc import RpcRefused
from tessera.chain.refusals import Refusal, refusal_kind
from tessera.chain.reverts import revert_of, revert_reason
from tessera.errors import TransactionReverted

ERROR = bytes.fromhex("08c379a0") + encode("", ("string",), ("share: balance too low",))


@pytest.mark.parametrize(
    ("code", "said", "data"),
    [
        (3, "execution reverted: share: balance too low", f"0x{ERROR.hex()}"),
        (3, "execution reverted", f"0x{ERROR.hex()}"),
        (-32000, "execution reverted: share: balance too low", None),
        (-32015, "VM execution error.", f"Reverted 0x{ERROR.hex()}"),
        (-32603, "Internal JSON-RPC error.", {"code": 3, "data": f"0x{ERROR.hex()}"}),
        (-32000, "revert", {"hash": "0x1", "result": f"0x{ERROR.hex()}"}),
    ],
)
def test_every_form_of_a_revert_is_its_exception(code: int, said: str, data: object) -> None:
    error = revert_of(RpcRefused("eth_call", code, said, data), "Share", tx_hash="0x12")
    assert isinstance(error, ShareBalanceTooLow)
    assert error.tx_hash == "0x12"


def test_a_revert_without_a_reason_is_one_all_the_same() -> None:
    error = revert_of(RpcRefused("eth_call", 3, "execution reverted", "0x"), "Share")
    assert type(error) is TransactionReverted
    assert error.reason == ""


@pytest.mark.parametrize("said", ["nonce too low", "header not found", "insufficient funds"])
def test_what_is_no_revert_is_not_taken_for_one(said: str) -> None:
    assert revert_of(RpcRefused("eth_call", -32000, said), "Share") is None


def test_panics_and_foreign_errors_keep_their_bytes() -> None:
    panic = bytes.fromhex("4e487b71") + encode("", ("uint256",), (0x11,))
    assert revert_reason(panic) == "panic 0x11"
    assert revert_reason(b"\1\2\3\4") == "0x01020304"
    assert revert_reason(bytes.fromhex("08c379a0") + b"\xff") == "0x08c379a0ff"
    assert revert_reason(b"") == ""


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("already known", Refusal.KNOWN),
        ("ALREADY_EXISTS: already known", Refusal.KNOWN),
        ("Transaction with the same hash was already imported.", Refusal.KNOWN),
        ("transaction already imported", Refusal.KNOWN),
        ("nonce too low: next nonce 5, tx nonce 4", Refusal.NONCE_TOO_LOW),
        ("OldNonce, Current nonce: 5", Refusal.NONCE_TOO_LOW),
        ("Nonce too low", Refusal.NONCE_TOO_LOW),
        ("replacement transaction underpriced", Refusal.UNDERPRICED),
        ("could not replace existing tx", Refusal.UNDERPRICED),
        ("Transaction gas price supplied is too low to replace", Refusal.UNDERPRICED),
        ("insufficient funds for gas * price + value: balance 0", Refusal.UNFUNDED),
        ("Insufficient funds for gas * price + value", Refusal.UNFUNDED),
        ("Upfront cost exceeds account balance", Refusal.UNFUNDED),
        ("intrinsic gas too low", Refusal.OTHER),
        ("transaction underpriced", Refusal.OTHER),
    ],
)
def test_a_refused_transaction_is_understood(said: str, kind: Refusal) -> None:
    assert refusal_kind(RpcRefused("eth_sendRawTransaction", -32000, said)) is kind


def test_raised_fees_are_an_eighth_more_at_least() -> None:
    for fee in (0, 1, 7, 8, 10**9 + 3):
        raised = Fees(fee, fee).raised_ceil(Fees(0, 0))
        assert raised.max_fee * 8 >= fee * 9
        assert raised.max_fee > fee
    assert Fees(8, 8).raised_ceil(Fees(100, 1)) == Fees(100, 10)
