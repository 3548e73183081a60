"""What is known of a chain before a contract is tried: code, slots and the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Given", "Ground", "Head"]


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain stood: a contract sees these as its own block's."""

    chain_id: int
    number: int
    timestamp: int


class Ground(Protocol):
    """What was observed. ``None`` means not observed, which is not the same as empty or zero."""

    @property
    def head(self) -> Head:
        """Chain, block and time that the experiment starts from."""
        ...

    def code(self, address: str) -> bytes | None:
        """Runtime code of lower-case `address`; ``b""`` where an account without code was seen."""
        ...

    def slot(self, address: str, key: int) -> int | None:
        """Word of storage at `key`."""
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """Code and slots handed over as they are: from a file, or from a test.

    Parameters
    ----------
    codes
        Runtime code by lower-case address.
    slots
        Words by address and key.
    complete
        Addresses whose storage is known wholly: a key not in `slots` is zero there.
    head
        Block that the experiment starts from.
    """

    codes: Mapping[str, bytes]
    slots: Mapping[tuple[str, int], int] = field(default_factory=dict)
    complete: frozenset[str] = frozenset()
    head: Head = Head(chain_id=1, number=20_000_000, timestamp=1_718_000_000)

    def code(self, address: str) -> bytes | None:
        """Code that was handed over."""
        return self.codes.get(address)

    def slot(self, address: str, key: int) -> int | None:
        """Word that was handed over; zero where the storage is known wholly."""
        found = self.slots.get((address, key))
        return 0 if found is None and address in self.complete else found
