"""A validator's row in an epoch of a subnet: sealed, committed, revealed, and shown to who asks.

What is committed can only be revealed with its salt, and a row that is not revealed counts for
nothing. So row and salt lie on the disk before anything is sent, and an epoch has one row: whoever
starts again goes on with it. Everything here may be done twice; the second time does nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final

import httpx
import msgspec

from tessera.bindings.scores import Committed, Node, Revealed, Scores
from tessera.bindings.subnets import Subnets
from tessera.chain.reader import ChainReader
from tessera.chain.sender import Sender
from tessera.errors import Conflict, DataError, InputError, NotFound, TransactionReverted
from tessera.spec.scores import MAX_WEIGHT, Row, commitment_of, leaves_of
from tessera.spec.signatures import address_of
from tessera.spec.subnets import MAX_MODELS
from tessera.storage.folders import write_whole
from tessera.validation.fetching import FETCH_ERRORS, fetched, few_at_once

__all__ = [
    "Place",
    "Sealed",
    "Served",
    "answer",
    "ask_for",
    "asked_for",
    "commit",
    "committed",
    "encode_row",
    "kept",
    "look_at_rows",
    "read_row",
    "reveal",
    "seal",
    "write_row",
]

_FORMAT: Final = "tessera.row.v1"
_SALT_BYTES: Final = 32
_FETCH_S: Final = 15.0
_MOST_BYTES: Final = 32 * MAX_MODELS
_Weight = Annotated[int, msgspec.Meta(ge=0, le=MAX_WEIGHT)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row counts: one contract, subnet and epoch, and whose it is."""

    chain_id: int
    scores: str
    subnet: int
    epoch: int
    validator: str

    @property
    def name(self) -> str:
        """Of its file."""
        return (
            f"{self.chain_id}-{self.scores.lower()[2:18]}-{self.subnet}-{self.epoch}-"
            f"{self.validator.lower()[2:18]}.json"
        )


@dataclass(frozen=True)
class Sealed:
    """A row with its salt.

    Attributes
    ----------
    weights
        By the model's uid; what is missing is 0, which is no entry.
    columns
        Models of the epoch.
    salt
        Secret until the row is revealed.
    """

    place: Place
    weights: tuple[tuple[int, int], ...]
    columns: int
    salt: bytes

    @cached_property
    def row(self) -> Row:
        """Its tree."""
        return Row(dict(self.weights), self.columns)

    @property
    def commitment(self) -> bytes:
        """What is sent before the row itself."""
        place = self.place
        return commitment_of(
            self.row,
            self.salt,
            address_of(place.validator),
            place.subnet,
            place.epoch,
            place.chain_id,
            address_of(place.scores),
        )


class _SealedWire(msgspec.Struct, forbid_unknown_fields=True):
    chain_id: int
    scores: str
    subnet: int
    epoch: int
    validator: str
    columns: int
    weights: list[tuple[int, int]]
    salt: str


class _RowWire(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    weights: list[tuple[int, _Weight]]


# --- What is kept -----------------------------------------------------------------------------


def seal(folder: Path, place: Place, weights: Iterable[tuple[int, int]], columns: int) -> Sealed:
    """Draw a salt and keep the row; return the one that is kept already.

    Parameters
    ----------
    folder
        Of the validator's rows; only its owner can read what is written there.
    weights
        From `tessera.validation.weights`.

    Raises
    ------
    Conflict
        Another row was sealed for this epoch. It may be committed to, so only it can be revealed.
    InputError
        A uid or a weight is none, or the folder cannot be written to.
    """
    listed = tuple(sorted((uid, weight) for uid, weight in weights if weight))
    if not 0 < columns <= MAX_MODELS:
        raise InputError(f"subnet {place.subnet}: models", found=columns, wanted="one or more")
    made = Sealed(place, listed, columns, secrets.token_bytes(_SALT_BYTES))
    assert made.row.leaves
    try:
        found = kept(folder, place)
    except NotFound:
        _write(folder, made)
        return made
    if (found.weights, found.columns) != (listed, columns):
        raise Conflict(
            f"epoch {place.epoch} of subnet {place.subnet}",
            found="another row that was sealed",
            wanted="the same weights",
            next_step=f"reveal that one; it is in {folder / place.name}",
        )
    return found


def kept(folder: Path, place: Place) -> Sealed:
    """Return the row that was sealed for an epoch.

    Raises
    ------
    NotFound
        None was.
    DataError
        The file is damaged.
    """
    file = folder / place.name
    try:
        wire = msgspec.json.decode(file.read_bytes(), type=_SealedWire)
        salt = bytes.fromhex(wire.salt)
        found = Sealed(
            Place(wire.chain_id, wire.scores, wire.subnet, wire.epoch, wire.validator),
            tuple(wire.weights),
            wire.columns,
            salt,
        )
        if found.place != place or len(salt) != _SALT_BYTES:
            raise ValueError("of another epoch")
    except FileNotFoundError as error:
        raise NotFound(
            f"row of epoch {place.epoch} of subnet {place.subnet}",
            found="none sealed here",
            wanted="one, with its salt",
            next_step="it must be revealed from the data folder that it was committed from",
        ) from error
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise DataError(
            f"sealed row {file}", found=str(error), wanted="a row and its salt"
        ) from error
    return found


def _write(folder: Path, sealed: Sealed) -> None:
    place = sealed.place
    wire = _SealedWire(
        place.chain_id, place.scores, place.subnet, place.epoch, place.validator,
        sealed.columns, list(sealed.weights), sealed.salt.hex(),
    )  # fmt: skip
    write_whole(folder / place.name, msgspec.json.encode(wire))


# --- What is served ---------------------------------------------------------------------------


def write_row(sealed: Sealed) -> bytes:
    """Write a row's data for everybody, once it is revealed: its weights, and no salt."""
    return encode_row(sealed.weights)


def encode_row(weights: Iterable[tuple[int, int]]) -> bytes:
    """Write weights by uid as everybody reads them."""
    return msgspec.json.encode(_RowWire(_FORMAT, list(weights)))


def read_row(data: bytes, columns: int, root: bytes, total: int) -> Row:
    """Read what a validator serves, and hold it against what it revealed.

    Parameters
    ----------
    data
        Of anybody; at most as long as the caller let it become.
    columns, root, total
        From the chain.

    Raises
    ------
    DataError
        It is no row, or not the one that was revealed: ask for its leaves on the chain.
    """
    try:
        wire = msgspec.json.decode(data, type=_RowWire)
        if wire.format != _FORMAT or len({uid for uid, _ in wire.weights}) != len(wire.weights):
            raise ValueError("not one weight for each model")
        row = Row(dict(wire.weights), columns)
    except (msgspec.MsgspecError, ValueError, RecursionError, InputError) as error:
        raise DataError("row", found=str(error), wanted=f"a {_FORMAT}") from error
    if (row.root, row.sum) != (root, total):
        raise DataError(
            "row", found=f"root 0x{row.root.hex()}, sum {row.sum}",
            wanted=f"root 0x{root.hex()}, sum {total}, as was revealed",
            next_step="ask for its leaves on the chain before the epoch ends",
        )  # fmt: skip
    return row


# --- What is sent -----------------------------------------------------------------------------


async def commit(
    sender: Sender,
    scores: Scores,
    folder: Path,
    *,
    subnet: int,
    uid: int,
    weights: Iterable[tuple[int, int]],
    epoch: int | None = None,
    first: int = 0,
) -> Sealed:
    """Seal a row for the epoch that runs, and commit to it.

    Parameters
    ----------
    uid
        The sender's place among the subnet's validators.
    epoch
        For which the row was made; None for whichever runs.
    first
        Block from which on there can be a commit: where the deployment begins.

    Raises
    ------
    TransactionReverted
        The sender has not that place, too small a bond, or the time for commits is over.
    Conflict
        Another row was sealed for this epoch, or another epoch runs.
    """
    reader = sender.reader
    subnets = Subnets(await reader.read(scores.subnets()))
    # Time alone may have begun another epoch since the last block.
    seat = subnets.seated(subnet, uid, sender.address)
    now, _, _, _, columns = await reader.read(seat, at="pending")
    if epoch not in {None, now}:
        raise Conflict(
            f"subnet {subnet}", found=f"epoch {now}", wanted=f"epoch {epoch}, of which the row is"
        )
    place = Place(reader.chain_id, scores.address, subnet, now, sender.address)
    sealed = seal(folder, place, weights, columns)
    if await committed(reader, place, first=first) == sealed.commitment:
        return sealed
    try:
        await sender.send(scores.commit(subnet, uid, sealed.commitment))
    except TransactionReverted:
        # One that was sent before a kill may have been mined since we looked.
        if await committed(reader, place, first=first) != sealed.commitment:
            raise
    return sealed


async def reveal(sender: Sender, scores: Scores, folder: Path, place: Place, uri: str) -> int:
    """Open a commit, and return the row's number.

    Parameters
    ----------
    uri
        Where `write_row`'s data is served.

    Raises
    ------
    NotFound
        No row was sealed here.
    TransactionReverted
        Nothing was committed, or it is not the time for reveals.
    """
    reader = sender.reader
    sealed = kept(folder, place)
    asked = scores.row_of(place.subnet, place.epoch, place.validator)
    number = await reader.read(asked)
    if not number:
        row = sealed.row
        call = scores.reveal(place.subnet, place.epoch, row.root, row.sum, sealed.salt, uri)
        try:
            await sender.send(call)
        except TransactionReverted:
            # One that was sent before a kill may have been mined since we looked.
            if not await reader.read(asked):
                raise
        number = await reader.read(asked)
    return number - 1


async def asked_for(reader: ChainReader, scores: Scores, folder: Path, place: Place) -> list[int]:
    """Return the leaves of a row that somebody asked for and that were not shown yet.

    Raises
    ------
    NotFound
        No row was sealed here, or it was not revealed.
    """
    leaves = leaves_of(kept(folder, place).columns)
    row = await _revealed(reader, scores, place)
    calls = [scores.asked_of(place.subnet, place.epoch, row, leaf) for leaf in range(leaves)]
    asked = await reader.read_all(calls)
    return [leaf for leaf, (by, shown, _) in enumerate(asked) if int(by, 16) and not shown]


async def answer(sender: Sender, scores: Scores, folder: Path, place: Place) -> list[int]:
    """Show the leaves that somebody asked for; return which.

    A row of which one is not shown in time counts for nothing, and its validator is slashed.

    Raises
    ------
    NotFound
        No row was sealed here, or it was not revealed.
    TransactionReverted
        It is too late.
    """
    leaves = await asked_for(sender.reader, scores, folder, place)
    row, number = kept(folder, place).row, await _revealed(sender.reader, scores, place)
    for leaf in leaves:
        words, path = row.shown(leaf)
        nodes = [Node(node.digest, node.sum) for node in path]
        await sender.send(scores.show(place.subnet, place.epoch, number, leaf, words, nodes))
    return leaves


async def _revealed(reader: ChainReader, scores: Scores, place: Place) -> int:
    number = await reader.read(scores.row_of(place.subnet, place.epoch, place.validator))
    if not number:
        raise NotFound(
            f"row of epoch {place.epoch} of subnet {place.subnet}",
            found="none revealed",
            wanted="one to show leaves of",
        )
    return number - 1


# --- What others serve ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Served:
    """Whether a validator serves the row that it revealed.

    Attributes
    ----------
    row
        None where it does not.
    why
        In a sentence, then.
    leaves
        How many there are to ask for.
    """

    number: int
    validator: str
    uri: str
    row: Row | None
    why: str
    leaves: int


async def look_at_rows(
    reader: ChainReader,
    http: httpx.AsyncClient,
    scores: Scores,
    subnet: int,
    epoch: int,
    *,
    first: int = 0,
    without: Callable[[bytes], bool] | None = None,
) -> list[Served]:
    """Fetch every revealed row from where its validator said, and hold it against the chain.

    An address that a stranger wrote is asked for once, without redirects, and read up to a bound;
    what it says leaves this function only as a row that hashes to what was revealed.

    Parameters
    ----------
    http
        From `tessera.validation.reaching`.
    first
        Block from which on there can be one: where the deployment begins.
    without
        Says of a row's root whether it need not be fetched.
    """
    topics = Revealed.topics(subnet=subnet, epoch=epoch)
    logs = await reader.logs(Revealed, address=scores.address, topics=topics, first=first)
    found = [log.event for log in logs if without is None or not without(log.event.root)]
    _, _, columns, _, _ = await reader.read(scores.epoch_of(subnet, epoch))
    return await few_at_once(lambda at: _looked_at(http, found[at], columns), len(found))


async def ask_for(
    sender: Sender,
    scores: Scores,
    subnet: int,
    epoch: int,
    missing: Iterable[Served],
    *,
    most: int | None = None,
) -> int:
    """Ask on the chain for all leaves of rows that are not served; return how many.

    Each costs the fee, which comes back if the leaf is never shown. Until then the row counts for
    nothing. A leaf that somebody else asked for already is left out.

    Parameters
    ----------
    most
        No more leaves than these are asked for; None for no bound.

    Raises
    ------
    TransactionReverted
        It is too late, or the sender's tokens do not cover the fee.
    """
    count = 0
    for each in missing:
        for leaf in range(each.leaves):
            asked = scores.asked_of(subnet, epoch, each.number, leaf)
            by, _, _ = await sender.reader.read(asked)
            if not int(by, 16) and count != most:
                await sender.send(scores.ask(subnet, epoch, each.number, leaf))
                count += 1
    return count


async def _looked_at(http: httpx.AsyncClient, event: Revealed, columns: int) -> Served:
    row, why = None, ""
    try:
        data = await fetched(http, event.uri, most_bytes=_MOST_BYTES, within_s=_FETCH_S)
        row = read_row(data, columns, event.root, event.sum)
    except FETCH_ERRORS as error:
        why = str(error) or type(error).__name__
    return Served(event.row, event.validator, event.uri, row, why, leaves_of(columns))


async def committed(reader: ChainReader, place: Place, *, first: int = 0) -> bytes | None:
    """Return what a validator committed to in an epoch; None for nothing.

    Parameters
    ----------
    first
        Block from which on there can be a commit.
    """
    topics = Committed.topics(subnet=place.subnet, epoch=place.epoch, validator=place.validator)
    found = await reader.logs(Committed, address=place.scores, topics=topics, first=first)
    return found[-1].event.commitment if found else None
