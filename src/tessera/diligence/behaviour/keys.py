"""Names of storage keys: a mapping's entry is told by the hash that made its key.

Solidity hashes ``key . slot`` and Vyper ``slot . key``; both are kept as the words that were
hashed, so that the same entry of another holder can be computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tessera.spec.signatures import keccak

__all__ = ["KeyBook"]

# How far behind a hash a struct's members are looked for.
_STRUCT_WORDS = 16
_MOST_DEPTH = 6


@dataclass(slots=True)
class KeyBook:
    """The words behind each hash that a run made."""

    words_of: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def note(self, hashed: bytes, digest: int) -> None:
        """Remember what was hashed: only 32 to 128 bytes of whole words make a storage key."""
        if 32 <= len(hashed) <= 128 and len(hashed) % 32 == 0:
            self.words_of[digest] = tuple(
                int.from_bytes(hashed[at : at + 32], "big") for at in range(0, len(hashed), 32)
            )

    def split(self, key: int) -> tuple[int, int] | None:
        """``(hash, member)`` of a key that was made by hashing, else None."""
        for member in range(_STRUCT_WORDS):
            if key - member in self.words_of:
                return key - member, member
        return None

    def is_entry(self, key: int) -> bool:
        """Whether `key` is an entry of a mapping, or of a mapping in one."""
        found = self.split(key)
        return found is not None and len(self.words_of[found[0]]) > 1

    def mentions(self, key: int, account: int, depth: int = 0) -> bool:
        """Whether `key` is an entry kept for `account`."""
        found = self.split(key)
        if found is None or depth > _MOST_DEPTH:
            return False
        words = self.words_of[found[0]]
        return len(words) > 1 and any(
            word == account or self.mentions(word, account, depth + 1) for word in words
        )

    def rekeyed(self, key: int, old: int, new: int, depth: int = 0) -> int:
        """The key of the same entry for `new` instead of `old`."""
        found = self.split(key)
        if found is None or depth > _MOST_DEPTH:
            return key
        base, member = found
        words = tuple(
            new if word == old else self.rekeyed(word, old, new, depth + 1)
            for word in self.words_of[base]
        )
        if words == self.words_of[base]:
            return key
        packed = b"".join(word.to_bytes(32, "big") for word in words)
        digest = int.from_bytes(keccak(packed), "big")
        self.words_of[digest] = words
        return (digest + member) & ((1 << 256) - 1)

    def name(self, key: int, depth: int = 0) -> str:
        """`key` in words of a reader: ``slot 5`` or ``mapping at slot 5, member 2``."""
        found = self.split(key)
        if found is None or depth > _MOST_DEPTH:
            return f"slot {key}" if key < 1 << 32 else f"slot {key:#x}"
        base, member = found
        words = self.words_of[base]
        if len(words) == 1:
            return f"array at {self.name(words[0], depth + 1)}"
        # The slot is the part that is small or itself an entry; the rest is the entry's key.
        slots = [word for word in words if word < 1 << 32 or self.split(word) is not None]
        owner = slots[-1] if slots and words[-1] == slots[-1] else (slots or words)[0]
        suffix = f", member {member}" if member else ""
        return f"mapping at {self.name(owner, depth + 1)}{suffix}"
