"""What everybody who judges models starts from: the contracts, a round, its items, the tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tessera.app.world import World
from tessera.bindings.approvals import Round, RoundOpened, SetCommitted, TestSet
from tessera.errors import Conflict, NotFinal, NotFound
from tessera.spec.approvals import model_name
from tessera.spec.court import ASSIGNED
from tessera.spec.signatures import ZERO_ADDRESS_TEXT, address_of
from tessera.validation.approving import environment_of
from tessera.validation.draw import Draw
from tessera.validation.situation import Courts, Situation, read_situation
from tessera.validation.task import Benchmark

__all__ = [
    "assignment",
    "chain_time",
    "check_pool_of",
    "check_round_task",
    "courts_of",
    "find_rounds",
    "find_sets",
    "folder_of",
    "round_of",
    "set_of",
    "situation",
]

_NONE: Final = bytes(32)


def courts_of(world: World) -> Courts:
    """Return the contracts of a deployment that judge."""
    there = world.deployment
    return Courts(there.approvals, there.court, there.jury, there.draws, there.bond, there.since)


def folder_of(world: World) -> Path:
    """Return where everything sealed lies."""
    folder: Path = world.config.data_dir / "approvals"
    return folder


async def situation(world: World, name: bytes) -> Situation:
    """Read where a round or a test set is."""
    return await read_situation(world.reader, courts_of(world), name, await chain_time(world))


async def chain_time(world: World) -> int:
    """Return the time that a transaction would have: ours, or the chain's where it is ahead."""
    return max(world.now(), (await world.reader.block()).timestamp)


async def round_of(world: World, name: bytes) -> Round:
    """Read a round.

    Raises
    ------
    NotFound
        There is none of that id.
    """
    row = await world.reader.read(world.deployment.approvals.round_of(name))
    if row.test_set == _NONE:
        raise NotFound(
            f"round 0x{name.hex()}", found="none", wanted="a round of approvals",
            next_step="tessera approval list",
        )  # fmt: skip
    return row


async def set_of(world: World, name: bytes) -> TestSet:
    """Read a test set.

    Raises
    ------
    NotFound
        There is none of that id.
    """
    row = await world.reader.read(world.deployment.approvals.set_of(name))
    if row.committer == ZERO_ADDRESS_TEXT:
        raise NotFound(
            f"test set 0x{name.hex()}", found="none", wanted="one that was committed to",
            next_step="tessera approval list",
        )  # fmt: skip
    return row


def check_pool_of(row: TestSet, task: Benchmark) -> None:
    """Make sure that a benchmark is a test set's public pool.

    Raises
    ------
    Conflict
        It is not.
    """
    if (row.pool, row.pool_items) != (task.items_root, len(task.items)):
        raise Conflict(
            f"benchmark {task.name}",
            found=f"{len(task.items)} items of root 0x{task.items_root.hex()}",
            wanted=f"the test set's pool: {row.pool_items} of root 0x{row.pool.hex()}",
        )


async def check_round_task(world: World, round_: bytes, task: Benchmark) -> Round:
    """Make sure that a round is about what a benchmark asks, and return it.

    Raises
    ------
    Conflict
        Its pool is another list, or it asks or decodes otherwise.
    """
    row = await round_of(world, round_)
    check_pool_of(await set_of(world, row.test_set), task)
    content = await world.reader.read(world.deployment.registry.root_of(row.asset, row.version))
    if row.model != model_name(content, environment_of(task)):
        raise Conflict(
            f"benchmark {task.name}", found="other options, decoding or scorer",
            wanted="those that the round's model was submitted with",
        )  # fmt: skip
    return row


async def assignment(world: World, round_: bytes, validator: str) -> Draw:
    """Return by what a validator's 200 items are drawn.

    Raises
    ------
    NotFinal
        The seed is not drawn yet.
    """
    row = await round_of(world, round_)
    seed = await world.reader.read(world.deployment.approvals.seed_of(row.test_set))
    if seed == _NONE:
        raise NotFinal(
            f"items of round 0x{round_.hex()}", found="not drawn yet", wanted="their seed",
            next_step=f"tessera approval info 0x{round_.hex()}",
        )  # fmt: skip
    return Draw(seed, round_, address_of(validator), ASSIGNED)


async def find_sets(world: World) -> list[tuple[bytes, TestSet]]:
    """Return all test sets, the oldest first, as they are now."""
    there = world.deployment.approvals
    logs = await world.reader.logs(
        SetCommitted, address=there.address, first=world.deployment.since
    )
    names = [log.event.test_set for log in logs]
    rows = await world.reader.read_all([there.set_of(name) for name in names])
    return list(zip(names, rows, strict=True))


async def find_rounds(world: World) -> list[tuple[bytes, Round]]:
    """Return all rounds, the oldest first, as they are now."""
    there = world.deployment.approvals
    logs = await world.reader.logs(RoundOpened, address=there.address, first=world.deployment.since)
    names = [log.event.round for log in logs]
    rows = await world.reader.read_all([there.round_of(name) for name in names])
    return list(zip(names, rows, strict=True))
