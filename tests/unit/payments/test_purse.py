"""A consumer's own books: what is signed never exceeds what was used plus what is in flight."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.payments.conftest import CONSUMER, DOMAIN, KEY, OPERATOR, OTHER, sign

from tessera.errors import DataError, InputError, SignatureRejected, StorageFull
from tessera.payments.header import SignedReceipt
from tessera.payments.purse import Purse, Ticket
from tessera.spec.signatures import keccak
from tessera.spec.vouchers import Receipt, TillKey, receipt_digest

CHANNEL = 77
REQUEST = keccak(b"request")
FLIGHT = {
    "call": f"{1:032x}",
    "asset": str(KEY.asset),
    "terms": KEY.terms,
    "maximum": "5",
    "request": REQUEST.hex(),
}


def purse(file: Path | None = None) -> Purse:
    return Purse(DOMAIN, OPERATOR.address, CHANNEL, CONSUMER, file)


def ticket(number: int, maximum: int, key: TillKey = KEY) -> Ticket:
    return Ticket(f"{number:032x}", key, maximum, REQUEST)


def receipt(charged: int, key: TillKey = KEY, request: bytes = REQUEST) -> SignedReceipt:
    made = Receipt(CHANNEL, key.asset, 1, key.terms, charged, request, bytes(32), 1, 1, 1)
    return SignedReceipt(made, OPERATOR.sign(receipt_digest(DOMAIN, made)), 0, "0" * 32)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "end", "fail", "lose"]),
            st.sampled_from([KEY, OTHER]),
            st.integers(0, 100),
            st.integers(0, 100),
        ),
        max_size=40,
    )
)
def test_a_voucher_is_worth_what_was_used_plus_what_is_in_flight(
    steps: list[tuple[str, TillKey, int, int]],
) -> None:
    own = purse()
    flying: dict[TillKey, list[Ticket]] = {KEY: [], OTHER: []}
    charged = {KEY: 0, OTHER: 0}
    for number, (step, key, maximum, share) in enumerate(steps):
        if step == "begin":
            made = ticket(number, maximum, key)
            flying[key].append(made)
            signed = own.begin(made).voucher
            for line in signed.lines:
                most = charged[line.key] + sum(t.maximum for t in flying[line.key])
                assert line.maximum == most
        elif flying[key]:
            made = flying[key].pop()
            if step == "end":
                charged[key] += made.maximum * share // 100
                own.end(made, receipt(charged[key], key), bytes(32))
            elif step == "fail":
                own.cancel(made)
            else:
                own.lose(made)
                flying[key].insert(0, made)
    assert own.charged == sum(charged.values())
    assert own.in_flight() == sum(t.maximum for found in flying.values() for t in found)


def test_attack_calls_in_flight_are_not_signed_for_twice() -> None:
    """Ten calls are always in flight. With its first receipt the operator claims what all ten may
    cost, which is signed for; the nine others are in flight still, so the next voucher is for
    twice as much, and so on: each call is answered, and costs the tenfold of its most."""
    own = purse()
    flying = [ticket(number, 10) for number in range(10)]
    signed = 0
    for one in flying:
        signed = own.begin(one).voucher.maximum(KEY)
    for number in range(10, 100):
        own.end(flying.pop(0), receipt(signed), bytes(32))
        flying.append(ticket(number, 10))
        signed = own.begin(flying[-1]).voucher.maximum(KEY)
        assert own.exposed == signed <= 10 * (number + 1)


def test_a_total_that_another_client_signed_leaves_room_for_calls_in_flight() -> None:
    """Two machines with the same key call in turn, each with a file of its own."""
    here, there = purse(), purse()
    there.begin(ticket(1, 500))
    there.end(ticket(1, 500), receipt(500), bytes(32))
    flying = ticket(2, 10)
    here.begin(flying)
    here.learn(receipt(500), sign(CHANNEL, (KEY, 500)))
    assert here.begin(ticket(3, 10)).voucher.maximum(KEY) == 520


def test_a_receipt_about_another_call_is_refused() -> None:
    own = purse()
    made = ticket(1, 100)
    own.begin(made)
    with pytest.raises(SignatureRejected, match="request"):
        own.end(made, receipt(50, request=bytes(32)), None)
    with pytest.raises(SignatureRejected, match="response"):
        own.end(made, receipt(50), keccak(b"another answer"))
    with pytest.raises(SignatureRejected, match="that were signed"):
        own.end(made, receipt(101), None)
    assert own.in_flight() == 100
    assert own.end(made, receipt(50), bytes(32)) == 50


def test_a_restart_remembers_what_was_signed_and_what_was_in_flight(tmp_path: Path) -> None:
    file = tmp_path / "purse.json"
    own = purse(file)
    done, lost = ticket(1, 100), ticket(2, 30)
    own.begin(done)
    own.end(done, receipt(60), bytes(32))
    own.begin(lost)
    own.close()
    again = purse(file)
    assert (again.charged, again.exposed, again.lost) == (60, 100, [lost])
    assert again.begin(ticket(3, 5)).voucher.maximum(KEY) == 60 + 30 + 5
    again.close()


def test_nothing_is_signed_that_could_not_be_written(tmp_path: Path) -> None:
    file = tmp_path / "gone" / "purse.json"
    own = purse(file)
    (tmp_path / "gone" / "purse.lock").unlink()
    (tmp_path / "gone").rmdir()
    with pytest.raises(StorageFull):
        own.begin(ticket(1, 100))
    assert (own.in_flight(), own.exposed) == (0, 0)
    own.close()


def test_a_damaged_file_is_not_guessed_at(tmp_path: Path) -> None:
    file = tmp_path / "purse.json"
    file.write_text("{")
    with pytest.raises(DataError, match="what this client wrote"):
        purse(file)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"lines": [{"asset": "x", "terms": 1}]},
        {"lines": [{"asset": "7", "terms": 1, "charged": "-5"}]},
        {"flights": [{**FLIGHT, "request": "zz"}]},
        {"flights": [{**FLIGHT, "call": "../receipts"}]},
    ],
)
def test_a_file_that_this_client_did_not_write_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    file = tmp_path / "purse.json"
    own = purse(file)
    own.begin(ticket(1, 5))
    own.close()
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(DataError, match="what this client wrote"):
        purse(file)


def test_a_call_in_flight_on_a_line_of_its_own_does_not_stop_further_calls(tmp_path: Path) -> None:
    file = tmp_path / "purse.json"
    own = purse(file)
    own.begin(ticket(1, 5))
    own.close()
    file.write_text(json.dumps(json.loads(file.read_text()) | {"lines": [], "flights": [FLIGHT]}))
    again = purse(file)
    assert again.begin(ticket(2, 3)).voucher.maximum(KEY) == 5 + 3
    again.close()


def test_what_a_power_cut_emptied_comes_back_from_the_operators_proof(tmp_path: Path) -> None:
    file = tmp_path / "purse.json"
    file.write_bytes(b"")
    own = purse(file)
    own.learn(receipt(80), sign(CHANNEL, (KEY, 80)))
    assert own.charged == 80
    own.close()


def test_a_receipt_of_nothing_takes_none_of_the_sixteen_lines() -> None:
    """An operator that showed one for a line never paid for ended the client with a KeyError."""
    own = purse()
    own.learn(receipt(0, OTHER), None)
    assert own.keys() == []


def test_a_file_of_another_channel_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "purse.json"
    own = purse(file)
    own.begin(ticket(1, 5))
    own.close()
    with pytest.raises(DataError):
        Purse(DOMAIN, OPERATOR.address, CHANNEL + 1, CONSUMER, file)


def test_proof_of_the_past_is_our_own_signature() -> None:
    """The consumer has lost its file. The operator shows a receipt; it is believed only as far
    as the voucher beside it, which the consumer alone can have signed, reaches."""
    with pytest.raises(SignatureRejected, match="that were signed"):
        purse().learn(receipt(80), None)
    with pytest.raises(SignatureRejected, match="that were signed"):
        purse().learn(receipt(80), sign(CHANNEL, (KEY, 80), signer=OPERATOR))
    with pytest.raises(SignatureRejected, match="that were signed"):
        purse().learn(receipt(81), sign(CHANNEL, (KEY, 80)))
    own = purse()
    own.learn(receipt(80), sign(CHANNEL, (KEY, 80)))
    assert own.charged == 80


def test_a_channel_has_sixteen_lines() -> None:
    own = purse()
    for number in range(16):
        own.begin(ticket(number, 1, TillKey(number, 1)))
    with pytest.raises(InputError, match="another channel"):
        own.begin(ticket(16, 1, TillKey(16, 1)))
