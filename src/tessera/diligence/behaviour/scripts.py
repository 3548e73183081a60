"""What is tried: calls in an order, by whom, and what they moved."""

from __future__ import annotations

from dataclasses import dataclass, field

from eth_abi.abi import encode
from eth_abi.exceptions import EncodingError, ParseError

from tessera.diligence.behaviour.functions import Function, split_types
from tessera.diligence.behaviour.runs import Run
from tessera.spec.signatures import keccak

__all__ = ["Cast", "Holdings", "Outcome", "SELF", "Step"]

# An argument that is the account for whom the step is done.
SELF = -1
FUND = 10**24
UNIT = 10**18


@dataclass(frozen=True, slots=True)
class Cast:
    """The accounts of an experiment, made from the code on trial so that none is a known address.

    Parameters
    ----------
    salt
        What the addresses are made of.
    """

    salt: bytes

    def account(self, role: str) -> bytes:
        """Address of `role`: twenty bytes."""
        return bytes(keccak(self.salt + role.encode())[12:])

    @property
    def first(self) -> bytes:
        """One holder."""
        return self.account("first holder")

    @property
    def second(self) -> bytes:
        """Another holder, who has something else."""
        return self.account("second holder")

    @property
    def rest(self) -> bytes:
        """All other holders, as one."""
        return self.account("all other holders")

    @property
    def outsider(self) -> bytes:
        """One who holds nothing."""
        return self.account("holds nothing")

    @property
    def owner(self) -> bytes:
        """Whoever is let through gates."""
        return self.account("privileged")

    def everybody(self) -> tuple[bytes, ...]:
        """All of them."""
        return (self.first, self.second, self.rest, self.outsider, self.owner)


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a script.

    Parameters
    ----------
    function
        None for a plain transfer of `value`.
    sender, holder
        Who calls, and for whom: an address argument is `holder` unless the search chooses another.
    value
        Wei sent along.
    after
        Seconds that pass before.
    pays
        Whether the search goes on until the step pays `holder`.
    open
        Whether the step must work for anybody: a gate ends the search instead of being opened.
    refill
        No call: new ether and new money of every strange currency arrive by plain transfer.
    """

    function: Function | None
    sender: bytes
    holder: bytes
    value: int = 0
    after: int = 0
    pays: bool = False
    open: bool = True
    refill: bool = False


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one account has: wei, each strange currency, and the token on trial itself."""

    ether: int
    currencies: dict[str, int] = field(default_factory=dict)
    own: int = 0

    def gained(self, before: Holdings) -> dict[str, int]:
        """By currency, ``"ether"`` and ``"own"`` among them; only what changed."""
        changes = {"ether": self.ether - before.ether, "own": self.own - before.own}
        for currency, amount in self.currencies.items():
            changes[currency] = amount - before.currencies.get(currency, amount)
        return {currency: change for currency, change in changes.items() if change}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step did to everybody."""

    step: Step
    run: Run
    gained: dict[bytes, dict[str, int]]

    def paid(self, account: bytes) -> int:
        """Money that reached `account`, the token on trial itself not counted: largest currency."""
        changes = self.gained.get(account, {})
        return max((change for name, change in changes.items() if name != "own"), default=0)

    def currency(self, account: bytes) -> str | None:
        """In which currency `account` was paid."""
        changes = {n: c for n, c in self.gained.get(account, {}).items() if n != "own" and c > 0}
        return max(changes, key=lambda name: changes[name]) if changes else None


def calldata(
    function: Function, holder: bytes, chosen: dict[int, int], crowd: tuple[bytes, ...]
) -> bytes:
    """Data of a call: chosen arguments, and for the rest what a holder would plausibly pass.

    Parameters
    ----------
    chosen
        Argument by number; `SELF` stands for `holder`.
    crowd
        Members of array arguments.
    """
    values = [
        _value(kind, chosen.get(place), holder, crowd) for place, kind in enumerate(function.types)
    ]
    try:
        return function.selector + encode(list(function.types), values)
    except (EncodingError, ParseError, ValueError, TypeError):
        return function.selector + holder.rjust(32, b"\x00") * len(function.types)


def _value(kind: str, chosen: int | None, holder: bytes, crowd: tuple[bytes, ...]) -> object:
    if kind.endswith("]"):
        element, size = kind[:-1].rsplit("[", 1)
        count = int(size) if size else len(crowd)
        members = [crowd[at % len(crowd)] for at in range(count)]
        return [_value(element, chosen, member, crowd) for member in members]
    if kind.startswith("("):
        return tuple(_value(part, None, holder, crowd) for part in split_types(kind[1:-1]))
    if kind == "address":
        return holder if chosen is None or chosen == SELF else chosen.to_bytes(32, "big")[12:]
    if kind == "bool":
        return bool(chosen) if chosen is not None else True
    if kind == "bytes":
        return b""
    if kind == "string":
        return "name"
    if kind.startswith("bytes"):
        width = int(kind[5:])
        return (chosen or 0).to_bytes(32, "big")[:width]
    number = UNIT if chosen is None or chosen == SELF else chosen
    bits = int(kind.removeprefix("u").removeprefix("int") or 256)
    limit = (1 << bits - (0 if kind.startswith("u") else 1)) - 1
    if chosen is None and limit < UNIT:
        number = 1
    return min(number, limit)
