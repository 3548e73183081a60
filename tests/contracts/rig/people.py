"""Roles with keys. An address is lowercase hex, as both engines give it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from tessera.spec.signatures import Address, address_of


@dataclass(frozen=True)
class Person:
    """Somebody who can sign. `address` is lowercase hex."""

    role: str
    account: LocalAccount
    address: str

    def __str__(self) -> str:
        return self.role


@cache
def person(role: str) -> Person:
    """Return the one person of this role; the key is the hash of the role's name."""
    account = Account.from_key(keccak(text=f"tessera contract tests: {role}"))
    return Person(role, account, account.address.lower())


class _Addressed(Protocol):
    @property
    def address(self) -> str: ...


def key_of(who: _Addressed | str) -> Address:
    """Return the 20 bytes of an address, as the twins know people and contracts by them."""
    return address_of(who if isinstance(who, str) else who.address)
