"""`Till.vy` again in plain Python: an address that says where its money goes.

A Till is a clone with its three names behind its code, made by Channels with CREATE2. So its
address follows from them, and it can be paid before it exists. What the contract reverts raises
`TransactionReverted` with the same string.

Held against the contract by `test_till_matches_spec.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tessera.errors import TransactionReverted
from tessera.spec.signatures import Address, keccak

__all__ = ["TillModel", "clone_address", "clone_code", "till_of"]


def clone_code(implementation: Address, arguments: bytes) -> bytes:
    """Return the code of a clone as it lies on chain: an ERC-1167 proxy, then its arguments."""
    call = bytes.fromhex("363d3d373d3d3d363d73")
    answer = bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
    return call + implementation + answer + arguments


def clone_address(
    maker: Address, implementation: Address, arguments: bytes, salt: bytes = bytes(32)
) -> Address:
    """Compute where `maker` puts a clone with these arguments; `modules/clones.vy`."""
    code = clone_code(implementation, arguments)
    # PUSH2 size, then copy everything behind these ten bytes into memory and return it.
    init = b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("3d81600a3d39f3") + code
    return Address(keccak(b"\xff" + maker + salt + keccak(init))[12:])


def till_of(
    channels: Address, implementation: Address, asset: int, operator: Address, terms: int
) -> Address:
    """Compute the deposit address of (asset, operator, terms), whether or not it has code yet."""
    words = asset.to_bytes(32, "big") + bytes(12) + operator + terms.to_bytes(32, "big")
    return clone_address(channels, implementation, words)


@dataclass(slots=True)
class TillModel:
    """One Till, and the base units of the currency that lie there."""

    channels: Address
    held: int = 0

    def sweep(self, caller: Address) -> int:
        """Send all of the currency to Channels; base units."""
        self._only_channels(caller)
        amount, self.held = self.held, 0
        return amount

    def rescue(self, caller: Address, other: int) -> int:
        """Send all of another token on, `other` raw units of which lie here."""
        self._only_channels(caller)
        return other

    def _only_channels(self, caller: Address) -> None:
        if caller != self.channels:
            raise TransactionReverted("Till", "till: only channels")
