"""Follows words: what each opcode's result was made of, and what a call is about to move.

Called by the machine before and after the opcodes where a shadow is more than the union of its
operands' shadows; py-evm itself executes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tessera.diligence.behaviour.keys import KeyBook
from tessera.diligence.behaviour.origins import (
    BLOCK,
    CALLER,
    CODE,
    TIME,
    VALUE,
    Comparison,
    Field,
    Origin,
    merged,
)
from tessera.diligence.behaviour.runs import Paid, Run, Store
from tessera.diligence.behaviour.strangers import understood
from tessera.diligence.behaviour.world import World, address_text

__all__ = ["ARGUMENT", "CALLS", "Tracer", "number"]

ARGUMENT = "argument"
CALLS = {0xF1, 0xF2, 0xF4, 0xFA}
# transfer and transferFrom, and how many words come before the receiver
_MOVES = {bytes.fromhex("a9059cbb"): 0, bytes.fromhex("23b872dd"): 1}
_RESERVED = 1 << 96  # below are precompiles, and amounts mistaken for an address
_SOURCES = {
    0x32: CALLER,
    0x33: CALLER,
    0x34: VALUE,
    0x42: TIME,
    0x43: TIME,
    # GASPRICE, BLOCKHASH, COINBASE, PREVRANDAO, GASLIMIT, BASEFEE
    **dict.fromkeys((0x3A, 0x40, 0x41, 0x44, 0x45, 0x48), BLOCK),
}
_COMPARES = {0x03, 0x10, 0x11, 0x12, 0x13, 0x14, 0x18}
_MOST_WORDS = 8


def number(item: int | bytes) -> int:
    """A word of py-evm's stack, which keeps some as bytes."""
    return item if isinstance(item, int) else int.from_bytes(item, "big")


class Tracer:
    """The shadows of one machine.

    Parameters
    ----------
    world, keys
        Of the machine.
    cast
        Accounts that are ours and have no code.
    """

    def __init__(self, world: World, keys: KeyBook, cast: set[bytes]) -> None:
        self.world = world
        self.keys = keys
        self.cast = cast
        self.run = Run()
        self._returned: Origin | None = None

    def begin(self, run: Run) -> None:
        """A new call of the machine."""
        self.run = run
        self._returned = None

    def before(
        self,
        frame: Any,
        opcode: int,
        values: Sequence[int | bytes],
        origins: Sequence[Origin | None],
        memory: dict[int, Origin],
    ) -> Any:
        """Look before an opcode changes what it reads; the result is handed to `after`."""
        if opcode == 0x20:  # KECCAK256
            at, size = number(values[0]), number(values[1])
            if 32 <= size <= 128:
                return frame.held(at, size)
        elif opcode == 0x55:  # SSTORE
            key = number(values[0])
            address = frame.msg.storage_address
            self.run.stores.append(
                Store(
                    address_text(address),
                    key,
                    self.world.get_storage(address, key),
                    number(values[1]),
                    origins[1],
                )
            )
        elif opcode == 0x3B:  # EXTCODESIZE
            self._meet((number(values[0]) & (1 << 160) - 1).to_bytes(20, "big"))
        elif opcode in CALLS:
            return self._calling(frame, opcode, values, origins, memory)
        elif opcode == 0xFF:  # SELFDESTRUCT
            amount = self.world.get_balance(frame.msg.storage_address)
            target = (number(values[0]) & (1 << 160) - 1).to_bytes(20, "big")
            self.run.paid.append(
                Paid(
                    address_text(frame.msg.storage_address),
                    address_text(target),
                    None,
                    amount,
                    origins[0],
                )
            )
        return None

    def _calling(
        self,
        frame: Any,
        opcode: int,
        values: Sequence[int | bytes],
        origins: Sequence[Origin | None],
        memory: dict[int, Origin],
    ) -> tuple[Origin | None, Paid | None, int]:
        """Note a call about to be made and whose money it moves."""
        has_value = opcode in (0xF1, 0xF2)
        target = (number(values[1]) & (1 << 160) - 1).to_bytes(20, "big")
        amount = number(values[2]) if has_value else 0
        at, size = (number(values[3 if has_value else 2]), number(values[4 if has_value else 3]))
        inside = [origin for place, origin in memory.items() if at <= place < at + size]
        data = b""
        if 4 <= size <= 4 + 32 * _MOST_WORDS:
            data = frame.held(at, size)
        if opcode == 0xF4:
            if size >= len(frame.msg.data) >= 4:
                self.run.delegations.append(
                    (address_text(frame.msg.storage_address), address_text(target), origins[1])
                )
            if not self.world.get_code(target) and int.from_bytes(target, "big") > _RESERVED:
                self.run.blind.add(address_text(target))
        elif size >= 4:
            self._meet(target)
        source = address_text(frame.msg.storage_address)
        paid: Paid | None = None
        if has_value and (amount or size == 0):
            self.run.attempts += 1
            paid = Paid(source, address_text(target), None, amount, origins[1], origins[2])
        elif opcode == 0xF1 and len(data) >= 68:
            paid = self._token_move(source, target, data, at, memory)
        everything = merged(*origins[1:3], *inside)
        if target in self.world.strangers and len(data) >= 4 and not understood(data[:4]):
            answer = Field(address_text(target), int.from_bytes(data[:4], "big"))
            everything = merged(everything, Origin(fields=frozenset((answer,))))
        return everything, paid, len(self.run.paid)

    def _token_move(
        self, source: str, target: bytes, data: bytes, at: int, memory: dict[int, Origin]
    ) -> Paid | None:
        """A simulated currency is told to move: to whom, and how much."""
        moved = _MOVES.get(data[:4])
        if moved is None or len(data) < 68 + 32 * moved:
            return None
        start = 4 + 32 * moved
        payer = address_text(data[16:36]) if moved else source
        self.run.attempts += 1
        return Paid(
            payer,
            address_text(data[start + 12 : start + 32]),
            address_text(target),
            int.from_bytes(data[start + 32 : start + 64], "big"),
            memory.get(at + start),
            memory.get(at + start + 32),
        )

    def _meet(self, target: bytes) -> None:
        """Simulate a contract that nobody observed: one of the cast is an account without code."""
        if target in self.world.strangers or target in self.cast:
            return
        if int.from_bytes(target, "big") > _RESERVED and not self.world.knows(target):
            self.world.strangers.add(target)

    def after(
        self,
        frame: Any,
        opcode: int,
        values: Sequence[int | bytes],
        origins: Sequence[Origin | None],
        memory: dict[int, Origin],
        prepared: Any,
    ) -> Origin | None:
        """Where the word that an opcode pushed came from."""
        if opcode == 0x54:  # SLOAD
            return self._loaded(frame, number(values[0]), origins[0])
        if opcode in _SOURCES:
            return Origin(sources=frozenset((_SOURCES[opcode],)))
        if opcode == 0x51:  # MLOAD
            return memory.get(number(values[0]))
        if opcode == 0x35:  # CALLDATALOAD
            return self._argument(frame, number(values[0]))
        if opcode == 0x20:
            if prepared:
                self.keys.note(prepared, number(frame.words[-1]))
            return merged(*origins)
        if opcode in (0x3B, 0x3F):  # EXTCODESIZE, EXTCODEHASH
            return merged(*origins, Origin(sources=frozenset((CODE,)))) if origins[0] else None
        if opcode in CALLS:
            return self._called(frame, prepared, values, opcode, memory)
        if opcode == 0x3D:  # RETURNDATASIZE
            return self._returned
        if not any(origins):
            return None
        return _computed(opcode, values, origins)

    def _called(
        self,
        frame: Any,
        prepared: tuple[Origin | None, Paid | None, int],
        values: Sequence[int | bytes],
        opcode: int,
        memory: dict[int, Origin],
    ) -> Origin | None:
        everything, paid, at = prepared
        success = bool(number(frame.words[-1]))
        if success and paid is not None:
            self.run.paid.insert(at, paid)
        if everything is not None:
            everything = merged(everything, Origin(sources=frozenset((CODE,))))
        self._returned = everything
        has_value = opcode in (0xF1, 0xF2)
        target = (number(values[1]) & (1 << 160) - 1).to_bytes(20, "big")
        start = number(values[5 if has_value else 4])
        size = number(values[6 if has_value else 5])
        if target in self.world.strangers and success and everything is not None:
            answers = [field for field in everything.fields if field.where == address_text(target)]
            for place in range(start, min(start + size, start + 256), 32):
                exact = answers[0] if len(answers) == 1 and place == start else None
                memory[place] = Origin(everything.fields, everything.sources, exact)
        return everything

    def _argument(self, frame: Any, offset: int) -> Origin | None:
        if offset < 4 or (offset - 4) % 32:
            return None
        whole = Field(ARGUMENT, (offset - 4) // 32)
        return Origin(fields=frozenset((whole,)), exact=whole)

    def _loaded(self, frame: Any, key: int, key_origin: Origin | None) -> Origin | None:
        whole = Field(address_text(frame.msg.storage_address), key)
        self.run.loads.append(whole)
        return Origin(fields=frozenset((whole,)), exact=whole)

    def wrote(
        self,
        frame: Any,
        opcode: int,
        values: Sequence[int | bytes],
        origins: Sequence[Origin | None],
        memory: dict[int, Origin],
    ) -> None:
        """Follow words into memory."""
        if opcode == 0x52:  # MSTORE
            origin = origins[1]
            if origin is None:
                memory.pop(number(values[0]), None)
            else:
                memory[number(values[0])] = origin
        elif opcode == 0x3E and self._returned is not None:  # RETURNDATACOPY
            start, size = number(values[0]), number(values[2])
            for place in range(start, min(start + size, start + 256), 32):
                memory[place] = self._returned
        elif opcode == 0x37:  # CALLDATACOPY
            start, offset, size = (number(value) for value in values)
            for word in range(min(size // 32, 16)):
                origin = self._argument(frame, offset + 32 * word)
                if origin is not None:
                    memory[start + 32 * word] = origin


def _computed(
    opcode: int, values: Sequence[int | bytes], origins: Sequence[Origin | None]
) -> Origin | None:
    """Shadow of a word made of others: a narrower field, a comparison, or what both depend on."""
    numbers = [number(value) for value in values]
    narrowed = _narrowed(opcode, numbers, origins)
    if narrowed is not None:
        return Origin(frozenset((narrowed,)), frozenset(), narrowed)
    base = merged(*origins)
    if base is None:
        return None
    if opcode == 0x15 and origins[0] is not None:  # ISZERO
        made = () if origins[0].comparisons else (Comparison(numbers[0], origins[0], 0, None),)
        return Origin(base.fields, base.sources, None, base.comparisons + made)
    if opcode in _COMPARES:
        made = (Comparison(numbers[0], origins[0], numbers[1], origins[1]),)
        return Origin(base.fields, base.sources, None, (base.comparisons + made)[-8:])
    return base


def _narrowed(
    opcode: int, numbers: Sequence[int], origins: Sequence[Origin | None]
) -> Field | None:
    """The field that a shift or a mask leaves of an exact field."""
    if len(numbers) != 2:
        return None
    for place in (0, 1):
        origin, other = origins[place], numbers[1 - place]
        if origin is None or origin.exact is None or origins[1 - place] is not None:
            continue
        exact = origin.exact
        if opcode == 0x16 and other and other & (other + 1) == 0:  # AND with low bits
            return Field(exact.where, exact.key, exact.shift, exact.mask & other)
        if opcode == 0x04 and place == 0 and other.bit_count() == 1:  # DIV by a power of two
            bits = other.bit_length() - 1
        elif opcode == 0x1C and place == 1 and other < 256:  # SHR
            bits = other
        else:
            continue
        return Field(exact.where, exact.key, exact.shift + bits, exact.mask >> bits)
    return None
