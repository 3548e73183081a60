"""What nodes answer, as bytes become rows: strict in shape, deaf to what was not asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tessera.errors import ChainError
from tessera.spec.signatures import keccak

__all__ = [
    "TRANSFER",
    "Answer",
    "BadAnswer",
    "Block",
    "CallRow",
    "EventRow",
    "Header",
    "Log",
    "PlacedLog",
    "Receipt",
    "TransferRow",
    "address_bytes",
    "amount_bytes",
    "bloom_of",
    "call_row",
    "data_bytes",
    "decode_answers",
    "event_row",
    "hash_bytes",
    "in_bloom",
    "number",
    "reader_of",
    "transfer_rows",
]

TRANSFER: Final = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""keccak256("Transfer(address,address,uint256)"); with three topics an ERC-20's."""

_PADDING: Final = "0x" + "0" * 24
_ERC20_TOPICS: Final = 3
_HASH: Final = 66
_ADDRESS: Final = 42
_AMOUNT: Final = 66
_BLOOM_BYTES: Final = 256
_ADDRESS_BYTES: Final = 20
_LAST_PLACE: Final = (1 << 31) - 1


class BadAnswer(ChainError):
    """A node's answer is none, or contradicts itself or what was asked."""

    retryable = True


class Fault(msgspec.Struct):
    """A JSON-RPC error."""

    code: int = 0
    message: str = ""
    data: Any = None


class Answer(msgspec.Struct):
    """One answer of a batch."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Fault | None = None


class Log(msgspec.Struct, rename="camel", gc=False):
    """A log, hex as the node sends it."""

    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    transaction_index: str
    log_index: str
    block_timestamp: str | None = None
    removed: bool = False


class PlacedLog(Log, rename="camel", gc=False):
    """A log with the hash of its transaction."""

    transaction_hash: str = ""


class Header(msgspec.Struct, rename="camel"):
    """The head of a block."""

    number: str
    hash: str
    parent_hash: str
    timestamp: str
    logs_bloom: str = "0x"


class Transaction(msgspec.Struct, rename="camel"):
    """A transaction within a block."""

    hash: str
    from_: str = msgspec.field(name="from")
    value: str = "0x0"
    input: str = "0x"
    to: str | None = None


class Block(Header, rename="camel"):
    """A block with its transactions."""

    transactions: list[Transaction] = []


class Receipt(msgspec.Struct, rename="camel"):
    """What became of a transaction."""

    transaction_hash: str
    block_hash: str
    logs: list[PlacedLog]
    status: str | None = None
    contract_address: str | None = None


class TransferRow(NamedTuple):
    """A row of `facts_transfers`, less when it was known."""

    token: bytes
    block: int
    log: int
    tx: int
    source: bytes
    target: bytes
    amount: bytes


class EventRow(NamedTuple):
    """A row of `facts_events`, less when it was known; `kind` is empty for a stranger's."""

    block: int
    log: int
    tx: int
    hash: bytes
    address: bytes
    kind: str
    topics: bytes
    data: bytes


class CallRow(NamedTuple):
    """A row of `facts_calls`, less when it was known."""

    block: int
    tx: int
    hash: bytes
    sender: bytes
    target: bytes | None
    created: bytes | None
    value: bytes
    data: bytes
    ok: bool


_decode_many = msgspec.json.Decoder(list[Answer]).decode
_decode_one = msgspec.json.Decoder(Answer).decode


def decode_answers(body: bytes) -> list[Answer] | Answer:
    """Read the answer to a batch; one object is what a node says that takes no batches.

    Raises
    ------
    BadAnswer
        It is no JSON-RPC.
    """
    try:
        if body.lstrip()[:1] == b"[":
            return _decode_many(body)
        return _decode_one(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _bad("JSON-RPC", f"{error}: {body[:80]!r}") from error


def reader_of(kind: Any) -> Callable[[msgspec.Raw], Any]:
    """Return what reads a result as such a value.

    The reader raises BadAnswer where the result is another one.
    """
    decoder = msgspec.json.Decoder(kind)

    def read(raw: msgspec.Raw) -> Any:
        try:
            return decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise _bad(str(kind), str(error)) from error

    return read


def number(quantity: str) -> int:
    """Read a quantity.

    Raises
    ------
    BadAnswer
        It is none, or beyond 63 bits, which no height, index or time is.
    """
    try:
        value = int(quantity, 16)
    except ValueError as error:
        raise _bad("a quantity", quantity) from error
    if not 0 <= value < 1 << 63:
        raise _bad("a quantity of 63 bits", quantity)
    return value


def address_bytes(shown: str) -> bytes:
    """Read an address; BadAnswer where it is none."""
    return _exactly(shown, _ADDRESS, "an address")


def hash_bytes(shown: str) -> bytes:
    """Read a hash or another word of 32 bytes; BadAnswer where it is none."""
    return _exactly(shown, _HASH, "32 bytes")


def data_bytes(shown: str) -> bytes:
    """Read bytes; BadAnswer where they are none."""
    try:
        return bytes.fromhex(shown[2:])
    except ValueError as error:
        raise _bad("bytes", shown) from error


def amount_bytes(shown: str) -> bytes:
    """Read an amount of up to 256 bits as its bytes without leading zeros.

    Raises
    ------
    BadAnswer
        It is none.
    """
    digits = shown[2:]
    try:
        return bytes.fromhex(digits if len(digits) % 2 == 0 else f"0{digits}").lstrip(b"\0")
    except ValueError as error:
        raise _bad("an amount", shown) from error


def transfer_rows(logs: Iterable[Log]) -> list[TransferRow]:
    """Return the ERC-20 transfers among logs.

    Other events are left out: an ERC-721 has four topics, old tokens have one; and so is what has
    parties that are no addresses, or data that is no single word.

    Raises
    ------
    BadAnswer
        A log is malformed.
    """
    found = []
    # A hundred thousand a second go through here: what repeats is read once.
    token_text = block_text = tx_text = ""
    token, block, tx = b"", 0, 0
    fromhex, row = bytes.fromhex, TransferRow
    for log in logs:
        topics = log.topics
        if len(topics) != _ERC20_TOPICS or topics[0] != TRANSFER or len(log.data) != _AMOUNT:
            if topics and topics[0] != TRANSFER and topics[0].lower() == TRANSFER:
                # In capitals it would be nobody's event, and a history of nothing.
                raise _bad("hex in small letters", topics[0])
            continue
        _, source, target = topics
        if source[:26] != _PADDING or target[:26] != _PADDING:
            continue
        if log.address != token_text:
            token_text, token = log.address, address_bytes(log.address)
        if log.block_number != block_text:
            block_text, block = log.block_number, number(log.block_number)
        if log.transaction_index != tx_text:
            tx_text, tx = log.transaction_index, _place(log.transaction_index)
        try:
            parties = fromhex(source[26:]), fromhex(target[26:])
            amount = fromhex(log.data[2:]).lstrip(b"\0")
            place = int(log.log_index, 16)
        except ValueError as error:
            raise _bad("a log", repr(log)) from error
        if len(parties[0]) != _ADDRESS_BYTES or len(parties[1]) != _ADDRESS_BYTES:
            raise _bad("topics of 32 bytes", f"{source}, {target}")
        if not 0 <= place <= _LAST_PLACE:
            raise _bad("a place of 31 bits", log.log_index)
        found.append(row(token, block, place, tx, *parties, amount))
    return found


def _place(quantity: str) -> int:
    place = number(quantity)
    if place > _LAST_PLACE:
        raise _bad("a place of 31 bits", quantity)
    return place


def event_row(log: PlacedLog, kind: str) -> EventRow:
    """Return a log as it is on the chain.

    Raises
    ------
    BadAnswer
        It is malformed.
    """
    return EventRow(
        number(log.block_number),
        _place(log.log_index),
        _place(log.transaction_index),
        hash_bytes(log.transaction_hash),
        address_bytes(log.address),
        kind,
        b"".join(map(hash_bytes, log.topics)),
        data_bytes(log.data),
    )


def call_row(block: int, tx: int, made: Transaction, receipt: Receipt) -> CallRow:
    """Return what a transaction did.

    Raises
    ------
    BadAnswer
        It is malformed, or the receipt does not say whether it reverted.
    """
    if receipt.status is None:
        raise _bad("a receipt with a status", made.hash)
    created = receipt.contract_address
    return CallRow(
        block,
        tx,
        hash_bytes(made.hash),
        address_bytes(made.from_),
        address_bytes(made.to) if made.to else None,
        address_bytes(created) if created and not made.to else None,
        amount_bytes(made.value),
        data_bytes(made.input),
        number(receipt.status) == 1,
    )


def bloom_of(logs: Sequence[Log]) -> bytes:
    """Return the filter that a block with these logs must have; BadAnswer of what is no hex."""
    bits = 0
    seen: set[str] = set()
    for log in logs:
        seen.add(log.address)
        seen.update(log.topics)
    for each in seen:
        bits |= _bits_of(data_bytes(each))
    return bits.to_bytes(_BLOOM_BYTES, "big")


def in_bloom(bloom: str, *values: str) -> bool:
    """Tell whether a block's filter has all of these addresses and topics; sometimes by chance."""
    if len(bloom) != 2 + 2 * _BLOOM_BYTES:
        return False
    bits = int.from_bytes(data_bytes(bloom))
    return all(bits & mask == mask for mask in (_bits_of(bytes.fromhex(v[2:])) for v in values))


def _bits_of(value: bytes) -> int:
    hashed = keccak(value)
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(hashed[at : at + 2], "big") & 2047)
    return bits


def _exactly(shown: str, length: int, what: str) -> bytes:
    if len(shown) != length:
        raise _bad(what, shown)
    try:
        return bytes.fromhex(shown[2:])
    except ValueError as error:
        raise _bad(what, shown) from error


def _bad(wanted: str, found: str) -> BadAnswer:
    return BadAnswer(
        "a node's answer",
        found=found[:200],
        wanted=wanted,
        next_step="name another node with --rpc, or a second one beside it",
    )
