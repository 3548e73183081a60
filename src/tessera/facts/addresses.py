"""Numbers for addresses, so that millions of transfers name theirs in four bytes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.errors import InputError

__all__ = ["ABSENT", "ZERO", "ZERO_ID", "Addresses", "address_bytes", "address_text"]

ZERO: Final = "0x" + "00" * 20
"""The address that mints come from and burns go to."""

ZERO_ID: Final = 0
"""Its id, in every table."""

ABSENT: Final = -1
"""Stands in columns of ids where there is no address, such as the recipient of a creation."""

_LENGTH: Final = 20


class Addresses:
    """A table of addresses: ids count from 0, and 0 is always the zero address.

    Which id an address has means nothing beyond its table: no result may depend on it.

    Parameters
    ----------
    table
        uint8 of shape (n, 20), each row once, the first all zero. Not copied, and must not be
        changed afterwards.
    """

    __slots__ = ("__dict__", "table")

    def __init__(self, table: NDArray[np.uint8]) -> None:
        assert table.dtype == np.uint8
        assert table.shape == (len(table), _LENGTH)
        assert not table[ZERO_ID].any()
        self.table = table

    @classmethod
    def of(cls, addresses: Iterable[str]) -> Addresses:
        """Return a table of these, in the order in which they come first, after zero.

        Raises
        ------
        InputError
            One is no address.
        """
        rows = dict.fromkeys([bytes(_LENGTH), *map(address_bytes, addresses)])
        return cls(np.frombuffer(b"".join(rows), np.uint8).reshape(-1, _LENGTH))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, address_id: int) -> str:
        if address_id < 0:
            raise IndexError(address_id)
        return address_text(self.table[address_id].tobytes())

    def __iter__(self) -> Iterator[str]:
        text = self.table.tobytes().hex()
        step = 2 * _LENGTH
        return ("0x" + text[at : at + step] for at in range(0, len(text), step))

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and self.id_of(address) is not None

    def id_of(self, address: str) -> int | None:
        """Return the id of an address in any spelling; None where the table lacks it.

        Raises
        ------
        InputError
            It is no address.
        """
        return self._ids.get(address_bytes(address))

    def ids_of(self, addresses: Iterable[str]) -> NDArray[np.int32]:
        """Return the ids of several, `ABSENT` for those that the table lacks.

        Raises
        ------
        InputError
            One is no address.
        """
        find = self._ids.get
        return np.fromiter((find(address_bytes(each), ABSENT) for each in addresses), np.int32)

    def texts(self, ids: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """Return the addresses that have these ids; the empty string for `ABSENT`."""
        return [self[int(each)] if each >= 0 else "" for each in ids]

    @functools.cached_property
    def _ids(self) -> dict[bytes, int]:
        data = self.table.tobytes()
        return {data[at : at + _LENGTH]: at // _LENGTH for at in range(0, len(data), _LENGTH)}


def address_bytes(address: str) -> bytes:
    """Return the 20 bytes of an address in any spelling.

    Raises
    ------
    InputError
        It is no address.
    """
    try:
        found = bytes.fromhex(address[2:]) if address[:2] in {"0x", "0X"} else b""
    except (TypeError, ValueError):
        found = b""
    if len(found) != _LENGTH or len(address) != 2 * _LENGTH + 2:
        raise InputError("address", found=address, wanted="0x and 40 hexadecimal digits")
    return found


def address_text(address: bytes) -> str:
    """Return an address as it is written here: 0x and lower case."""
    assert len(address) == _LENGTH
    return f"0x{address.hex()}"
