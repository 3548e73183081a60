"""Accounts of the sandbox: what was observed, below what was assumed, below what runs wrote.

Implements the part of py-evm's account database that execution touches, on plain dictionaries with
a journal: a snapshot costs nothing and a rollback costs what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tessera.diligence.behaviour.ground import Ground
from tessera.spec.signatures import keccak

__all__ = ["World", "address_text"]

_ABSENT: Any = object()


def address_text(address: bytes) -> str:
    """Lower-case ``0x..`` of 20 bytes."""
    return "0x" + address.hex()


class World:
    """State of one sandbox.

    Parameters
    ----------
    ground
        What was observed. Read once for each place.
    """

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.assumed: Mapping[tuple[str, int], int] = {}
        # Whether a strange address has code; told by the machine, which simulates strangers.
        self.placeholder: bytes = b"\xfe"
        self.strangers: set[bytes] = set()
        self._seen: dict[tuple[str, int], int | None] = {}
        self._codes: dict[bytes, bytes] = {}
        self._values: dict[Any, Any] = {}
        self._journal: list[tuple[Any, Any]] = []

    # The journal ------------------------------------------------------------------------------
    def get(self, key: Any, default: Any) -> Any:
        """A value that a rollback undoes."""
        return self._values.get(key, default)

    def put(self, key: Any, value: Any) -> None:
        """Write a value that a rollback undoes."""
        self._journal.append((key, self._values.get(key, _ABSENT)))
        self._values[key] = value

    def record(self) -> int:
        """Mark the present; `discard` returns to it."""
        return len(self._journal)

    def discard(self, mark: int) -> None:
        """Undo everything written since `mark`."""
        while len(self._journal) > mark:
            key, old = self._journal.pop()
            if old is _ABSENT:
                del self._values[key]
            else:
                self._values[key] = old

    # Storage ----------------------------------------------------------------------------------
    def observed(self, address: str, key: int) -> int | None:
        """Word that was observed, None where nobody looked."""
        place = (address, key)
        if place not in self._seen:
            self._seen[place] = self.ground.slot(address, key)
        return self._seen[place]

    def get_storage(self, address: bytes, slot: int, from_journal: bool = True) -> int:
        """Word at `slot`: written, else assumed, else observed, else zero."""
        written = self._values.get(("slot", address, slot))
        if written is not None:
            return int(written)
        text = address_text(address)
        assumed = self.assumed.get((text, slot))
        if assumed is not None:
            return assumed
        return self.observed(text, slot) or 0

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        """Write a word."""
        self.put(("slot", address, slot), value)

    def delete_storage(self, address: bytes) -> None:
        """Forget what was written for an account."""
        for key in [key for key in self._values if key[0] == "slot" and key[1] == address]:
            self.put(key, 0)

    # Accounts ---------------------------------------------------------------------------------
    def get_balance(self, address: bytes) -> int:
        """Wei of an account."""
        return int(self._values.get(("ether", address), 0))

    def set_balance(self, address: bytes, balance: int) -> None:
        """Say what an account has, in wei."""
        self.put(("ether", address), balance)

    def get_nonce(self, address: bytes) -> int:
        """Nonce of an account."""
        return int(self._values.get(("nonce", address), 1))

    def set_nonce(self, address: bytes, nonce: int) -> None:
        """Set a nonce."""
        self.put(("nonce", address), nonce)

    def increment_nonce(self, address: bytes) -> None:
        """Count one more transaction or creation."""
        self.set_nonce(address, self.get_nonce(address) + 1)

    def get_code(self, address: bytes) -> bytes:
        """Runtime code; of a stranger a placeholder, so that it counts as a contract."""
        written = self._values.get(("code", address))
        if written is not None:
            return bytes(written)
        if address in self.strangers:
            return self.placeholder
        if address not in self._codes:
            self._codes[address] = self.ground.code(address_text(address)) or b""
        return self._codes[address]

    def knows(self, address: bytes) -> bool:
        """Whether the account's code, or that it has none, was observed or written."""
        if ("code", address) in self._values:
            return True
        return self.ground.code(address_text(address)) is not None

    def set_code(self, address: bytes, code: bytes) -> None:
        """Put code at an address."""
        self.put(("code", address), code)

    def delete_code(self, address: bytes) -> None:
        """Take the code away."""
        self.set_code(address, b"")

    def get_code_hash(self, address: bytes) -> bytes:
        """Hash of the runtime code."""
        return bytes(keccak(self.get_code(address)))

    def delete_account(self, address: bytes) -> None:
        """Self-destruct: no code, no storage, no ether."""
        self.delete_code(address)
        self.delete_storage(address)
        self.set_balance(address, 0)

    def account_has_code_or_nonce(self, address: bytes) -> bool:
        """Whether an address is taken."""
        return bool(self.get_code(address))

    def account_exists(self, address: bytes) -> bool:
        """Whether it costs nothing more to call it."""
        return True

    def account_is_empty(self, address: bytes) -> bool:
        """Whether there is neither code nor ether."""
        return not self.get_code(address) and not self.get_balance(address)

    def touch_account(self, address: bytes) -> None:
        """Nothing: no account of the sandbox is ever cleared away."""

    # Gas for cold places is charged as for warm ones: nobody pays it here.
    def is_storage_warm(self, address: bytes, slot: int) -> bool:
        """Whether a slot was touched before."""
        return True

    def mark_storage_warm(self, address: bytes, slot: int) -> None:
        """Nothing: every place counts as warm."""

    def is_address_warm(self, address: bytes) -> bool:
        """Whether an account was touched before."""
        return True

    def mark_address_warm(self, address: bytes) -> None:
        """Nothing: every account counts as warm."""
