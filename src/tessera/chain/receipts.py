"""What a chain tells about blocks, transactions and logs, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tessera.bindings.calls import Event
from tessera.bindings.codec import checksummed
from tessera.bindings.logs import decode_event
from tessera.errors import DataError

__all__ = ["Block", "EventLog", "RawLog", "TransactionReceipt"]

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Block:
    """The head of a block.

    Parameters
    ----------
    number, hash, parent
        Height, and hashes as 0x-hex; the pending block has no hash.
    timestamp
        Unix seconds.
    base_fee
        Wei per gas; 0 on chains without one.
    gas_limit
        Of the block.
    """

    number: int
    hash: str
    parent: str
    timestamp: int
    base_fee: int
    gas_limit: int

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Block:
        """Read the node's form.

        Raises
        ------
        DataError
            It is another one.
        """
        with _read_as("block"):
            return cls(
                number=int(found["number"], 16),
                hash=found.get("hash") or "",
                parent=found["parentHash"],
                timestamp=int(found["timestamp"], 16),
                base_fee=int(found.get("baseFeePerGas") or "0x0", 16),
                gas_limit=int(found["gasLimit"], 16),
            )


@dataclass(frozen=True, slots=True)
class EventLog(Generic[E]):
    """An event, and where the chain has it.

    Parameters
    ----------
    event
        What was said.
    address
        The contract that said it.
    block, block_hash, tx_hash, index
        Where; `index` counts the logs of the block.
    """

    event: E
    address: str
    block: int
    block_hash: str
    tx_hash: str
    index: int


@dataclass(frozen=True, slots=True)
class RawLog:
    """A log as it is on the chain."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    block_hash: str
    tx_hash: str
    index: int

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> RawLog:
        """Read the node's form.

        Raises
        ------
        DataError
            It is another one.
        """
        with _read_as("log"):
            return cls(
                address=checksummed(found["address"]),
                topics=tuple(bytes.fromhex(topic[2:]) for topic in found["topics"]),
                data=bytes.fromhex(found["data"][2:]),
                block=int(found["blockNumber"], 16),
                block_hash=found["blockHash"],
                tx_hash=found["transactionHash"],
                index=int(found["logIndex"], 16),
            )

    def read_as(self, kind: type[E]) -> EventLog[E]:
        """Decode the log as such an event.

        Raises
        ------
        DataError
            It is another one.
        """
        return EventLog(
            event=kind.decode(self.topics, self.data),
            address=self.address,
            block=self.block,
            block_hash=self.block_hash,
            tx_hash=self.tx_hash,
            index=self.index,
        )


@dataclass(frozen=True, slots=True)
class TransactionReceipt:
    """What became of a mined transaction.

    Parameters
    ----------
    tx_hash, block, block_hash
        The transaction, and where it is.
    sender, to
        `to` is None where a contract was created.
    succeeded
        False where it reverted.
    gas_used
        Of this transaction.
    gas_price
        Wei per gas that was paid.
    created
        Address of the new contract, if any.
    logs
        In order.
    """

    tx_hash: str
    block: int
    block_hash: str
    sender: str
    to: str | None
    succeeded: bool
    gas_used: int
    gas_price: int
    created: str | None
    logs: tuple[RawLog, ...]

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> TransactionReceipt:
        """Read the node's form.

        Raises
        ------
        DataError
            It is another one.
        """
        with _read_as("receipt of a transaction"):
            created = found.get("contractAddress")
            to = found.get("to")
            return cls(
                tx_hash=found["transactionHash"],
                block=int(found["blockNumber"], 16),
                block_hash=found["blockHash"],
                sender=checksummed(found["from"]),
                to=checksummed(to) if to else None,
                succeeded=int(found["status"], 16) == 1,
                gas_used=int(found["gasUsed"], 16),
                gas_price=int(found.get("effectiveGasPrice") or "0x0", 16),
                created=checksummed(created) if created else None,
                logs=tuple(RawLog.from_json(log) for log in found["logs"]),
            )

    @property
    def events(self) -> list[Event]:
        """All events of our contracts in it, decoded, in order."""
        decoded = (decode_event(log.topics, log.data) for log in self.logs)
        return [event for event in decoded if event is not None]

    def all_of(self, kind: type[E], *, address: str | None = None) -> list[E]:
        """Return the events of one kind, of one contract where `address` is given."""
        return [
            log.read_as(kind).event
            for log in self.logs
            if kind.matches(log.topics) and (address is None or log.address == checksummed(address))
        ]

    def one_of(self, kind: type[E], *, address: str | None = None) -> E:
        """Return the only event of one kind.

        Raises
        ------
        DataError
            There is none, or more than one.
        """
        found = self.all_of(kind, address=address)
        if len(found) != 1:
            raise DataError(
                f"transaction {self.tx_hash}: {kind.CONTRACT}.{kind.NAME}",
                found=f"{len(found)} such events",
                wanted="exactly one",
            )
        return found[0]


@contextmanager
def _read_as(thing: str) -> Iterator[None]:
    # Whoever waits for a transaction waits for ever if what reads its receipt dies of a KeyError.
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{thing}, as the node tells it",
            found=f"{type(error).__name__}: {error}",
            wanted="the fields of the Ethereum JSON-RPC",
            next_step="use another node: --rpc-url",
        ) from error
