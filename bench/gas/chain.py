"""One local chain: keys made here, signed transactions, gas from receipts and nowhere else.

Every transaction mines one block, and each block is 12 seconds after the last, whatever the wall
clock says: together with keys derived from role names, this makes each figure the same on every
machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import httpx
import rlp
from eth_abi.abi import decode, encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.abi import (
    abi_to_signature,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
    get_abi_input_types,
    get_abi_output_types,
)
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from tessera.errors import ChainError

BLOCK_SECONDS = 12
GENESIS_TIME = 1_750_000_000
CHAIN_ID = 31337
RECEIPT_SECONDS = 30.0
TRANSACTION_GAS_LIMIT = 28_000_000
ZERO_ADDRESS = "0x" + "00" * 20

Abi = Sequence[dict[str, Any]]


class MeasurementFailed(ChainError):
    """A transaction or a call of the bench did not do what it was to do: no figure comes of it."""


@dataclass(frozen=True, slots=True)
class Code:
    """What a compiler left of a contract: its interface and its creation bytecode."""

    name: str
    abi: Abi
    creation: bytes


@dataclass(frozen=True, slots=True)
class Contract:
    """A deployed contract: checksummed address and interface."""

    name: str
    address: str
    abi: Abi


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the node said of a mined, successful transaction."""

    transaction: str
    gas: int
    logs: tuple[dict[str, Any], ...]


@cache
def account(role: str) -> LocalAccount:
    """Key pair of a role, from its name alone: worth nothing outside a chain made for one run."""
    signer: LocalAccount = Account.from_key(keccak(text=f"tessera bench: {role}"))
    return signer


def read_code(path: Path, name: str | None = None) -> Code:
    """Read an artifact with the fields `abi` and `bytecode`, as most compilers write them."""
    artifact = json.loads(path.read_text(encoding="utf-8"))
    return Code(name or path.stem, artifact["abi"], bytes_of(artifact["bytecode"]))


def bytes_of(text: str) -> bytes:
    """Bytes of a hex string with or without 0x."""
    return bytes.fromhex(text.removeprefix("0x"))


def entry(abi: Abi, kind: str, name: str | None, arguments: int) -> dict[str, Any]:
    """Find the one entry of an interface with this name and number of arguments.

    A name with its types, `release(address,address)`, chooses between overloads.
    """
    found = [
        item
        for item in abi
        if item["type"] == kind
        and (name is None or name in (item.get("name"), abi_to_signature(cast("Any", item))))
        and len(item.get("inputs", ())) == arguments
    ]
    if len(found) != 1:
        raise MeasurementFailed(
            f"{kind} {name or ''} with {arguments} arguments: "
            f"found {len(found)} in the interface, wanted 1"
        )
    return found[0]


def event_topic(abi: Abi, name: str) -> str:
    """First topic of an event's logs, as receipts spell it."""
    found: Any = next(item for item in abi if item["type"] == "event" and item["name"] == name)
    return "0x" + event_abi_to_log_topic(found).hex()


def encode_call(abi: Abi, name: str, arguments: Sequence[Any]) -> bytes:
    """Calldata of a function found by its name and number of arguments."""
    function: Any = entry(abi, "function", name, len(arguments))
    selector: bytes = function_abi_to_4byte_selector(function)
    return selector + encode(get_abi_input_types(function), arguments)


class Chain:
    """A JSON-RPC connection to a node that mines each transaction at once."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._nonces: dict[str, int] = {}
        self._time = GENESIS_TIME

    @property
    def now(self) -> int:
        """Unix seconds of the last block that this connection made."""
        return self._time

    def pass_time(self, seconds: int) -> None:
        """Let the next block be later than it would be by this many seconds."""
        self._time += seconds

    def rpc(self, method: str, *params: Any) -> Any:
        """Call one method of the node and return its result.

        Raises
        ------
        MeasurementFailed
            The node answered with an error.
        """
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._client.post("", json=body).raise_for_status().json()
        if "error" in answer:
            raise MeasurementFailed(f"{method}: {answer['error'].get('message', answer['error'])}")
        return answer["result"]

    def next_contract(self, sender: LocalAccount, ahead: int = 0) -> str:
        """Address of the contract that the sender's next transaction creates, or one further on."""
        nonce = self._nonces.get(sender.address, 0) + ahead
        digest = keccak(rlp.encode([bytes_of(sender.address), nonce]))
        return to_checksum_address(digest[12:])

    def send(self, sender: LocalAccount, to: str | None, data: bytes, *, what: str) -> Receipt:
        """Mine one transaction; a reverted one raises with the node's reason."""
        nonce = self._nonces.get(sender.address, 0)
        transaction: dict[str, Any] = {
            "chainId": CHAIN_ID,
            "nonce": nonce,
            "gas": TRANSACTION_GAS_LIMIT,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
            "value": 0,
            "data": data,
        }
        if to is not None:
            transaction["to"] = to_checksum_address(to)
        self._time += BLOCK_SECONDS
        self.rpc("evm_setNextBlockTimestamp", self._time)
        signed = sender.sign_transaction(transaction)
        identity = self.rpc("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())
        self._nonces[sender.address] = nonce + 1
        raw = self._receipt(identity, what)
        if int(raw["status"], 16) != 1:
            raise MeasurementFailed(f"{what}: reverted, {self._reason(raw, transaction)}")
        return Receipt(identity, int(raw["gasUsed"], 16), tuple(raw["logs"]))

    def _receipt(self, identity: str, what: str) -> dict[str, Any]:
        # The node takes a transaction in a moment before it has mined it.
        until = time.monotonic() + RECEIPT_SECONDS
        while time.monotonic() < until:
            raw: dict[str, Any] | None = self.rpc("eth_getTransactionReceipt", identity)
            if raw is not None:
                return raw
            time.sleep(0.005)
        raise MeasurementFailed(f"{what}: no receipt for {identity} after {RECEIPT_SECONDS:.0f} s")

    def _reason(self, receipt: dict[str, Any], transaction: dict[str, Any]) -> str:
        call = {"from": receipt["from"], "data": "0x" + transaction["data"].hex()}
        if "to" in transaction:
            call["to"] = transaction["to"]
        before = hex(int(receipt["blockNumber"], 16) - 1)
        try:
            self.rpc("eth_call", call, before)
        except MeasurementFailed as failure:
            return str(failure)
        return f"{int(receipt['gasUsed'], 16)} gas used, no reason found by a second call"

    def deploy(self, sender: LocalAccount, code: Code, *arguments: Any) -> Contract:
        """Deploy and insist that code lies at the new address."""
        return self.deploy_measured(sender, code, *arguments)[0]

    def deploy_measured(
        self, sender: LocalAccount, code: Code, *arguments: Any
    ) -> tuple[Contract, Receipt]:
        """Deploy and return the receipt too."""
        data = code.creation
        if arguments:
            constructor: Any = entry(code.abi, "constructor", None, len(arguments))
            data += encode(get_abi_input_types(constructor), arguments)
        receipt = self.send(sender, None, data, what=f"deploying {code.name}")
        address = self.rpc("eth_getTransactionReceipt", receipt.transaction)["contractAddress"]
        if self.rpc("eth_getCode", address, "latest") == "0x":
            raise MeasurementFailed(f"deploying {code.name}: no code at {address}")
        return Contract(code.name, to_checksum_address(address), code.abi), receipt

    def transact(
        self, sender: LocalAccount, contract: Contract, function: str, *arguments: Any
    ) -> Receipt:
        """Call a function in a transaction."""
        data = encode_call(contract.abi, function, arguments)
        return self.send(sender, contract.address, data, what=f"{contract.name}.{function}")

    def read(self, contract: Contract, function: str, *arguments: Any) -> Any:
        """Call a view at the latest block; one output comes bare, several as a tuple."""
        data = encode_call(contract.abi, function, arguments)
        call = {"to": contract.address, "data": "0x" + data.hex()}
        raw = bytes_of(self.rpc("eth_call", call, "latest"))
        item: Any = entry(contract.abi, "function", function, len(arguments))
        values = decode(get_abi_output_types(item), raw)
        return values[0] if len(values) == 1 else values
