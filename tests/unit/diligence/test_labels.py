"""What an address is: the order of classes, code, pools, and files that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tessera.diligence.labels import (
    _NAMES,
    _PUBLIC,
    AddressClass,
    Label,
    Labels,
    classify,
    is_pool,
    is_wallet_code,
    labels_of,
    read_labels,
    shipped_labels,
)
from tessera.diligence.subject import Holders, People, Subject
from tessera.errors import DataError, InputError, NotFound
from tessera.facts import ZERO, Addresses, Facts, Head, Read
from tessera.facts.memory import Memory

TOKEN, POOL, HOT, STAKE, SAFE, LENT = (f"0x{i:040x}" for i in range(0x10, 0x16))
DEAD = "0x000000000000000000000000000000000000dead"
TOKEN0, TOKEN1 = bytes.fromhex("0dfe1681"), bytes.fromhex("d21220a7")


def word(address: str) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])


def names(classes, addresses: Addresses) -> dict[str, str]:
    return {
        address: AddressClass(int(code)).name
        for address, code in zip(addresses, classes.codes, strict=True)
    }


def test_the_shipped_table_reads_and_says_where_it_is_from():
    labels = shipped_labels(1)
    assert "MIT" in labels.version
    assert labels.by_address[DEAD].klass == AddressClass.BURN
    # What etherscan-labels calls Binance 14.
    binance = labels.by_address["0x28c6c06298d514db089934071355e5743bf21d60"]
    assert binance.klass == AddressClass.EXCHANGE
    assert binance.owner == "binance"
    assert any(label.public for label in labels.by_address.values())
    kinds = {label.klass for label in labels.by_address.values()}
    assert {0, 1, 2, 3, 4, 5} <= kinds
    # A chain that nobody labelled has only what holds everywhere.
    assert set(shipped_labels(31337).by_address) == {
        ZERO, f"0x{1:040x}", DEAD, "0xdead000000000000000042069420694206942069",
    }  # fmt: skip


def test_no_token_is_an_exchange():
    """A source that calls a token of an exchange an exchange would take holders out of top10."""
    assert not [
        label.name
        for chain in (1, 56, 137)
        for label in shipped_labels(chain).by_address.values()
        if label.klass == AddressClass.EXCHANGE and label.name.endswith(")")
    ]


def test_code_tells_contracts_from_wallets_and_pools_from_contracts():
    addresses = Addresses.of([TOKEN, POOL, HOT, STAKE, SAFE, LENT])
    codes = {TOKEN: b"\1", POOL: b"\1\2", HOT: b"", STAKE: b"\3", LENT: b"\xef\1\0" + bytes(20)}
    found = classify(
        addresses,
        Labels("test", {STAKE: Label(AddressClass.STAKING)}),
        token=TOKEN,
        largest=range(1, len(addresses)),
        code_of=codes.get,
        pool={POOL}.__contains__,
    )
    assert names(found, addresses) == {
        ZERO: "BURN", TOKEN: "CONTRACT", POOL: "DEX_POOL", HOT: "WALLET", STAKE: "STAKING",
        SAFE: "UNSEEN", LENT: "WALLET",
    }  # fmt: skip
    assert found.looked_at == 5


def test_who_signs_is_a_wallet_and_is_not_asked_for():
    addresses = Addresses.of([SAFE])

    def never(address: str) -> bytes | None:
        raise AssertionError(address)

    found = classify(
        addresses, Labels("", {}), largest=[1], code_of=never, signers=[SAFE, "0x" + "9" * 40]
    )
    assert names(found, addresses)[SAFE] == "WALLET"


def test_an_analysts_word_comes_before_the_shipped_one():
    about = Subject(
        token=TOKEN,
        labels={DEAD: "wallet", POOL: "Pool"},
        people=People(team=(SAFE,), treasury=(HOT,)),
        holders=Holders(burns=(LENT,)),
    )
    said = labels_of(about, 1).by_address
    assert said[DEAD].klass == AddressClass.WALLET
    assert said[POOL].klass == AddressClass.DEX_POOL
    assert said[SAFE].klass == said[HOT].klass == AddressClass.TEAM
    assert said[LENT].klass == AddressClass.BURN


def test_attack_a_contract_that_lies_about_being_a_pool():
    """A holder that answers `token0` looks like a pool and leaves the ten largest.

    It has to name the token and another, both as addresses; whoever does is counted as a pool, and
    a pool whose own token shows no owners stays visible as `opaque_share`.
    """

    def facts(*answers: Read | None) -> Facts:
        asked = zip((TOKEN0, TOKEN1), answers, strict=True)
        held = {(POOL, call): (read,) for call, read in asked if read is not None}
        return Facts(Memory(chain_id=1, newest=Head(9, 9), held={}, answers=held))

    mine, other = Read(1, ok=True, answer=word(TOKEN)), Read(1, ok=True, answer=word(HOT))
    assert is_pool(facts(mine, other), POOL, TOKEN)
    assert is_pool(facts(other, mine), POOL, TOKEN)
    assert not is_pool(facts(mine, mine), POOL, TOKEN)
    assert not is_pool(facts(mine, None), POOL, TOKEN)
    assert not is_pool(facts(other, other), POOL, TOKEN)
    assert not is_pool(facts(mine, Read(1, ok=False, answer=word(HOT))), POOL, TOKEN)
    assert not is_pool(facts(mine, Read(1, ok=True, answer=b"\1")), POOL, TOKEN)


def test_a_wallet_that_borrows_code_is_a_wallet():
    assert is_wallet_code(b"")
    assert is_wallet_code(bytes.fromhex("ef0100") + bytes(20))
    assert not is_wallet_code(bytes.fromhex("ef0100") + bytes(21))
    assert not is_wallet_code(b"\x60")


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"who,what\n", DataError, "columns"),
        (b"address,class\n0x12,exchange\n", DataError, "line 2: address"),
        (f"address,class\n{HOT},bank\n".encode(), NotFound, "bank"),
        (f"address,class\n{HOT}\n".encode(), DataError, "line 2"),
        (f"address,class\n{HOT},exchange,1,2\n".encode(), DataError, "line 2"),
        (f"chain,address,class\none,{HOT},exchange\n".encode(), DataError, "chain"),
        (b"address,class\n\xff\xfe\n", DataError, "labels.csv"),
        (b"", DataError, "columns"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, content: bytes, error, said: str):
    file = tmp_path / "labels.csv"
    file.write_bytes(content)
    with pytest.raises(error, match=said):
        read_labels(file, 1)


def test_a_file_is_for_its_chain(tmp_path: Path):
    file = tmp_path / "labels.csv"
    shouted = "0x" + SAFE[2:].upper()
    file.write_text(f"address,class,chain,owner\n{HOT},exchange,56,us\n{shouted},team,,\n")
    assert set(read_labels(file, 1).by_address) == {SAFE}
    assert read_labels(file, 56).by_address[HOT] == Label(AddressClass.EXCHANGE, "us")
    with pytest.raises(InputError, match="No such file"):
        read_labels(tmp_path / "none.csv", 1)


def test_the_page_lists_every_word():
    page = Path(__file__).parents[3] / "docs/explain/holders.md"
    said = page.read_text()
    for word_ in (*_NAMES, *_PUBLIC):
        assert f"`{word_}`" in said


def test_members_are_a_mask():
    found = classify(Addresses.of([DEAD]), shipped_labels(1))
    assert np.array_equal(found.members(AddressClass.BURN), [True, True])
