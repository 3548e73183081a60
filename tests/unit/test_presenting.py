"""A refusal crosses a door as JSON and is itself again behind it."""

from __future__ import annotations

import json

import pytest

from tessera.bindings.reverts import ChannelsBalanceTooLow
from tessera.errors import (
    BackendFailed,
    ChainError,
    InputError,
    InvariantViolation,
    NotFound,
    PaymentRequired,
    QuotaExceeded,
    TesseraError,
    Unprocessable,
)
from tessera.presenting import error_body, error_of, exit_code, openai_error_body


@pytest.mark.parametrize("kind", [InputError, NotFound, Unprocessable, PaymentRequired])
@pytest.mark.parametrize("body_of", [error_body, openai_error_body])
def test_kind_sentence_and_details_come_back(kind: type[TesseraError], body_of: object) -> None:
    sent = kind("row 0", found="2 columns", wanted="64", next_step="send 64", row=0)
    assert callable(body_of)
    back = error_of(json.loads(json.dumps(body_of(sent, "r1"))))
    assert type(back) is kind
    assert str(back) == back.message == str(sent)
    assert back.details() == sent.details()
    assert exit_code(back) == exit_code(sent)


def test_the_object_that_the_official_client_keeps_is_enough() -> None:
    inner = openai_error_body(Unprocessable("input", found="", wanted="a text"))["error"]
    assert isinstance(error_of(inner, 422), Unprocessable)


def test_what_a_contract_said_is_an_error_of_the_chain() -> None:
    sent = ChannelsBalanceTooLow("Channels", "channels: balance too low")
    back = error_of(error_body(sent))
    assert type(back) is ChainError
    assert back.message == sent.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InputError), (402, PaymentRequired), (418, InputError), (429, QuotaExceeded),
     (502, BackendFailed), (None, TesseraError)],
)  # fmt: skip
def test_without_a_code_of_ours_the_status_decides(
    status: int | None, kind: type[TesseraError]
) -> None:
    assert type(error_of({"message": "no", "code": "whatever"}, status)) is kind


@pytest.mark.parametrize(
    "body",
    [None, "no", [], {}, {"error": 7}, {"error": {"message": 7, "details": [1], "code": []}},
     {"message": "no", "details": {"self": 1, "found": None, "thing": 7}}],
)  # fmt: skip
def test_any_body_makes_a_refusal(body: object) -> None:
    assert isinstance(error_of(body, 500), BackendFailed)


def test_a_stranger_writes_nothing_but_text_on_a_terminal() -> None:
    back = error_of({"message": "\x1b[2Jall is well\n" + "x" * 10_000}, 400, about="model digits")
    assert back.message.startswith("model digits:  [2Jall is well x")
    assert back.message.isprintable()
    assert len(back.message) < 2_100


def test_a_strangers_broken_invariant_is_not_our_mistake() -> None:
    """A hostile gateway answers `invariant_violation`, so that its consumer reports a bug."""
    body = error_body(InvariantViolation("ledger", found=1, wanted=2))
    assert type(error_of(body, 500)) is BackendFailed
    assert type(error_of(body)) is InvariantViolation
