"""What the log promises: order, shared transactions, and that what fails takes the later along."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, Engine

from tessera.errors import DataError, InvariantViolation
from tessera.storage.batches import BatchLog, Seal
from tessera.storage.engine import open_database


class Writer:
    """Keeps what the log left to it; `bad` among the changes is a broken disk."""

    def __init__(self) -> None:
        self.written: list[list[str]] = []
        self.folded = 0

    def write(self, _connection: Connection, changes: Sequence[str]) -> None:
        if "bad" in changes:
            raise sqlite3.OperationalError("disk I/O error")
        self.written.append(list(changes))

    def seal(self, leaves: Sequence[bytes]) -> Seal:
        return Seal(None, b"".join(leaves))

    def fold(self, connection: Connection, _most: int) -> int:
        count = connection.exec_driver_sql("SELECT count(*) FROM batches").scalar_one()
        found, self.folded = count - self.folded, count
        return int(found)


class Desk:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.writer = Writer()
        self.failures = 0
        self.log: BatchLog[str] = BatchLog(engine, self.writer, self.fail)

    def fail(self) -> None:
        self.failures += 1

    def bodies(self) -> list[list[object]]:
        with self.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT body FROM batches ORDER BY n").scalars()
            return [msgspec.msgpack.decode(body) for body in rows]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(open_database(tmp_path / "books.db"))
    yield made
    await made.log.close()
    made.engine.dispose()


def entry(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


async def test_many_that_wait_share_one_row_and_one_transaction(desk: Desk) -> None:
    first = desk.log.put(entries=[entry(-1)])
    await asyncio.sleep(0)
    rest = [desk.log.put(entries=[entry(number)]) for number in range(50)]
    await asyncio.gather(first, *rest)
    assert desk.bodies() == [[-1], list(range(50))]


async def test_callers_who_come_together_are_given_time_to_gather(desk: Desk) -> None:
    desk.log.spacing_s = 0.5
    await asyncio.gather(*(desk.log.put(entries=[entry(number)]) for number in range(2)))
    early = desk.log.put(entries=[entry(2)])
    await asyncio.sleep(0.01)
    await asyncio.gather(early, desk.log.put(entries=[entry(3)]))
    assert desk.bodies() == [[0, 1], [2, 3]]


async def test_who_is_alone_does_not_wait_for_others(desk: Desk) -> None:
    desk.log.spacing_s = 0.5
    await desk.log.put(entries=[entry(0)])
    alone = desk.log.put(entries=[entry(1)])
    # Two turns of the loop; it is at the disk by then.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.gather(alone, desk.log.put(entries=[entry(2)]))
    assert desk.bodies() == [[0], [1], [2]]


async def test_each_learns_which_leaf_of_the_batch_is_its_own(desk: Desk) -> None:
    leaves = [bytes([number]) * 32 for number in range(3)]
    puts = [desk.log.put(entries=[entry(leaf)], leaf=leaf) for leaf in leaves]
    desk.log.put("a change alone")
    for written, leaf in zip(await asyncio.gather(*puts), leaves, strict=True):
        assert written.leaves[written.place] == leaf
        assert written.seal == Seal(None, b"".join(leaves))
    assert desk.writer.written == [["a change alone"]]


async def test_what_was_put_on_the_strength_of_a_failed_batch_fails_with_it(desk: Desk) -> None:
    bad = desk.log.put("bad", entries=[entry("never")])
    await asyncio.sleep(0)
    after = desk.log.put("good", entries=[entry("neither")])
    for future in (bad, after):
        with pytest.raises(DataError):
            await future
    assert desk.failures == 1
    await desk.log.put("good again", entries=[entry("kept")])
    assert desk.writer.written == [["good again"]]
    assert desk.bodies() == [["kept"]]


async def test_who_stops_waiting_takes_nothing_back(desk: Desk) -> None:
    mine, others = desk.log.put(entries=[entry("mine")]), desk.log.put(entries=[entry("others")])
    mine.cancel()
    await others
    assert desk.bodies() == [["mine", "others"]]


async def test_a_read_sees_every_entry_that_was_written_before_it(desk: Desk) -> None:
    await desk.log.put(entries=[entry(1)])
    assert desk.writer.folded == 0
    assert await desk.log.read(lambda _: desk.writer.folded) == 1


async def test_a_closed_log_takes_nothing_more(desk: Desk) -> None:
    waiting = desk.log.put(entries=[entry(1)])
    await desk.log.close()
    await desk.log.close()
    assert waiting.done()
    assert desk.writer.folded == 1
    with pytest.raises(InvariantViolation):
        desk.log.put("late")
    with pytest.raises(InvariantViolation):
        await desk.log.read(lambda _: None)
