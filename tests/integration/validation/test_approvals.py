"""A round of approvals on a real chain, by a skipped clock: from a hidden set to the last pay."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.unit.validation.folders import Written, as_json, benchmark

from tessera.app.approvals import (
    advance,
    commit,
    commit_set,
    execute,
    open_round,
    reveal,
    reveal_truth,
    show,
    situation,
)
from tessera.app.court import (
    accuse,
    choice_for,
    count,
    differences,
    enlist,
    revealed_approval,
    take_part,
    vote,
)
from tessera.app.world import World, open_world
from tessera.bindings.registry import (
    AssetRegistered,
    EndpointTerms,
    Kind,
    Price,
    Publication,
    Release,
)
from tessera.chain.sender import Sender
from tessera.config import Config
from tessera.errors import Conflict, NotFound, TransactionReverted
from tessera.spec.approvals import State
from tessera.units import Units
from tessera.validation.answers import Ask
from tessera.validation.hidden import count_hidden, open_hidden, read_truth, write_truth
from tessera.validation.report import ModelName
from tessera.validation.task import Benchmark

HOUR = 3_600
TSR = 10**18
BOND = 2_000 * TSR
BUDGET = 100 * TSR
HONEST = ("validator-1", "validator-2")
LAZY = "validator-3"
JURORS = tuple(f"juror-{n}" for n in range(5))
MODEL = ModelName("parity", content_root="0x" + "11" * 32)


def parity(ask: Ask) -> bytes:
    """Answer as the model does: it looks at two of three digits, so it is right in part."""
    return as_json({"outputs": [{"label": int(ask.fields["rows"][0][0]) % 3 % 2}]})


def labelled(numbers: Iterable[int]) -> list[dict[str, object]]:
    return [{"input": [n], "label": n % 2} for n in numbers]


@dataclass
class Story:
    world: World
    pool: Benchmark
    hidden: Path
    clock: list[float]
    asset: int = 0
    senders: dict[str, Sender] = field(default_factory=dict)

    def by(self, name: str) -> Sender:
        return self.world.sender(name)

    async def hours(self, number: float) -> None:
        self.clock[0] += number * HOUR
        assert self.world.node is not None
        await self.world.node.mine()

    async def held(self, name: str) -> int:
        token = self.world.deployment.network_token
        return await self.world.reader.read(token.balanceOf(self.by(name).address))

    async def bonded(self, name: str) -> int:
        return await self.world.reader.read(
            self.world.deployment.bond.bonded(self.by(name).address)
        )

    async def drawn(self, about: bytes) -> None:
        """Let the keeper alone draw what is waited for, and do what becomes possible."""
        for number in (await situation(self.world, about)).draws:
            assert await take_part(self.world, self.by("keeper"), number) == "committed"
            assert await take_part(self.world, self.by("keeper"), number) == "waiting"
            await self.hours(1)
            assert await take_part(self.world, self.by("keeper"), number) == "revealed"
            assert await take_part(self.world, self.by("keeper"), number) == "revealed"
        await self.advanced(about)

    async def advanced(self, about: bytes) -> set[str]:
        return {step.name for step in await advance(self.world, self.by("keeper"), about)}


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    home = tmp_path
    pool = benchmark(home / "pool", "classification", labelled(range(500)))
    hidden = home / "hidden.jsonl"
    hidden.write_text("".join(json.dumps(row) + "\n" for row in labelled(range(1_000, 1_100))))
    offset = [0.0]
    config = Config(data_dir=home / "data")
    async with open_world(config, clock=lambda: time.time() + offset[0]) as world:
        made = Story(world, pool, hidden, offset)
        people = ("committer", "publisher", "keeper", "challenger", *HONEST, LAZY, *JURORS)
        for name in people:
            world.wallet.create(name)
        treasury = world.sender("deployer")
        await asyncio.gather(*(treasury.transfer(made.by(n).address, 10**18) for n in people))
        await asyncio.gather(
            *(world.endow(made.by(n).address, Units(20_000 * TSR)) for n in people)
        )
        await asyncio.gather(*(bonded(made, n) for n in (*HONEST, LAZY, *JURORS)))
        await asyncio.gather(*(enlist(world, made.by(n)) for n in JURORS))
        made.asset = await published(made)
        yield made


async def bonded(story: Story, name: str) -> None:
    there, sender = story.world.deployment, story.by(name)
    await sender.send(there.bond.enlist(there.approvals.address))
    await sender.send(there.network_token.approve(there.bond.address, BOND))
    await sender.send(there.bond.stake(sender.address, BOND))


async def published(story: Story) -> int:
    publication = Publication(
        slug="parity", kind=Kind.MODEL, salt=bytes(32), contributions=bytes(32), parents=(),
        release=Release(b"\x11" * 32, 1, ""),
    )  # fmt: skip
    publisher = story.by("publisher")
    terms = EndpointTerms(publisher.address, 0, Price(0, 0, 0), "")
    receipt = await publisher.send(story.world.deployment.registry.publish(publication, terms))
    return receipt.one_of(AssetRegistered).asset


async def test_a_validator_that_made_its_report_up_pays_the_one_who_ran_an_item_again(
    story: Story,
) -> None:
    """Two validators run their items and reject; the third writes down what would be right, and
    approves. A challenger runs its items again, five jurors run one of them, and its whole bond is
    gone: a fifth of it to the challenger. Then the truth: the model is bad.
    """
    world, pool = story.world, story.pool
    endpoint = Written(parity)
    right = Written(lambda ask: as_json({"outputs": [{"label": ask.fields["rows"][0][0] % 2}]}))

    # A hidden set, and a version before it.
    until = int(story.clock[0] + time.time()) + HOUR
    items = open_hidden(story.hidden, pool)
    committer = story.by("committer")
    test_set = await commit_set(
        world, committer, pool, items, pledge=10 * BOND, until=until, uri="https://pool"
    )
    assert test_set == await commit_set(
        world, committer, pool, items, pledge=10 * BOND, until=until + 5, uri="https://pool"
    ), "the same items are one set"
    terms = {"asset": story.asset, "version": 1, "tau": 800_000, "prior": 700_000}
    round_ = b""
    for _ in range(2):
        round_ = await open_round(
            world, story.by("publisher"), test_set, pool, budget=BUDGET, **terms
        )
    await story.hours(1)
    assert await story.advanced(round_) == {"draw"}
    await story.drawn(round_)
    assert (await situation(world, round_)).test_set.begun

    # They run what they were given, commit and reveal.
    reports = {}
    for name in (*HONEST, LAZY):
        who = story.by(name)
        model = right if name == LAZY else endpoint
        reports[name] = await execute(world, round_, who.address, pool, model, MODEL)
        sealed = await commit(world, who, round_, reports[name], pool)
        assert sealed == await commit(world, who, round_, reports[name], pool)
        assert sealed.approve == (name == LAZY)
    with pytest.raises(Conflict, match="items of"):
        await commit(world, story.by(HONEST[0]), round_, reports[LAZY], pool)
    with pytest.raises(NotFound, match="sealed"):
        await reveal(world, story.by("challenger"), round_, "https://x")
    await story.hours(6)
    for name in (*HONEST, LAZY):
        for _ in range(2):
            await reveal(world, story.by(name), round_, f"https://{name}")
    await story.hours(2)
    assert await story.advanced(round_) == {"close"}

    # Somebody runs items again.
    challenger, lazy = story.by("challenger"), story.by(LAZY).address
    said = await revealed_approval(world, round_, lazy, reports[LAZY], pool)
    found = await differences(world, round_, lazy, said, pool, endpoint, range(40))
    assert 5 < len(found) < 35, "where the model is wrong, the report is right"
    honest = story.by(HONEST[0]).address
    fine = await revealed_approval(world, round_, honest, reports[HONEST[0]], pool)
    assert not await differences(world, round_, honest, fine, pool, endpoint, range(40))
    before = await story.held("challenger")
    case = 0
    for _ in range(2):
        case = await accuse(world, challenger, round_, lazy, found[0].place, found[0].found)
    stake = before - await story.held("challenger")
    assert stake == BOND // 100
    assert await show(world, story.by(LAZY), round_) == [found[0].place]
    assert await story.advanced(round_) == {"answer"}
    await story.drawn(round_)
    for name in JURORS:
        choice = await choice_for(world, case, pool, endpoint)
        assert await vote(world, story.by(name), case, choice) == "committed"
        assert await vote(world, story.by(name), case) == "waiting"
    await story.hours(16)
    for name in JURORS:
        for _ in range(2):
            assert await vote(world, story.by(name), case) == "revealed"
    await story.hours(8)
    assert await story.advanced(round_) == {"resolve"}
    assert await story.bonded(LAZY) == 0
    assert await story.held("challenger") == before + BOND // 5 - 5 * (stake // 10)

    # The truth.
    with pytest.raises(TransactionReverted, match="only the committer"):
        await challenger.send(world.deployment.approvals.reveal_truth(test_set, ""))
    told = write_truth(await reveal_truth(world, committer, test_set, "https://truth"))
    row = (await situation(world, test_set)).test_set
    truth = read_truth(told, row.root, row.items, pool)
    await story.drawn(round_)
    answers = await count_hidden(pool, truth.items, endpoint, about="")
    seats = (await situation(world, round_)).seats
    assert seats is not None
    executors = [name for name in JURORS if story.by(name).address in seats.executors]
    for name in executors:
        assert (await count(world, story.by(name), round_, answers))[0] == "committed"
    for name in HONEST:
        assert len(await show(world, story.by(name), round_)) == 5
    await story.hours(36)
    for name in executors:
        assert (await count(world, story.by(name), round_, uri="https://a"))[0] == "reported"
    await story.hours(168 - 36)
    assert {"finish", "grade"} <= await story.advanced(round_)
    over = (await situation(world, round_)).row
    assert over is not None
    assert over.state == State.BAD
    assert over.counted - 1 == sum(answer.correct for answer in answers)

    # Who was nearer to it than the public is paid, and the committer has its pledge back.
    held = await story.held("committer")
    await story.hours(80)
    assert {"reward", "withdraw_pledge"} <= await story.advanced(test_set) | await story.advanced(
        round_
    )
    assert await story.held("committer") == held + 10 * BOND
    assert await story.advanced(round_) == set()
    await story.hours(168)
    assert await story.bonded(HONEST[0]) > BOND, "a reward streams for a week"
