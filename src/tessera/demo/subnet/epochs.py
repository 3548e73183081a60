"""Epochs of the subnet: its places, and what a keeper posts, makes final, mints and pays."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tessera.app import World, bonding, court, places, subnets
from tessera.app.epochs import EpochDesk
from tessera.app.keeping import Errand, keep
from tessera.bindings.bond import Rewarded
from tessera.bindings.emission import DemandCollected, EpochSettled, ModelPaid, ValidatorPaid
from tessera.chain.sender import Sender
from tessera.demo.clock import skip_to
from tessera.demo.subnet.cast import BOND, JURORS, OWNER, POSTER, VALIDATORS, WHOLE
from tessera.demo.subnet.measuring import Candidate
from tessera.errors import InvariantViolation
from tessera.spec.epochs import PostedEpoch
from tessera.spec.signatures import address_text
from tessera.validation.task import Benchmark

__all__ = ["Epoch", "Subnet"]

_OPENING: Final = 100 * WHOLE
"""That the owner opens the pool of the subnet's token with."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What came of an epoch.

    Attributes
    ----------
    number, posted
        Which, and its result with all parts.
    rows
        Weights by validator's address, in the order of their reveals.
    models, validators
        Raw TSR by asset, and by validator's address; what a wiped pool would have got is left out.
    fees
        Base units of the currency by validator's address.
    """

    number: int
    posted: PostedEpoch
    rows: Mapping[str, tuple[int, ...]]
    models: Mapping[int, int] = field(default_factory=dict)
    validators: Mapping[str, int] = field(default_factory=dict)
    fees: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Subnet:
    """The subnet, with the steps of the story as methods.

    Attributes
    ----------
    world, desk
        Where, and where results of epochs are read.
    number, start, tempo
        Which one, and its clock.
    """

    world: World
    desk: EpochDesk
    number: int = 0
    start: int = 0
    tempo: int = 0
    candidates: Sequence[Candidate] = ()
    epochs: list[Epoch] = field(default_factory=list)

    async def create(self, task: Benchmark) -> int:
        """Create it, say what it measures, and open its token's pool; what is locked, raw TSR."""
        world, owner = self.world, self.world.sender(OWNER)
        made = await subnets.create(world, owner, subnets.default_rules(world.config.hour_s))
        self.number = made.subnet
        await subnets.name_task(world, owner, self.number, task.id)
        await subnets.open_pool(world, owner, self.number, _OPENING)
        clock = world.deployment.subnets.clock_of(self.number)
        self.start, self.tempo = await world.reader.read(clock)
        return made.lock

    async def bond(self) -> None:
        """Let validators and jurors stake, each with those who may slash it."""
        world = self.world

        async def one(name: str) -> None:
            sender = world.sender(name)
            await bonding.enlist(world, sender, world.deployment.approvals.address)
            if name in VALIDATORS:
                await bonding.enlist(world, sender, world.deployment.scores.address)
            await bonding.stake(world, sender, BOND)
            if name in JURORS:
                await court.enlist(world, sender)

        await asyncio.gather(*(one(name) for name in (*VALIDATORS, *JURORS)))

    async def join(self, candidates: Sequence[tuple[Candidate, Sender]]) -> None:
        """Give models and validators their places."""
        self.candidates = [each for each, _ in candidates]
        for each, sender in candidates:
            await places.join_model(self.world, sender, self.number, each.asset, uid=each.uid)
        for uid, name in enumerate(VALIDATORS):
            await places.join_validator(self.world, self.world.sender(name), self.number, uid=uid)

    async def begin(self, epoch: int) -> None:
        """Wait until an epoch begins."""
        await skip_to(self.world, self.start + epoch * self.tempo)

    async def until_reveals(self, epoch: int) -> None:
        """Wait for an epoch's third quarter."""
        await skip_to(self.world, self.start + epoch * self.tempo + self.tempo // 2)

    async def keep(self) -> Counter[str]:
        """Let a keeper do all that is due: post with a bond, make final, mint, pay.

        Returns
        -------
        Counter
            How often it did what.
        """
        errand = Errand(subnets=[self.number], post=True, watch=True)
        chores = await keep(self.world, self.world.sender(POSTER), self.desk, errand)
        failed = [f"{chore.what} {chore.about}: {chore.why}" for chore in chores if chore.failed]
        if failed:
            raise InvariantViolation("a keeper's round", found=failed, wanted="all of it done")
        return Counter(chore.what for chore in chores)

    async def demand(self) -> int:
        """Return what was counted as demand so far, base units."""
        emission = self.world.deployment.emission
        logs = await self.world.reader.logs(
            DemandCollected, address=emission.address, first=self.world.deployment.since
        )
        return sum(log.event.amount for log in logs)

    async def post(self, epoch: int) -> None:
        """Wait until nothing of an epoch's inputs changes any more, and post its result."""
        scores = self.world.deployment.scores
        _, _, _, closes, _ = await self.world.reader.read(scores.epoch_of(self.number, epoch))
        await skip_to(self.world, closes)
        await self.keep()

    async def pay(self, epoch: int) -> Epoch:
        """Wait until nobody can challenge its result any more, and let everybody be paid."""
        world, epochs = self.world, self.world.deployment.epochs
        await skip_to(world, await world.reader.read(epochs.ends_at(self.number, epoch)))
        await self.keep()
        posted = await self.desk.posted(self.number, epoch)
        if posted is None:
            raise InvariantViolation(f"epoch {epoch}", found="no result", wanted="a final one")
        inputs = await self.desk.inputs(self.number, epoch)
        rows = {address_text(row.validator): row.weights for row in inputs.rows}
        emission, first = world.deployment.emission.address, world.deployment.since
        settled = await world.reader.logs(
            EpochSettled, address=emission, first=first,
            topics=EpochSettled.topics(subnet=self.number, epoch=epoch),
        )  # fmt: skip
        models = await world.reader.logs(
            ModelPaid, address=emission, first=first,
            topics=ModelPaid.topics(subnet=self.number, epoch=epoch),
        )  # fmt: skip
        paid = await world.reader.logs(
            ValidatorPaid, address=emission, first=first,
            topics=ValidatorPaid.topics(subnet=self.number, epoch=epoch),
        )  # fmt: skip
        # Nobody claims a part that is nothing.
        earners = sum(1 for column in posted.columns if column is not None and column.rank)
        if len(settled) != 1 or len(models) != earners:
            raise InvariantViolation(f"epoch {epoch}", found="not paid", wanted="all claims made")
        rewarded = {
            log.event.validator
            for log in await world.reader.logs(
                Rewarded, address=world.deployment.bond.address, first=settled[0].block
            )
        }
        found = Epoch(
            epoch,
            posted,
            rows,
            Counter({log.event.asset: log.event.amount for log in models}),
            # What a pool earned that was slashed to nothing is the commons'.
            {
                log.event.validator: log.event.amount
                for log in paid
                if log.event.validator in rewarded
            },
            {log.event.validator: log.event.fees for log in paid},
        )
        self.epochs.append(found)
        return found
