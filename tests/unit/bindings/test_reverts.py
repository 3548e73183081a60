"""Every refusal of a contract has a Python exception of its own."""

from __future__ import annotations

import re

import pytest

from tessera.bindings.reverts import CUSTOM_ERRORS, NEXT_STEPS, REVERTS, reverted
from tessera.chain.reverts import revert_reason
from tessera.contracts import SOURCES
from tessera.contracts.generate import revert_class
from tessera.errors import TransactionReverted
from tessera.spec.signatures import keccak

_CUSTOM = re.compile(r'raw_revert\(method_id\("(\w+\(\))"\)\)')
# A text behind a comma at the end of an assert, over however many lines, or behind raise.
_SAID = re.compile(r'(?:,|raise)\s*"([^"\n]+: [^"\n]+)"\s*(?:\n|$)')
_COMMENT_OR_DOC = re.compile(r'""".*?"""|#[^\n]*', re.DOTALL)


def said_in_the_sources() -> set[str]:
    found: set[str] = set()
    for file in [*SOURCES.glob("*.vy"), *(SOURCES / "modules").glob("*.vy")]:
        code = _COMMENT_OR_DOC.sub("", file.read_text())
        found.update(_SAID.findall(code), _CUSTOM.findall(code))
    return found


def test_every_revert_string_of_the_sources_has_an_exception() -> None:
    said = said_in_the_sources()
    assert len(said) > 80
    assert sorted(said - REVERTS.keys()) == []


def test_no_exception_is_for_a_string_that_no_source_says() -> None:
    assert sorted(REVERTS.keys() - said_in_the_sources()) == []


def test_every_condition_names_the_contract_or_module_that_speaks() -> None:
    """But for custom errors, whose names are a standard's and not ours."""
    own = REVERTS.keys() - CUSTOM_ERRORS.values()
    assert all(re.fullmatch(r"[a-z0-9_]+: \S.*[^.]", reason) for reason in own)


def test_four_bytes_are_read_as_the_error_that_they_stand_for() -> None:
    assert len(CUSTOM_ERRORS) > 20
    for selector, error in CUSTOM_ERRORS.items():
        assert keccak(error.encode())[:4] == selector
        assert revert_reason(selector) == error
        assert type(reverted("X402Channels", error)).__name__ == error.removesuffix("()")
    # Four other bytes, or more than four, are no error that we know.
    assert revert_reason(b"\x01\x02\x03\x04") == "0x01020304"
    assert revert_reason(selector + bytes(32)).startswith("0x")


@pytest.mark.parametrize(("reason", "kind"), sorted(REVERTS.items()))
def test_a_reason_becomes_its_exception(reason: str, kind: type[TransactionReverted]) -> None:
    error = reverted("Share", reason, "0xabc", function="transfer")
    assert type(error) is kind
    assert kind.__name__ == revert_class(reason)
    assert (error.reason, error.tx_hash, error.operands["function"]) == (
        reason,
        "0xabc",
        "transfer",
    )
    assert reason in error.message
    assert NEXT_STEPS.get(reason, "") in error.message


def test_an_unknown_reason_becomes_the_general_exception() -> None:
    error = reverted("Share", "stranger: no")
    assert type(error) is TransactionReverted
    assert "stranger: no" in error.message


def test_codes_are_stable_and_different() -> None:
    codes = [kind.code for kind in REVERTS.values()]
    assert len(set(codes)) == len(codes)
    assert REVERTS["share: balance too low"].code == "share_balance_too_low"
