"""Epochs of the subnet: rows committed and revealed, a result posted, TSR emitted and claimed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tessera.app import World, bonding, places, subnets
from tessera.bindings import emission as emits
from tessera.bindings import epochs as results
from tessera.bindings.bond import Rewarded
from tessera.bindings.emission import DemandCollected, EpochSettled, ModelPaid, ValidatorPaid
from tessera.chain.sender import Sender
from tessera.demo.clock import skip_to
from tessera.demo.subnet.cast import (
    BOND,
    JURORS,
    KEEPER,
    OWNER,
    POSTER,
    VALIDATORS,
    WHOLE,
    allow,
)
from tessera.demo.subnet.measuring import Candidate
from tessera.spec.epochs import EpochInputs, Former, PostedEpoch, RevealedRow, build
from tessera.spec.epochs import Rules as ConsensusRules
from tessera.spec.signatures import address_of
from tessera.validation import rounds
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
        Weights by validator, in the order of their reveals.
    stakes
        Raw TSR behind each row.
    models, validators
        Raw TSR by slug, and by validator's name.
    fees
        Base units of the currency by validator's name.
    owner
        Raw TSR of the subnet's owner.
    """

    number: int
    posted: PostedEpoch
    rows: Mapping[str, tuple[int, ...]]
    stakes: Mapping[str, int]
    models: Mapping[str, int] = field(default_factory=dict)
    validators: Mapping[str, int] = field(default_factory=dict)
    fees: Mapping[str, int] = field(default_factory=dict)
    owner: int = 0


@dataclass
class Subnet:
    """The subnet, with the steps of the story as methods."""

    world: World
    number: int = 0
    start: int = 0
    tempo: int = 0
    candidates: Sequence[Candidate] = ()
    epochs: list[Epoch] = field(default_factory=list)
    _revealed: dict[int, list[str]] = field(default_factory=dict)

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
                await sender.send(world.deployment.jury.enlist())

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

    async def collect(self) -> int:
        """Count what the commons got for the models, and the bootstrap; base units."""
        emission, sender = self.world.deployment.emission, self.world.sender(KEEPER)
        counted = 0
        for each in self.candidates:
            receipt = await sender.send(emission.collect_demand(each.asset))
            counted += sum(event.amount for event in receipt.all_of(DemandCollected))
        await subnets.bootstrap(self.world, sender, self.number)
        return counted

    async def commit(self, name: str, weights: Sequence[tuple[int, int]]) -> None:
        """Seal a validator's row and commit to it."""
        await rounds.commit(
            self.world.sender(name),
            self.world.deployment.scores,
            self._folder(name),
            subnet=self.number,
            uid=VALIDATORS.index(name),
            weights=weights,
        )

    async def reveal(self, epoch: int, names: Sequence[str]) -> None:
        """Wait for the third quarter and let validators open their commits."""
        world, scores = self.world, self.world.deployment.scores
        await skip_to(world, self.start + epoch * self.tempo + self.tempo // 2)
        for name in names:
            place = self._place(name, epoch)
            await rounds.reveal(world.sender(name), scores, self._folder(name), place, "")
        self._revealed[epoch] = list(names)

    async def post(self, epoch: int) -> PostedEpoch:
        """Compute the epoch's result when nothing of its inputs changes any more, and post it."""
        world = self.world
        scores, epochs = world.deployment.scores, world.deployment.epochs
        _, _, columns, closes, digest = await world.reader.read(scores.epoch_of(self.number, epoch))
        await skip_to(world, closes)
        names = self._revealed[epoch]
        stakes, rows = {}, {}
        for at, name in enumerate(names):
            _, _, _, stakes[name] = await world.reader.read(scores.row_at(self.number, epoch, at))
            sealed = rounds.kept(self._folder(name), self._place(name, epoch))
            rows[name] = tuple(dict(sealed.weights).get(uid, 0) for uid in range(columns))
        former = None
        if self.epochs:
            last = self.epochs[-1]
            former = Former(
                last.number,
                last.posted,
                tuple(address_of(world.account(name).address) for name in last.rows),
                (True,) * columns,
            )
        kappa, penalty, average, yuma3 = await world.reader.read(scores.rules_of(self.number))
        posted = build(
            EpochInputs(
                columns,
                tuple(
                    RevealedRow(address_of(world.account(name).address), stakes[name], rows[name])
                    for name in names
                ),
                ConsensusRules(kappa, penalty, average, yuma3),
                digest,
                former,
            )
        )
        if not self.epochs:
            await allow(world, POSTER, epochs.address)
            for empty in range(epoch):
                await world.sender(POSTER).send(epochs.skip(self.number, empty))
        await world.sender(POSTER).send(
            epochs.post(self.number, epoch, results.Result.from_values(posted.header.call))
        )
        self.epochs.append(Epoch(epoch, posted, rows, stakes))
        return posted

    async def pay(self, epoch: int) -> Epoch:
        """When nobody can challenge the result any more, emit, and claim for everybody."""
        world, (at,) = self.world, [n for n, e in enumerate(self.epochs) if e.number == epoch]
        epochs, emission = world.deployment.epochs, world.deployment.emission
        found = self.epochs[at]
        await skip_to(world, await world.reader.read(epochs.ends_at(self.number, epoch)))
        sender = world.sender(KEEPER)
        poster = world.sender(POSTER)
        await poster.send(epochs.finalize(self.number, epoch))
        await poster.send(epochs.collect(poster.address))
        result = emits.Result.from_values(found.posted.header.call)
        receipt = await sender.send(emission.settle(self.number, epoch, result))
        owner = receipt.one_of(EpochSettled).owner_part
        models, validators, fees = {}, {}, {}
        for each in self.candidates:
            uid, consensus, rank, data, path = found.posted.model_proof(each.uid)
            receipt = await sender.send(
                emission.claim_model(
                    self.number, epoch, result, uid, consensus, rank, data, _nodes(path)
                )
            )
            models[each.slug] = receipt.one_of(ModelPaid).amount
            await sender.send(emission.flush(each.asset))
        for row, name in enumerate(found.rows):
            number, active, counted, path = found.posted.validator_proof(row)
            receipt = await sender.send(
                emission.claim_validator(
                    self.number, epoch, result, number, active, counted, _nodes(path)
                )
            )
            # What a pool earned that was slashed to nothing is the commons'.
            validators[name] = sum(event.amount for event in receipt.all_of(Rewarded))
            fees[name] = receipt.one_of(ValidatorPaid).fees
        self.epochs[at] = Epoch(
            epoch, found.posted, found.rows, found.stakes, models, validators, fees, owner
        )
        return self.epochs[at]

    def _place(self, name: str, epoch: int) -> rounds.Place:
        return rounds.Place(
            self.world.reader.chain_id,
            self.world.deployment.scores.address,
            self.number,
            epoch,
            self.world.account(name).address,
        )

    def _folder(self, name: str) -> Path:
        return self.world.config.data_dir / "rows" / name


def _nodes(path: Sequence[Any]) -> list[emits.Node]:
    return [emits.Node(each.digest, each.sum) for each in path]
