"""The error tree: one clear line, stable codes, and what every door makes of each class."""

from __future__ import annotations

import enum
import json
import pickle
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera import errors, presenting
from tessera.errors import (
    BackendFailed,
    Busy,
    ChainError,
    Conflict,
    DataError,
    InputError,
    InvariantViolation,
    NotAllowed,
    NotFinal,
    NotFound,
    Overloaded,
    PaymentRequired,
    QuotaExceeded,
    RiskReached,
    RpcUnavailable,
    ServingError,
    TesseraError,
    TooBusy,
    TransactionReverted,
    did_you_mean,
)


def tree(kind: type[TesseraError] = TesseraError) -> Iterator[type[TesseraError]]:
    yield kind
    for below in kind.__subclasses__():
        # Rooms grow the tree; here we judge what `tessera.errors` draws.
        if below.__module__ == errors.__name__:
            yield from tree(below)


def example(kind: type[TesseraError]) -> TesseraError:
    if issubclass(kind, TransactionReverted):
        return kind("Channels", "channels: closed", "0xab")
    return kind("price", found=-1, wanted="0 or more", next_step="edit tessera.toml", asset=2**200)


def test_a_message_names_thing_found_wanted_and_next_step() -> None:
    error = InputError("price", found="1,5", wanted="a number", next_step="write 1.5")
    assert str(error) == "price: found '1,5', wanted a number; write 1.5"
    assert (error.thing, error.found, error.wanted) == ("price", "1,5", "a number")


def test_a_message_needs_no_more_than_the_thing() -> None:
    assert str(Conflict("channel 7 is closed")) == "channel 7 is closed"
    assert str(Conflict("channel 7", next_step="open one")) == "channel 7; open one"
    assert str(InputError("seed", found=None)) == "seed: found None"


def test_a_long_value_is_shortened_in_the_message_and_whole_in_the_operands() -> None:
    error = InputError("body", found="x" * 10_000)
    assert len(str(error)) < 300
    assert error.found == "x" * 10_000


def test_a_revert_keeps_contract_reason_and_transaction() -> None:
    error = TransactionReverted("Channels", "channels: closed", "0xab", next_step="open one")
    assert str(error) == ("Channels reverted: channels: closed (transaction 0xab); open one")
    assert (error.contract, error.reason, error.tx_hash) == ("Channels", "channels: closed", "0xab")
    assert str(TransactionReverted("0x12", "")) == "0x12 reverted: no reason given"


def test_an_unknown_name_gets_the_nearest_one_and_what_exists() -> None:
    error = NotFound.among("model", "Sentimnt", ["sentiment", "digits"], next_step="tessera assets")
    assert "did you mean 'sentiment'?; tessera assets" in str(error)
    assert "one of digits, sentiment" in str(error)
    assert "there is none yet" in str(NotFound.among("model", "x", []))
    assert "and 12 more" in str(NotFound.among("model", "zzz", [f"m{n}" for n in range(20)]))


def test_did_you_mean_is_silent_where_nothing_is_near() -> None:
    assert did_you_mean("zzz", ["publish", "offer"]) == ""
    assert did_you_mean("publsh", ["publish", "offer"]) == "did you mean 'publish'?"


def test_did_you_mean_writes_what_one_would_type() -> None:
    class Kind(enum.StrEnum):
        MODEL = "model"

    assert did_you_mean("modle", list(Kind)) == "did you mean 'model'?"


def test_codes_are_unique_and_stable() -> None:
    codes = {kind.code: kind for kind in tree()}
    assert len(codes) == len(list(tree()))
    assert set(codes) == {
        "error", "input_error", "not_found", "unprocessable", "too_large", "not_allowed",
        "signature_rejected", "payment_required", "conflict", "closed", "stale_quote", "busy",
        "chain_error", "rpc_unavailable", "wrong_chain", "not_final", "reorg_detected",
        "transaction_reverted", "data_error", "storage_full", "serving_error", "backend_failed",
        "quota_exceeded", "overloaded", "meter_mismatch", "invariant_violation",
        "key_revoked", "too_busy", "risk_reached", "insufficient_quota", "wrong_version_served",
        "model_differs",
    }  # fmt: skip


def test_the_tree_drawn_at_the_top_is_the_tree_and_every_class_is_exported() -> None:
    names = {kind.__name__ for kind in tree()}
    assert names <= set(errors.__all__)
    for kind in tree():
        assert kind.__name__ in (errors.__doc__ or "")


def test_only_what_mends_itself_is_retryable() -> None:
    assert {kind for kind in tree() if kind.retryable} == {
        Busy, RpcUnavailable, NotFinal, BackendFailed, QuotaExceeded, Overloaded,
        TooBusy, RiskReached,
    }  # fmt: skip


def test_a_room_may_state_its_own_code() -> None:
    class ShelfEmpty(DataError):
        code = "shelf.empty"

    assert ShelfEmpty("x").code == "shelf.empty"


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling(kind: type[TesseraError]) -> None:
    error = example(kind)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.details(), again.code) == (str(error), error.details(), error.code)


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code_a_status_and_both_bodies(kind: type[TesseraError]) -> None:
    error = example(kind)
    assert 0 < presenting.exit_code(error) < 126
    assert 400 <= presenting.http_status(error) < 600
    body = presenting.error_body(error, "request-1")
    assert (body["ok"], body["code"], body["message"]) == (False, kind.code, str(error))
    assert body["request_id"] == "request-1"
    inner = presenting.openai_error_body(error)["error"]
    assert isinstance(inner, dict)
    assert {"message", "type", "param", "code"} <= set(inner)
    json.dumps([body, inner], allow_nan=False)


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        (InputError, 2, 400), (NotFound, 2, 404), (NotAllowed, 3, 403), (PaymentRequired, 3, 402),
        (Conflict, 4, 409), (ChainError, 5, 502), (RpcUnavailable, 5, 503), (DataError, 6, 500),
        (ServingError, 7, 502), (QuotaExceeded, 7, 429), (Overloaded, 7, 503),
        (InvariantViolation, 70, 500),
    ],
)  # fmt: skip
def test_doors_map_as_the_design_says(kind: type[TesseraError], code: int, status: int) -> None:
    assert presenting.exit_code(kind("x")) == code
    assert presenting.http_status(kind("x")) == status


def test_a_class_of_a_room_leaves_by_the_door_of_its_parent() -> None:
    class ChannelClosed(errors.Closed):
        pass

    assert ChannelClosed.code == "channel_closed"
    assert presenting.exit_code(ChannelClosed("x")) == 4
    assert presenting.http_status(ChannelClosed("x")) == 409


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.integers(), inner),
    max_leaves=8,
)


@given(values)
def test_details_are_json_whatever_the_operands(value: object) -> None:
    json.dumps(InputError("x", found=value, also=value).details(), allow_nan=False)


def test_details_keep_large_integers_exact() -> None:
    details = InputError("x", asset=2**200, small=7, digest=b"\x01\xff").details()
    assert details == {"thing": "x", "asset": str(2**200), "small": 7, "digest": "0x01ff"}
