"""Whose turn it is in a subnet: the epoch that runs, its phase, its models, and their task."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from tessera.bindings.subnets import Subnets, TaskNamed
from tessera.chain.reader import ChainReader
from tessera.chain.receipts import Block
from tessera.errors import NotFound
from tessera.spec.signatures import keccak

__all__ = ["Phase", "Turn", "block_before", "models_of", "named_task", "seed_of", "turn_of"]

_MODELS: Final = 0
_WORD: Final = 32
_NONE: Final = bytes(32)


class Phase(enum.StrEnum):
    """What an epoch's clock allows."""

    COMMIT = "commit"
    REVEAL = "reveal"
    ASK = "ask"
    """Rows are public, and what is not served can be asked for."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The epoch that runs.

    Attributes
    ----------
    began, tempo
        Of the epoch, unix seconds, and how many it takes.
    now
        The time that a block made now would have.
    """

    subnet: int
    epoch: int
    began: int
    tempo: int
    now: int

    @property
    def quarter(self) -> int:
        """Seconds of a quarter, by which everything is timed."""
        return self.tempo // 4

    @property
    def phase(self) -> Phase:
        """What may be done now."""
        passed = (self.now - self.began) // self.quarter
        return Phase.COMMIT if passed < 2 else Phase.REVEAL if passed < 3 else Phase.ASK

    def after(self, quarters: float) -> int:
        """Return the time so many quarters after the epoch's begin."""
        return self.began + int(quarters * self.quarter)

    def before(self) -> Turn:
        """Return the epoch before, at the same moment."""
        return Turn(self.subnet, self.epoch - 1, self.began - self.tempo, self.tempo, self.now)


async def turn_of(reader: ChainReader, subnets: Subnets, subnet: int) -> Turn:
    """Return the epoch that runs in a subnet.

    Raises
    ------
    NotFound
        There is no such subnet, or it has ended.
    """
    if subnet < 1 or not await reader.read(subnets.is_live(subnet), at="pending"):
        raise NotFound(
            f"subnet {subnet}",
            found="none that lives",
            wanted="one",
            next_step="tessera subnet list",
        )
    start, tempo = await reader.read(subnets.clock_of(subnet))
    now = (await reader.block("pending")).timestamp
    epoch = (now - start) // tempo
    return Turn(subnet, epoch, start + epoch * tempo, tempo, now)


async def models_of(
    reader: ChainReader, subnets: Subnets, turn: Turn
) -> tuple[tuple[int, int], ...]:
    """Return uid and asset of each model of an epoch; places that nobody has are left out."""
    places = await reader.read(subnets.places_in(turn.subnet, _MODELS), at="pending")
    calls = [subnets.occupant_at(turn.subnet, _MODELS, uid, turn.epoch) for uid in range(places)]
    found = await reader.read_all(calls)
    return tuple((uid, asset) for uid, (asset, _) in enumerate(found) if asset)


async def named_task(
    reader: ChainReader, subnets: Subnets, turn: Turn, *, first: int = 0
) -> TaskNamed | None:
    """Return by what models are measured in an epoch, as the owner says; None for nothing.

    Parameters
    ----------
    first
        Block from which on it can be said: where the deployment begins.
    """
    logs = await reader.logs(
        TaskNamed, address=subnets.address, topics=TaskNamed.topics(subnet=turn.subnet), first=first
    )
    counts = [log.event for log in logs if log.event.since <= turn.epoch]
    return counts[-1] if counts and counts[-1].task != _NONE else None


async def seed_of(reader: ChainReader, turn: Turn) -> bytes:
    """Return the seed that an epoch's items are drawn by: nobody's choice, and the same for all.

    It follows from the last block before the epoch began, which is known when the epoch begins and
    whose models had their versions before.
    """
    last = await block_before(reader, turn.began)
    words = (turn.subnet.to_bytes(_WORD, "big"), turn.epoch.to_bytes(_WORD, "big"))
    return keccak(bytes.fromhex(last.hash.removeprefix("0x")) + b"".join(words))


async def block_before(reader: ChainReader, time: int) -> Block:
    """Return the last block that is older than a time; the first where none is."""
    low, high = 0, (await reader.block("latest")).number
    while low < high:
        middle = (low + high + 1) // 2
        if (await reader.block(middle)).timestamp < time:
            low = middle
        else:
            high = middle - 1
    return await reader.block(low)
