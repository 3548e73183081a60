"""The contracts in process: revm runs them, and everything that was sent is written down.

Each transaction is a block of its own, one second after the last, so that the very same list can
be sent to a node afterwards; see `replay.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.abi import collapse_if_tuple
from eth_utils.crypto import keccak

from tessera.contracts import load_artifact
from tessera.errors import NotFound, TransactionReverted

GENESIS = 1_800_000_000
CHAIN_ID = 31_337
NOBODY = "0x" + "00" * 20
_READER = "0x" + "e1" * 20
_GAS = 30_000_000
_ERROR_STRING = bytes.fromhex("08c379a0")


@dataclass(frozen=True, slots=True)
class Log:
    """One event as the chain keeps it; addresses are lower case everywhere in here."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """What was sent, when (unix seconds), and how many events it left."""

    action: str
    sender: str
    to: str | None
    data: bytes
    time: int
    logs: int


class Interface:
    """An ABI by names: functions with their number of arguments, events by topic."""

    def __init__(self, abi: Sequence[Any]) -> None:
        self.functions: dict[tuple[str, int], tuple[bytes, list[str], list[str]]] = {}
        self.events: dict[bytes, tuple[str, list[tuple[str, str, bool]]]] = {}
        self.constructor: list[tuple[str, str]] = []
        for entry in abi:
            inputs = [collapse_if_tuple(part) for part in entry.get("inputs", ())]
            names = [part["name"] for part in entry.get("inputs", ())]
            if entry["type"] == "function":
                outputs = [collapse_if_tuple(part) for part in entry["outputs"]]
                selector = keccak(text=f"{entry['name']}({','.join(inputs)})")[:4]
                self.functions[entry["name"], len(inputs)] = (selector, inputs, outputs)
            elif entry["type"] == "event":
                indexed = [part["indexed"] for part in entry["inputs"]]
                topic = keccak(text=f"{entry['name']}({','.join(inputs)})")
                fields = list(zip(names, inputs, indexed, strict=True))
                self.events[topic] = (entry["name"], fields)
            elif entry["type"] == "constructor":
                self.constructor = list(zip(names, inputs, strict=True))


@cache
def interface(name: str) -> Interface:
    """Interface of one of our contracts."""
    return Interface(load_artifact(name).abi)


class Evm:
    """revm, its clock, and the list of all transactions that went through."""

    def __init__(self) -> None:
        try:
            import pyrevm
        except ImportError:
            raise NotFound(
                "pyrevm",
                found="not installed",
                wanted="the EVM that the simulation runs in",
                next_step="use a Python below 3.13, for which there are builds of it",
            ) from None
        self._pyrevm = pyrevm
        self._now = GENESIS
        self._evm = pyrevm.EVM(
            env=pyrevm.Env(cfg=pyrevm.CfgEnv(chain_id=CHAIN_ID), block=self._block()),
            spec_id="CANCUN",
        )
        self.transactions: list[Transaction] = []
        self.refused = 0

    @property
    def now(self) -> int:
        """Unix seconds of the last block."""
        return self._now

    def pass_time(self, seconds: int) -> None:
        """Let the clock run."""
        self._now += seconds
        self._evm.set_block_env(self._block())

    def _block(self) -> Any:
        number = 1 + self._now - GENESIS
        return self._pyrevm.BlockEnv(number=number, timestamp=self._now, gas_limit=10 * _GAS)

    def deploy(self, sender: str, code: bytes) -> str:
        """Create a contract and return its address."""
        self.pass_time(1)
        try:
            address = str(self._evm.deploy(sender, code)).lower()
        except RuntimeError as error:
            raise _refusal("a deployment", error) from None
        self._note("deploy", sender, None, code)
        return address

    def send(self, action: str, sender: str, to: str, data: bytes) -> tuple[bytes, list[Log]]:
        """Do one transaction; a refused one raises and is not in the list.

        Raises
        ------
        TransactionReverted
            With the contract's reason.
        """
        self.pass_time(1)
        try:
            output = bytes(self._evm.message_call(sender, to, data, gas=_GAS))
        except RuntimeError as error:
            self.refused += 1
            raise _refusal(action, error) from None
        logs = self._note(action, sender, to, data)
        return output, logs

    def _note(self, action: str, sender: str, to: str | None, data: bytes) -> list[Log]:
        logs: list[Log] = []
        result: Any = self._evm.result
        for log in result.logs:
            topics, body = log.data
            logs.append(Log(log.address.lower(), tuple(map(bytes, topics)), bytes(body)))
        self.transactions.append(Transaction(action, sender, to, data, self._now, len(logs)))
        return logs

    def read(self, to: str, data: bytes) -> bytes:
        """Ask a view."""
        try:
            return bytes(self._evm.message_call(_READER, to, data, gas=_GAS, is_static=True))
        except RuntimeError as error:
            raise _refusal("a view", error) from None

    def tamper(self, address: str, slot: int, value: int) -> None:
        """Write a storage word behind every contract's back: what the checks must notice."""
        self._evm.insert_account_storage(address, slot, value)

    def word(self, address: str, slot: int) -> int:
        """Read a storage word."""
        return int(self._evm.storage(address, slot))


class Contract:
    """An address with a name for each thing that it can do."""

    def __init__(self, evm: Evm, name: str, address: str) -> None:
        self.evm = evm
        self.name = name
        self.address = address.lower()
        self.interface = interface(name)
        self._calls: dict[tuple[object, ...], bytes] = {}

    def __repr__(self) -> str:
        return f"{self.name}({self.address})"

    def data(self, function: str, *arguments: Any) -> bytes:
        """Calldata of a call."""
        selector, inputs, _ = self.interface.functions[function, len(arguments)]
        return selector + encode(inputs, [_plain(argument) for argument in arguments])

    def read(self, function: str, *arguments: Any) -> Any:
        """Ask a view; one output comes bare, several as a tuple."""
        key = (function, *arguments)
        if key not in self._calls:
            self._calls[key] = self.data(function, *arguments)
        outputs = self.interface.functions[function, len(arguments)][2]
        answer = decode(outputs, self.evm.read(self.address, self._calls[key]))
        return answer[0] if len(answer) == 1 else answer

    def decoded(self, function: str, arguments: int, output: bytes) -> Any:
        """What a transaction answered."""
        outputs = self.interface.functions[function, arguments][2]
        answer = decode(outputs, output)
        return None if not answer else answer[0] if len(answer) == 1 else answer

    def events(self, logs: Sequence[Log], name: str) -> list[dict[str, Any]]:
        """Arguments of this contract's events of one name."""
        found = []
        for log in logs:
            if log.address != self.address or log.topics[0] not in self.interface.events:
                continue
            event, fields = self.interface.events[log.topics[0]]
            if event != name:
                continue
            topics = iter(log.topics[1:])
            rest = iter(decode([kind for _, kind, indexed in fields if not indexed], log.data))
            found.append(
                {
                    field: decode([kind], next(topics))[0] if indexed else next(rest)
                    for field, kind, indexed in fields
                }
            )
        return found


def deployed(evm: Evm, name: str, by: str, arguments: Sequence[Any]) -> Contract:
    """Put one of our contracts on the chain."""
    kinds = [kind for _, kind in interface(name).constructor]
    code = load_artifact(name).bytecode + encode(kinds, list(arguments))
    return Contract(evm, name, evm.deploy(by, code))


def _plain(value: Any) -> Any:
    if isinstance(value, Contract):
        return value.address
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value


def _refusal(action: str, error: RuntimeError) -> TransactionReverted:
    said = str(error)
    found = re.search(r"output: 0x([0-9a-f]*)", said)
    reason = said
    if said.startswith("Revert") and found is not None:
        output = bytes.fromhex(found[1])
        reason = ""
        if output[:4] == _ERROR_STRING:
            length = int.from_bytes(output[36:68], "big")
            reason = output[68 : 68 + length].decode()
    return TransactionReverted(action, reason)
