"""The rig writes and reads ABI words itself; it does so as eth_abi does, refusals included."""

from __future__ import annotations

from typing import Any

import eth_abi
import pytest
from eth_abi.exceptions import DecodingError, EncodingError
from hypothesis import given
from hypothesis import strategies as st
from rig import abi

NUMBERS = st.integers(1, 32).map(lambda size: size * 8)
PLAIN = st.one_of(
    st.sampled_from(["address", "bool", "bytes", "string"]),
    NUMBERS.map(lambda bits: f"uint{bits}"),
    NUMBERS.map(lambda bits: f"int{bits}"),
    st.integers(1, 32).map(lambda size: f"bytes{size}"),
)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        inner,
        inner.map(lambda kind: f"{kind}[]"),
        st.tuples(inner, st.integers(1, 3)).map(lambda pair: f"{pair[0]}[{pair[1]}]"),
        st.lists(inner, min_size=1, max_size=4).map(lambda kinds: f"({','.join(kinds)})"),
    )


KINDS = nested(nested(PLAIN))
REFUSALS = (EncodingError, DecodingError, ValueError, OverflowError)


def values(kind: str) -> st.SearchStrategy[Any]:
    if kind.endswith("]"):
        of, _, size = kind[:-1].rpartition("[")
        bounds = {"min_size": int(size), "max_size": int(size)} if size else {"max_size": 3}
        return st.lists(values(of), **bounds).map(tuple)
    if kind.startswith("("):
        return st.tuples(*map(values, abi._parts(kind)))
    if kind.startswith("uint"):
        return st.integers(0, 2 ** int(kind[4:]) - 1)
    if kind.startswith("int"):
        end = 2 ** (int(kind[3:]) - 1)
        return st.integers(-end, end - 1)
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(lambda raw: f"0x{raw.hex()}")
    if kind == "bool":
        return st.booleans()
    if kind == "string":
        return st.text(max_size=40)
    size = int(kind[5:] or 0)
    return st.binary(min_size=size, max_size=size or 70)


def outcome(read: Any, *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except REFUSALS as error:
        return type(error)


@given(st.data())
def test_what_is_written_and_read_is_the_same(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(KINDS, max_size=4))
    given_values = data.draw(st.tuples(*map(values, kinds)))
    written = abi.encode(kinds, given_values)
    assert written == eth_abi.encode(kinds, given_values)
    assert abi.decode(kinds, written) == eth_abi.decode(kinds, written) == given_values
    # Bytes that nobody would write, and fewer of them.
    place = data.draw(st.integers(0, len(written)))
    spoiled = written[:place] + data.draw(st.binary(max_size=2)) + written[place + 1 :]
    assert outcome(abi.decode, kinds, spoiled) == outcome(eth_abi.decode, kinds, spoiled)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256), ("uint8", -1), ("uint8", True), ("uint256", 2**256), ("int8", 128),
        ("int8", -129), ("bool", 1), ("address", "0x12"), ("address", "11" * 21),
        ("address", "0x" + "zz" * 20), ("bytes4", b"12345"), ("bytes4", b"12"), ("bytes", "0x12"),
        ("string", b"text"), ("uint8[2]", [1]), ("(uint8,bool)", (1,)), ("uint8[]", 3),
        ("uint8", "3"), ("bytes32", bytearray(32)),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_eth_abis(kind: str, value: object) -> None:
    assert outcome(abi.encode, [kind], [value]) == outcome(eth_abi.encode, [kind], [value])
