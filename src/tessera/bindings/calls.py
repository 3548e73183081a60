"""What the generated modules are made of: contracts, calls, structs and events. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

import msgspec

from tessera.bindings.codec import checksummed, decode, encode
from tessera.errors import DataError, InputError

__all__ = ["Call", "Contract", "Event", "Struct", "Topics"]

T = TypeVar("T")

Topics = tuple[bytes | None, ...]
"""A filter for logs: one entry for each topic, None where any value will do."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of one contract: read it with a ChainReader, or send it with a Sender.

    Parameters
    ----------
    contract, function
        Names, for messages.
    to
        The contract's address.
    data
        Selector and encoded arguments.
    outputs
        ABI types of what it returns.
    shape
        Turns the decoded values into a `T`.
    value
        Wei to send along; 0 for all of Tessera's contracts.
    """

    contract: str
    function: str
    to: str
    data: bytes
    outputs: tuple[str, ...]
    shape: Callable[[tuple[Any, ...]], T]
    value: int = 0

    def decode(self, data: bytes) -> T:
        """Read what the contract returned.

        Raises
        ------
        DataError
            The bytes are not what this function returns.
        """
        return self.shape(decode(str(self), self.outputs, data) if self.outputs else ())

    def __str__(self) -> str:
        return f"{self.contract}.{self.function}"


class Contract:
    """A contract of one kind at one address; its methods make calls.

    Raises
    ------
    InputError
        `address` is no address.
    """

    __slots__ = ("address",)
    CONTRACT: ClassVar[str]
    EVENTS: ClassVar[tuple[type[Event], ...]]
    # TestDollar is no test, whatever pytest makes of its name.
    __test__: ClassVar[bool] = False

    def __init__(self, address: str) -> None:
        try:
            self.address = checksummed(address)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"address of {self.CONTRACT}",
                found=address,
                wanted="0x and 40 hex digits, with a right checksum where the case is mixed",
            ) from error

    def __repr__(self) -> str:
        return f"{self.CONTRACT}({self.address!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.address == self.address

    def __hash__(self) -> int:
        return hash((self.CONTRACT, self.address))

    def _call(
        self,
        function: str,
        selector: str,
        inputs: tuple[str, ...],
        values: tuple[object, ...],
        outputs: tuple[str, ...],
        shape: Callable[[tuple[Any, ...]], T],
    ) -> Call[T]:
        data = bytes.fromhex(selector)
        if inputs:
            data += encode(f"{self.CONTRACT}.{function}", inputs, values)
        return Call(self.CONTRACT, function, self.address, data, outputs, shape)


class Struct(msgspec.Struct, frozen=True):
    """A struct of a contract.

    Of msgspec, which makes hundreds of such classes in the time that dataclasses take for one.
    """

    @classmethod
    def from_values(cls, values: Sequence[Any]) -> Self:
        """Make it from the tuple that the decoder gives."""
        raise NotImplementedError


class Event(msgspec.Struct, frozen=True):
    """Something that a contract said happened.

    Attributes
    ----------
    TOPIC
        keccak256 of the signature: topic 0 of every such log.
    INDEXED, BODY
        ABI types of what is in the further topics and in the data.
    """

    CONTRACT: ClassVar[str]
    NAME: ClassVar[str]
    TOPIC: ClassVar[bytes]
    INDEXED: ClassVar[tuple[str, ...]]
    BODY: ClassVar[tuple[str, ...]]

    @classmethod
    def matches(cls, topics: Sequence[bytes]) -> bool:
        """Tell whether a log with these topics is such an event.

        The number of topics counts: ERC-20 and ERC-721 have the same signature of Transfer.
        """
        return len(topics) == len(cls.INDEXED) + 1 and topics[0] == cls.TOPIC

    @classmethod
    def decode(cls, topics: Sequence[bytes], data: bytes) -> Self:
        """Read one log.

        Raises
        ------
        DataError
            The log is no such event.
        """
        thing = f"{cls.CONTRACT}.{cls.NAME}"
        if not cls.matches(topics):
            raise DataError(f"log: found another event, wanted {thing}")
        indexed = decode(thing, cls.INDEXED, b"".join(topics[1:])) if cls.INDEXED else ()
        return cls._of(indexed, decode(thing, cls.BODY, data) if cls.BODY else ())

    @classmethod
    def _of(cls, indexed: Sequence[Any], body: Sequence[Any]) -> Self:
        raise NotImplementedError

    @classmethod
    def _topics(cls, *values: object) -> Topics:
        thing = f"topics of {cls.CONTRACT}.{cls.NAME}"
        found: list[bytes | None] = [cls.TOPIC]
        for kind, value in zip(cls.INDEXED, values, strict=True):
            found.append(None if value is None else encode(thing, (kind,), (value,)))
        while found[-1] is None:
            found.pop()
        return tuple(found)
