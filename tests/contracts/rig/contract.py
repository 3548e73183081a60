"""A deployed contract, called by the names in its ABI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from eth_utils import keccak

from rig.abi import decode, encode
from rig.compiling import Compiled
from rig.engines import Engine, Log, Reverted

NOBODY = "0x" + "00" * 20
# Asks for what anybody may read.
READER = "0x" + "e1" * 20


@dataclass(frozen=True)
class Event:
    """A decoded event: its name, its arguments, who emitted it."""

    name: str
    address: str
    arguments: dict[str, Any]


def type_of(entry: dict[str, Any]) -> str:
    """Spell an ABI type out, tuples by their members."""
    if not entry["type"].startswith("tuple"):
        return str(entry["type"])
    inside = ",".join(type_of(part) for part in entry["components"])
    return f"({inside}){entry['type'].removeprefix('tuple')}"


class Interface:
    """Functions by name and number of arguments, events by topic, from an ABI."""

    def __init__(self, abi: list[dict[str, Any]]) -> None:
        self.functions: dict[tuple[str, int], tuple[bytes, list[str], list[str]]] = {}
        self.events: dict[bytes, tuple[str, list[tuple[str, str, bool]]]] = {}
        self.constructor: list[str] = []
        for entry in abi:
            if entry["type"] == "function":
                inputs = [type_of(part) for part in entry["inputs"]]
                outputs = [type_of(part) for part in entry["outputs"]]
                selector = keccak(text=f"{entry['name']}({','.join(inputs)})")[:4]
                self.functions[entry["name"], len(inputs)] = (selector, inputs, outputs)
            elif entry["type"] == "event":
                fields = [(p["name"], type_of(p), p["indexed"]) for p in entry["inputs"]]
                topic = keccak(text=f"{entry['name']}({','.join(t for _, t, _ in fields)})")
                self.events[topic] = (entry["name"], fields)
            elif entry["type"] == "constructor":
                self.constructor = [type_of(part) for part in entry["inputs"]]

    def call_data(self, name: str, *arguments: object) -> bytes:
        """Encode a call."""
        selector, inputs, _ = self.functions[name, len(arguments)]
        return selector + encode(inputs, [_plain(item) for item in arguments])

    def event(self, log: Log) -> Event | None:
        """Decode a log, or None if it is no event of this interface."""
        if not log.topics or log.topics[0] not in self.events:
            return None
        name, fields = self.events[log.topics[0]]
        topics = iter(log.topics[1:])
        rest = iter(decode([t for _, t, indexed in fields if not indexed], log.data))
        arguments = {
            field: decode([typ], next(topics))[0] if indexed else next(rest)
            for field, typ, indexed in fields
        }
        return Event(name, log.address, arguments)


@cache
def _interface(name: str, abi_id: int) -> Interface:
    return Interface(_ABIS[name, abi_id])


_ABIS: dict[tuple[str, int], list[dict[str, Any]]] = {}


def interface_of(compiled: Compiled) -> Interface:
    """Parse a contract's ABI once."""
    key = (compiled.name, id(compiled.abi))
    _ABIS[key] = compiled.abi
    return _interface(*key)


class Contract:
    """An address with a name for each thing that it can do.

    `share("transfer", holder, 5, by=seller)` is one transaction; it returns the decoded result
    (a tuple where there are several) and leaves its logs in `logs`.
    """

    def __init__(self, engine: Engine, compiled: Compiled, address: str) -> None:
        self.engine = engine
        self.compiled = compiled
        self.address = address.lower()
        self.interface = interface_of(compiled)
        self.logs: list[Log] = []

    def __call__(self, name: str, *arguments: object, by: str = READER) -> Any:
        _, _, outputs = self.interface.functions[name, len(arguments)]
        data = self.interface.call_data(name, *arguments)
        self.logs = []
        output, self.logs = self.engine.call(by, self.address, data)
        answer = decode(outputs, output)
        return answer[0] if len(answer) == 1 else answer or None

    def events(self, name: str | None = None) -> list[Event]:
        """Return this contract's own events of the last call, in order; one name's where given."""
        found = [
            event
            for log in self.logs
            if log.address == self.address and (event := self.interface.event(log)) is not None
        ]
        return [event for event in found if name in (None, event.name)]

    def slot(self, variable: str, *keys: object) -> int:
        """Read a storage word; keys of a HashMap are addresses, bytes or integers."""
        return self.engine.storage(self.address, self._place(variable, keys))

    def poke(self, variable: str, *keys: object, value: int) -> None:
        """Write a storage word: states that take four billion transactions to reach."""
        self.engine.store(self.address, self._place(variable, keys), value)

    def _place(self, variable: str, keys: tuple[object, ...]) -> int:
        place = self.compiled.slots[variable]
        for key in keys:
            place = int.from_bytes(keccak(place.to_bytes(32, "big") + _word(_plain(key))), "big")
        return place


def deployed(engine: Engine, compiled: Compiled, *arguments: object, by: str) -> Contract:
    """Deploy a contract from an account of its own nonces."""
    constructor = interface_of(compiled).constructor
    code = compiled.creation_code + encode(constructor, [_plain(item) for item in arguments])
    return Contract(engine, compiled, engine.deploy(by, code))


def _plain(value: object) -> object:
    if isinstance(value, Contract):
        return value.address
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value


def _word(key: object) -> bytes:
    if isinstance(key, str):
        return bytes.fromhex(key.removeprefix("0x")).rjust(32, b"\0")
    if isinstance(key, bytes):
        return key.rjust(32, b"\0")
    assert isinstance(key, int)
    return key.to_bytes(32, "big")


PROVOKED: set[str] = set()
"""Reasons that tests of this process expected and got; `pytest_sessionfinish` misses the others."""


@contextmanager
def refused(reason: str) -> Iterator[None]:
    """Expect a revert with exactly this reason; the compiler's own checks give an empty one.

    A custom error is named by its signature: `refused("EmptyBatch()")`.
    """
    said = reason or "(no reason given)"
    if reason.endswith("()"):
        said = f"0x{keccak(text=reason)[:4].hex()}"
    with pytest.raises(Reverted, match=f"^{re.escape(said)}$"):
        yield
    PROVOKED.add(reason)
