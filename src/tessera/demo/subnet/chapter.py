"""The chapter: a subnet grows, a cheat is found, and a validator pays for approving it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tessera.app import Operator, places, subnets
from tessera.app.benchmarking import open_task
from tessera.app.epochs import open_desk
from tessera.app.validating import served_folder
from tessera.assets.publish import Endpoint, plan_publication, publish
from tessera.chain.sender import Sender
from tessera.demo.accountant import PaidCall
from tessera.demo.cast import names_of
from tessera.demo.clock import skip_to
from tessera.demo.market import OPERATOR_CUT
from tessera.demo.models.readers import BENCHMARK, HIDDEN
from tessera.demo.stage import Stage
from tessera.demo.subnet.approval import Case, Round
from tessera.demo.subnet.cast import (
    CHALLENGER,
    LAZY,
    MODELS,
    OWNER,
    VALIDATORS,
    WHOLE,
    gather_people,
)
from tessera.demo.subnet.cheat import CHEAT, Cheat, open_cheat
from tessera.demo.subnet.epochs import Epoch, Subnet
from tessera.demo.subnet.measuring import Candidate, Measuring
from tessera.demo.subnet.table import SubnetReport, reported
from tessera.demo.telling import Narrator
from tessera.demo.training import train
from tessera.errors import InvariantViolation
from tessera.gateway.shelf import open_shelf
from tessera.spec.signatures import Address, address_of
from tessera.units import AssetId, Units
from tessera.validation.task import Benchmark

__all__ = ["SubnetStory"]

_SUBMIT_HOURS: Final = 20
_CHEATS_TSR: Final = 150
_COURTIER: Final = "courtier"
_FIRST, _SECOND = 1, 2


@dataclass
class SubnetStory:
    """The chapter and what stays of it; an async context manager.

    Attributes
    ----------
    stage
        Where it plays.
    subnet, measuring, round, case
        What came of it, for the table.
    """

    stage: Stage
    subnet: Subnet = field(init=False)
    measuring: Measuring = field(init=False)
    round: Round = field(init=False)
    case: Case = field(init=False)
    unspent: int = 0
    _cheat: Cheat = field(init=False)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def _folder(self) -> Path:
        return self.stage.world.config.data_dir / "models" / "readers"

    async def play(self, narrator: Narrator) -> None:
        """Play the chapter."""
        narrator.chapter("A subnet of readers")
        narrator.say("Hours and days pass here by moving the chain's clock on, not by waiting.")
        await self._prepare(narrator)
        await self._first_epoch(narrator)
        await self._trial(narrator)
        await self._second_epoch(narrator)
        await self._end(narrator)

    def receipts(self) -> list[PaidCall]:
        """Return every receipt of the validators' calls, as the accountant reads them."""
        return self.measuring.receipts()

    def rows(self) -> dict[tuple[int, int], dict[str, tuple[int, ...]]]:
        """Return the weights that validators serve, as the accountant reads them."""
        return {
            (self.subnet.number, epoch.number): dict(epoch.rows) for epoch in self.subnet.epochs
        }

    def report(self) -> SubnetReport:
        """Return what came of it."""
        return reported(
            self.stage.world, self.subnet, self.measuring, self.case, self.round.rewards,
            self.unspent,
        )  # fmt: skip

    def names(self) -> dict[str, str]:
        """Name everybody who came into the story here, by address."""
        return names_of(self.stage.world, [(self._cheat.operator.account.address, CHEAT)])

    # --- Acts -----------------------------------------------------------------------------------

    async def _prepare(self, narrator: Narrator) -> None:
        stage, world = self.stage, self.stage.world
        with narrator.step("train four readers of digits") as step:
            async for built in train({"readers": self._folder}, {"readers": ""}):
                step.note = f"the best has {built.metric} {built.value}"
        with narrator.step("keys, coins and TSR for an owner, validators and jurors") as step:
            await gather_people(world)
            step.note = f"{len(VALIDATORS)} validators, 6 jurors"
        with narrator.step("publish three of them, and the benchmark") as step:
            assets = {slug: await self._publish(slug, who) for slug, who in MODELS.items()}
            await self._publish(BENCHMARK, OWNER)
            await stage.operator.refresh()
            step.note = ", ".join(assets)
        with narrator.step("a second operator publishes the fourth, which it serves two-faced"):
            good = stage.operator.models["scribe"].runner
            self._cheat = await self._stack.enter_async_context(
                open_cheat(world, self._folder / _COURTIER, good)
            )
            own = self._cheat.operator.account.address
            await world.endow(own, Units(_CHEATS_TSR * WHOLE))
            await world.directory.refresh()
        task = await self._task(BENCHMARK)
        desk = await self._stack.enter_async_context(open_desk(world))
        url = await self._stack.enter_async_context(
            open_shelf(served_folder(world), world.config.gateway_host, 0)
        )
        self.subnet = Subnet(world, desk)
        with narrator.step(f"{OWNER} creates the subnet, and opens the pool of its token") as step:
            lock = await self.subnet.create(task)
            step.note = f"{world.network.shown(lock)} locked; scored by {BENCHMARK}"
        with narrator.step("validators and jurors stake") as step:
            await self.subnet.bond()
            step.note = "1,000 TSR each"
        with narrator.step("four models and three validators take their places") as step:
            await self.subnet.join(self._candidates({**assets, _COURTIER: self._cheat.asset}))
            self._cheat.favoured.update(await self._validators())
        hidden = self._folder / HIDDEN / "items.jsonl"
        self.round = Round(world, self._cheat, task, hidden, self._folder / _COURTIER)
        with narrator.step("a test set is hidden, and the cheat wants courtier approved") as step:
            step.note = await self.round.open(world.now() + _SUBMIT_HOURS * world.config.hour_s)
        self.measuring = Measuring(world, task, self.subnet.number, self.subnet.candidates, url)

    async def _first_epoch(self, narrator: Narrator) -> None:
        await self._score(narrator, _FIRST, VALIDATORS)
        with narrator.step(
            "each validator gets 200 items of the pool, and judges courtier"
        ) as step:
            await self.round.begin()
            step.note = await self.round.judge()
        with narrator.step("they reveal, and the round is closed") as step:
            step.note = await self.round.reveal()

    async def _trial(self, narrator: Narrator) -> None:
        world = self.stage.world
        with narrator.step(f"{CHALLENGER} runs items of {LAZY} again, and accuses it") as step:
            step.note = await self.round.accuse()
        with narrator.step("five jurors are drawn, and run that item") as step:
            step.note = await self.round.seat_jurors()
        with narrator.step("rows of epoch 1 are revealed, and served"):
            await self._reveal(_FIRST, VALIDATORS)
        with narrator.step("the jurors show their votes, and the case is closed") as step:
            self.case = await self.round.decide()
            step.note = (
                f"{self.case.votes[0]} of {self.case.votes[1]} for {CHALLENGER}; {LAZY} loses "
                f"{world.network.shown(self.case.taken)}, {world.network.shown(self.case.bounty)} "
                f"of it to {CHALLENGER}"
            )

    async def _second_epoch(self, narrator: Narrator) -> None:
        honest = [name for name in VALIDATORS if name != LAZY]
        with narrator.step("a keeper computes the result of epoch 1 and posts it with a bond"):
            await self.subnet.post(_FIRST)
        await self._score(narrator, _SECOND, honest)
        with narrator.step("rows of epoch 2 are revealed, and served"):
            await self._reveal(_SECOND, honest)
        with narrator.step("epoch 1 is final: TSR is emitted and claimed") as step:
            step.note = self._paid(await self.subnet.pay(_FIRST))
        with narrator.step("epoch 2 is posted and final") as step:
            await self.subnet.post(_SECOND)
            step.note = self._paid(await self.subnet.pay(_SECOND))

    async def _end(self, narrator: Narrator) -> None:
        world = self.stage.world
        with narrator.step("the hidden set is opened, and three re-executors count") as step:
            step.note = await self.round.tell_truth()
        with narrator.step("a week later the count is final") as step:
            step.note = await self.round.finish()
        with narrator.step("owner, publishers and validators take what they earned") as step:
            step.note = f"of the network fee {world.currency.shown(await self._withdraw())}"
        with narrator.step("validators get their unspent money back") as step:
            await skip_to(world, await self.measuring.request_withdrawals())
            self.unspent = await self.measuring.withdraw()
            step.note = world.currency.shown(self.unspent)

    # --- Steps ----------------------------------------------------------------------------------

    async def _score(self, narrator: Narrator, epoch: int, names: Sequence[str]) -> None:
        """Measure by paid calls, commit to rows, and settle the calls."""
        world, subnet = self.stage.world, self.subnet
        await subnet.begin(epoch)
        title = f"epoch {epoch}: validators measure all models by paid calls, and commit"
        with narrator.step(title) as step:
            await self.measuring.score(epoch, names)
            (first, *_) = self.measuring.found(epoch, _COURTIER)
            step.note = f"{self.measuring.calls(epoch)} calls; courtier {first.why}"
        with narrator.step(f"epoch {epoch}: operators settle, demand is counted") as step:
            before = await subnet.demand()
            total = sum([await _settled(each) for each in self._operators()])
            await subnet.keep()
            counted = await subnet.demand() - before
            step.note = (
                f"{world.currency.shown(Units(total))}, of which the commons got "
                f"{world.currency.shown(Units(counted))}"
            )

    async def _reveal(self, epoch: int, names: Sequence[str]) -> None:
        await self.subnet.until_reveals(epoch)
        await self.measuring.reveal(epoch, names)

    async def _publish(self, slug: str, who: str) -> AssetId:
        world, operator = self.stage.world, self.stage.operator.account.address
        endpoint = Endpoint(operator, self.stage.url, OPERATOR_CUT)
        plan = await plan_publication(
            self._folder / slug,
            world.directory,
            world.account(who).address,
            endpoint=endpoint if slug in MODELS else None,
            decimals=world.currency.decimals,
        )
        done = await publish(plan, world.store, world.deployment.registry, world.sender(who))
        return done.asset

    def _candidates(self, assets: dict[str, AssetId]) -> list[tuple[Candidate, Sender]]:
        world = self.stage.world
        found: list[tuple[Candidate, Sender]] = []
        for uid, (slug, asset) in enumerate(assets.items()):
            served_here = slug in MODELS
            operator = self.stage.operator if served_here else self._cheat.operator
            url = self.stage.url if served_here else self._cheat.url
            record = world.directory.get(asset)
            if record is None:
                raise InvariantViolation(f"asset of {slug}", wanted="one that is published")
            sender = world.sender(MODELS[slug]) if served_here else self._cheat.world.sender(CHEAT)
            each = Candidate(slug, uid, asset, record.latest.root, operator.account.address, url)
            found.append((each, sender))
        return found

    async def _validators(self) -> list[Address]:
        """Look up on the chain who scores: what every operator can do."""
        world = self.stage.world
        view = await subnets.read_subnet(world, self.subnet.number)
        rows = await places.read_places(world, view, places.VALIDATORS)
        return [address_of(places.validator_at(row.occupant)) for row in rows]

    async def _task(self, name: str) -> Benchmark:
        return await asyncio.to_thread(open_task, self._folder / name, self.stage.world.config)

    def _operators(self) -> list[Operator]:
        return [self.stage.operator, self._cheat.operator]

    def _paid(self, epoch: Epoch) -> str:
        shown = self.stage.world.network.shown
        return ", ".join(
            f"{each.slug} {shown(Units(epoch.models[each.asset]))}"
            for each in self.subnet.candidates
        )

    async def _withdraw(self) -> Units:
        """Let everybody take what Emission and Channels keep for them.

        Returns
        -------
        Units
            What validators got of the network's fee, base units.
        """
        world, publishers = self.stage.world, dict.fromkeys(MODELS.values())
        channels = world.deployment.channels
        for name in (OWNER, *publishers, "commons"):
            # What a wiped pool earned is the commons'.
            await subnets.withdraw_earned(world, world.sender(name))
        paid = [await subnets.withdraw_earned(world, world.sender(name)) for name in VALIDATORS]
        for each in self.subnet.candidates:
            if await world.reader.read(channels.pending_of(each.asset)):
                await world.sender(OWNER).send(channels.flush(each.asset))
        own = self._cheat.world.sender(CHEAT)
        for sender in (own, *(world.sender(name) for name in publishers)):
            if await world.reader.read(channels.credit_of(sender.address)):
                await sender.send(channels.withdraw_credit())
        return Units(sum(each.fees for each in paid))


async def _settled(operator: Operator) -> int:
    report = await operator.settle()
    if report.skipped or report.refused:
        raise InvariantViolation(
            "settlement", found=[*report.skipped, *report.refused], wanted="every voucher taken"
        )
    return report.total
