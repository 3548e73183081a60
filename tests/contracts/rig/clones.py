"""Clones made by hand, with any arguments: what the factories would never make."""

from __future__ import annotations

from rig.contract import Contract
from rig.people import Person


def clone(implementation: Contract, *words: int | str, by: Person) -> Contract:
    """Deploy an ERC-1167 proxy with 32-byte arguments behind its code, from an ordinary account."""
    arguments = b"".join(
        (int(word, 16) if isinstance(word, str) else word).to_bytes(32, "big") for word in words
    )
    size = 45 + len(arguments)
    code = b"".join(
        (
            b"\x61",
            size.to_bytes(2, "big"),
            bytes.fromhex("3d81600a3d39f3"),
            bytes.fromhex("363d3d373d3d3d363d73"),
            bytes.fromhex(implementation.address[2:]),
            bytes.fromhex("5af43d82803e903d91602b57fd5bf3"),
            arguments,
        )
    )
    address = implementation.engine.deploy(by.address, code)
    return Contract(implementation.engine, implementation.compiled, address)
