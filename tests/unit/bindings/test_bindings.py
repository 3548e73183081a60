"""The generated modules encode, decode and type what the contracts say."""

from __future__ import annotations

import subprocess
import sys

import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from tessera.bindings import CONTRACTS, Channels, Registry, Share
from tessera.bindings.channels import Line, Reason, VoucherSkipped
from tessera.bindings.codec import checksummed, encode
from tessera.bindings.logs import decode_event
from tessera.bindings.registry import (
    AssetRegistered,
    EndpointTerms,
    Kind,
    Parent,
    Price,
    Publication,
    Release,
)
from tessera.bindings.share import Transfer
from tessera.contracts import artifact_names, load_artifact
from tessera.contracts.generate import generate
from tessera.errors import DataError, InputError

HOLDER = "0x" + "11" * 20
ASSET = 2**240 - 1


def publication(root: bytes = b"\3" * 32) -> Publication:
    return Publication(
        slug="digits",
        kind=Kind.MODEL,
        salt=b"\1" * 32,
        contributions=b"\2" * 32,
        parents=(Parent(ASSET, 250),),
        release=Release(root, 1, "ipfs://x"),
    )


def test_every_artifact_has_a_binding() -> None:
    assert sorted(CONTRACTS) == artifact_names()


def test_bindings_are_what_the_artifacts_give() -> None:
    assert generate(check=True) == []


def test_a_call_is_selector_and_arguments() -> None:
    call = Share(HOLDER).transfer(HOLDER, 7)
    assert call.data == keccak(text="transfer(address,uint256)")[:4] + encode(
        "", ("address", "uint256"), (HOLDER, 7)
    )
    assert call.decode(encode("", ("bool",), (True,))) is True
    assert str(call) == "Share.transfer"


def test_default_arguments_choose_the_shorter_function() -> None:
    assert Share(HOLDER).claim().data == keccak(text="claim()")[:4]
    assert Share(HOLDER).claim(HOLDER).data[:4] == keccak(text="claim(address)")[:4]


def test_structs_go_in_and_come_out_as_dataclasses() -> None:
    endpoint = EndpointTerms(HOLDER, 100, Price(1, 2, 3), "http://127.0.0.1")
    call = Registry(HOLDER).publish(publication(), endpoint)
    assert call.decode(encode("", ("uint256",), (ASSET,))) == ASSET
    parents = Registry(HOLDER).parents_of(ASSET)
    answer = encode("", ("(uint256,uint256)[]",), ([Parent(5, 6)],))
    assert parents.decode(answer) == (Parent(5, 6),)


def test_a_root_of_the_wrong_length_is_refused_and_not_padded() -> None:
    endpoint = EndpointTerms(HOLDER, 0, Price(0, 0, 0), "")
    with pytest.raises(InputError, match=r"Registry\.publish.*31 bytes long"):
        Registry(HOLDER).publish(publication(b"\3" * 31), endpoint)


@pytest.mark.parametrize("amount", [-1, 2**256, "7", 1.0])
def test_a_value_that_does_not_fit_is_refused(amount: object) -> None:
    with pytest.raises(InputError, match=r"arguments of Share\.transfer"):
        Share(HOLDER).transfer(HOLDER, amount)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["", "0x12", "alice", HOLDER + "11", 7, None])
def test_an_address_that_is_none_is_refused(address: object) -> None:
    with pytest.raises(InputError, match="address of Share"):
        Share(address)  # type: ignore[arg-type]


@given(st.binary(min_size=20, max_size=20))
def test_addresses_are_written_as_the_ecosystem_writes_them(raw: bytes) -> None:
    wanted = to_checksum_address(raw)
    for form in (wanted, f"0x{raw.hex()}", f"0x{raw.hex().upper()}"):
        assert checksummed(form) == wanted


def test_a_mistyped_address_is_refused_by_its_checksum() -> None:
    right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    with pytest.raises(InputError, match="right checksum"):
        Share(right.replace("aAeb", "aAEb"))
    assert Share(right).address == right


def test_events_come_out_typed_with_checksummed_addresses() -> None:
    topics = [
        AssetRegistered.TOPIC,
        encode("", ("uint256",), (ASSET,)),
        encode("", ("address",), (HOLDER,)),
    ]
    data = encode(
        "",
        AssetRegistered.BODY,
        (1, Kind.DATASET, "digits", b"\2" * 32, [Parent(1, 2)]),
    )
    event = decode_event(topics, data)
    assert event == AssetRegistered(
        asset=ASSET,
        creator="0x1111111111111111111111111111111111111111",
        number=1,
        kind=Kind.DATASET,
        slug="digits",
        contributions=b"\2" * 32,
        parents=(Parent(1, 2),),
    )


def test_a_text_that_is_no_utf8_does_not_stop_the_reader() -> None:
    data = bytearray(encode("", AssetRegistered.BODY, (1, 1, "digits", b"\2" * 32, [])))
    at = data.index(b"digits")
    data[at : at + 2] = b"\xff\xfe"
    topics = [AssetRegistered.TOPIC, b"\0" * 32, b"\0" * 32]
    event = AssetRegistered.decode(topics, bytes(data))
    assert event.slug == "\\xff\\xfegits"


def test_a_transfer_of_a_token_and_of_a_title_are_told_apart_by_their_topics() -> None:
    word = encode("", ("address",), (HOLDER,))
    erc20 = decode_event([Transfer.TOPIC, word, word], encode("", ("uint256",), (5,)))
    erc721 = decode_event([Transfer.TOPIC, word, word, b"\0" * 32], b"")
    assert erc20 is not None
    assert erc721 is not None
    assert type(erc20).__name__ == type(erc721).__name__ == "Transfer"
    assert (erc20.CONTRACT, erc721.CONTRACT) == ("Access", "Registry")


def test_a_known_contract_decides_between_events_of_one_signature() -> None:
    word = encode("", ("address",), (HOLDER,))
    topics, data = [Transfer.TOPIC, word, word], encode("", ("uint256",), (5,))
    for contract in ("Access", "Share", "TestDollar"):
        event = decode_event(topics, data, contract=contract)
        assert event is not None
        assert contract == event.CONTRACT


def test_a_strangers_log_is_no_event_of_ours() -> None:
    assert decode_event([], b"") is None
    assert decode_event([b"\7" * 32], b"") is None
    assert decode_event([Transfer.TOPIC, b"\0" * 32, b"\0" * 32], b"\1") is None
    with pytest.raises(DataError, match=r"wanted Share\.Transfer"):
        Transfer.decode([b"\7" * 32], b"")


def test_flags_are_bits_as_in_the_contract() -> None:
    assert [reason.value for reason in Reason] == [1, 2, 4, 8, 16, 32]
    topics = [VoucherSkipped.TOPIC, b"\0" * 32, encode("", ("uint256",), (9,))]
    event = VoucherSkipped.decode(topics, encode("", ("uint256",), (Reason.NOT_GRANTED,)))
    assert event.reason is Reason.NOT_GRANTED


def test_a_filter_has_only_the_topics_that_were_chosen() -> None:
    word = encode("", ("address",), (HOLDER,))
    assert Transfer.topics() == (Transfer.TOPIC,)
    assert Transfer.topics(receiver=HOLDER) == (Transfer.TOPIC, None, word)
    assert Transfer.topics(sender=HOLDER) == (Transfer.TOPIC, word)


def test_an_answer_of_another_contract_is_refused() -> None:
    with pytest.raises(DataError, match=r"answer of Share\.balanceOf"):
        Share(HOLDER).balanceOf(HOLDER).decode(b"\1\2")


def test_sequences_of_structs_are_taken_as_arguments() -> None:
    lines = [Line(asset=1, terms=2, maximum=3), Line(asset=2, terms=2, maximum=3)]
    receipt_call = Channels(HOLDER).channel_number(HOLDER, HOLDER, b"\0" * 32)
    assert receipt_call.decode(encode("", ("uint256",), (2**64 - 1,))) == 2**64 - 1
    assert encode("", ("(uint256,uint256,uint256)[]",), (lines,)) == encode(
        "", ("(uint256,uint256,uint256)[]",), ([(1, 2, 3), (2, 2, 3)],)
    )


def test_immutables_are_in_order_behind_the_code() -> None:
    immutables = load_artifact("Channels").immutables
    assert immutables[0] == ("CURRENCY", 0, 32)
    assert [at for _, at, _ in immutables] == sorted(at for _, at, _ in immutables)


def test_naming_the_bindings_loads_no_codec() -> None:
    code = (
        "import sys, tessera.bindings, tessera.bindings.share, tessera.bindings.reverts\n"
        "assert 'eth_abi' not in sys.modules and 'eth_utils' not in sys.modules\n"
        "assert 'tessera.bindings.registry' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
