"""A round of bonded approvals about the cheating model, and the case that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tessera.app import World
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
from tessera.app.benchmarking import open_own
from tessera.app.court import (
    accuse,
    choice_for,
    count,
    differences,
    revealed_approval,
    take_part,
    vote,
)
from tessera.bindings.approvals import Rewarded
from tessera.bindings.bond import Slashed
from tessera.demo.clock import skip_to
from tessera.demo.subnet.cast import (
    BOND,
    CHALLENGER,
    COMMITTER,
    JURORS,
    KEEPER,
    LAZY,
    VALIDATORS,
    WHOLE,
)
from tessera.demo.subnet.cheat import Cheat
from tessera.errors import InvariantViolation
from tessera.spec.approvals import State
from tessera.units import Units
from tessera.validation.answers import Answer, Ask, Outcome
from tessera.validation.approving import MILLION
from tessera.validation.canonical import canonical
from tessera.validation.endpoints import Said
from tessera.validation.hidden import count_hidden, open_hidden, read_truth, write_truth
from tessera.validation.task import Benchmark

__all__ = ["Case", "Round"]

_TAU: Final = 800_000
_PRIOR: Final = 600_000
_BUDGET: Final = 100 * WHOLE
_LOOKED_AT: Final = 3
"""Places of a report that the challenger runs again; one that differs is enough."""

# Hours, as the contracts count them.
_COMMITTED_BY, _REVEALED_BY, _CONTESTED_BY, _PLEDGED_FOR = 6, 8, 168, 240
_VOTE_IN, _VOTED_BY, _REPORT_IN, _GRADE_IN = 16, 24, 36, 72


@dataclass(frozen=True, slots=True)
class Case:
    """How the case ended.

    Attributes
    ----------
    place, shown, claim
        The place of the assignment, what the accused had, and what re-execution gives.
    votes
        Jurors that voted for the challenger, of those who voted.
    taken, bounty
        Raw TSR of the accused's bond, and what of it the challenger got.
    """

    place: int
    shown: bytes
    claim: bytes
    votes: tuple[int, int]
    taken: int
    bounty: int


class _MadeUp:
    """Says the right digit, which the pool tells, with a certainty that no model has."""

    def __init__(self, pool: Benchmark) -> None:
        self._labels = {canonical(item["input"]): item["label"] for item in pool.items}

    def most(self, _ask: Ask) -> int:
        """Return 0: it asks nobody."""
        return 0

    async def ask(self, ask: Ask) -> Said:
        """Answer without a model."""
        label = self._labels[canonical(ask.fields["rows"][0])]
        sure = [float(digit == label) for digit in range(10)]
        return Said(Answer(Outcome.ANSWERED, {"digit": label, "probabilities": sure}))


@dataclass
class Round:
    """One round over one test set, with the steps of the story as methods.

    Attributes
    ----------
    world, cheat
        Where, and whose model it is about.
    task, hidden
        The public items, and the file of those that the committer hides.
    folder
        The bundle that the cheat published: what everybody can run.
    rewards
        Raw TSR that validators got for judging it well, by name.
    """

    world: World
    cheat: Cheat
    task: Benchmark
    hidden: Path
    folder: Path
    test_set: bytes = b""
    id: bytes = b""
    rewards: dict[str, int] = field(default_factory=dict)
    _reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    _case: int = 0

    async def open(self, until: int) -> str:
        """Let a committer hide a test set, and the cheat submit its model to it."""
        world, own = self.world, self.cheat.world
        items = open_hidden(self.hidden, self.task)
        self.test_set = await commit_set(
            world, world.sender(COMMITTER), self.task, items,
            pledge=len(VALIDATORS) * BOND, until=until,
        )  # fmt: skip
        self.id = await open_round(
            own, own.sender(own.config.operator), self.test_set, self.task,
            asset=self.cheat.asset, version=1, tau=_TAU, prior=_PRIOR, budget=_BUDGET,
        )  # fmt: skip
        return (
            f"{len(items)} items are hidden behind a root; courtier is submitted, to reach "
            f"{_TAU / MILLION:.0%}, with {world.network.shown(Units(_BUDGET))} for who judges it "
            "well"
        )

    async def begin(self) -> None:
        """Draw who gets which items."""
        await self._advance()
        await self._draw()

    async def judge(self) -> str:
        """Let the honest run their items on a copy, and the lazy one make its outputs up."""
        said = []
        async with open_own(self.folder, self.world.config) as (copy, model):
            for name in VALIDATORS:
                sender = self.world.sender(name)
                endpoint = _MadeUp(self.task) if name == LAZY else copy
                self._reports[name] = await execute(
                    self.world, self.id, sender.address, self.task, endpoint, model
                )
                found = await commit(self.world, sender, self.id, self._reports[name], self.task)
                opinion = "approves" if found.approve else "rejects"
                said.append(f"{name} {opinion} at {found.score / MILLION:.1%}")
        return ", ".join(said)

    async def reveal(self) -> str:
        """Let them reveal, and close the round."""
        await self._hours_after(_COMMITTED_BY)
        for name in VALIDATORS:
            await reveal(self.world, self.world.sender(name), self.id, "")
        await self._hours_after(_REVEALED_BY)
        await self._advance()
        row = await self.world.reader.read(self.world.deployment.approvals.round_of(self.id))
        return "listed" if row.listed else "not listed: one of three approved, and five must"

    # --- The case -------------------------------------------------------------------------------

    async def accuse(self) -> str:
        """Let the challenger run items of the lazy one's report again, and accuse it."""
        world, accused = self.world, self.world.sender(LAZY)
        said = await revealed_approval(
            world, self.id, accused.address, self._reports[LAZY], self.task
        )
        async with open_own(self.folder, world.config) as (copy, _):
            found = await differences(
                world, self.id, accused.address, said, self.task, copy, range(_LOOKED_AT)
            )
        if not found:
            raise InvariantViolation(f"report of {LAZY}", found="true", wanted="made up")
        place, output = found[0].place, found[0].found
        self._case = await accuse(
            world, world.sender(CHALLENGER), self.id, accused.address, place, output
        )
        # Who shows nothing has lost.
        await show(world, accused, self.id)
        await self._advance()
        return f"place {place} gives another output than was reported"

    async def seat_jurors(self) -> str:
        """Draw the jurors, each of whom runs the item and commits to what it gives."""
        await self._draw()
        jurors = await self._jurors()
        async with open_own(self.folder, self.world.config) as (copy, _):
            for name in jurors:
                choice = await choice_for(self.world, self._case, self.task, copy)
                await vote(self.world, self.world.sender(name), self._case, choice)
        return ", ".join(jurors)

    async def decide(self) -> Case:
        """Let the jurors show their votes, and resolve the case."""
        world = self.world
        court, jury = world.deployment.court, world.deployment.jury
        row = await world.reader.read(court.case_of(self._case))
        seated = (await world.reader.read(jury.poll_of(row.poll))).seated
        await skip_to(world, seated + _VOTE_IN * self._hour)
        for name in await self._jurors():
            await vote(world, world.sender(name), self._case)
        choices = (await world.reader.read(jury.poll_of(row.poll))).choices
        await skip_to(world, seated + _VOTED_BY * self._hour)
        await self._advance()
        slashed = await world.reader.logs(
            Slashed,
            address=world.deployment.bond.address,
            topics=Slashed.topics(validator=row.accused),
            first=world.deployment.since,
        )
        taken = sum(log.event.taken for log in slashed)
        bounty = sum(log.event.bounty for log in slashed)
        votes = sum(choice == row.claim for choice in choices), len(choices)
        return Case(row.place, row.shown, row.claim, votes, taken, bounty)

    # --- The truth ------------------------------------------------------------------------------

    async def tell_truth(self) -> str:
        """Let the committer open the hidden set, and drawn re-executors count the right answers."""
        world = self.world
        told = await reveal_truth(world, world.sender(COMMITTER), self.test_set, "")
        row = await world.reader.read(world.deployment.approvals.set_of(self.test_set))
        truth = read_truth(write_truth(told), row.root, row.items, self.task)
        await self._draw()
        for name in VALIDATORS:
            if name != LAZY:
                await show(world, world.sender(name), self.id)
        async with open_own(self.folder, world.config) as (copy, _):
            answers = await count_hidden(self.task, truth.items, copy, about=self.cheat.url)
        seats = (await situation(world, self.id)).seats
        if seats is None:
            raise InvariantViolation("re-executors", found="none drawn", wanted="three")
        names = [name for name in JURORS if world.sender(name).address in seats.executors]
        for name in names:
            await count(world, world.sender(name), self.id, answers)
        await skip_to(world, world.now() + _REPORT_IN * self._hour)
        for name in names:
            await count(world, world.sender(name), self.id)
        right = sum(answer.correct for answer in answers)
        return f"{right} of {len(answers)} hidden items are answered right"

    async def finish(self) -> str:
        """Wait until the count is final, and pay who judged well."""
        world = self.world
        row = await world.reader.read(world.deployment.approvals.set_of(self.test_set))
        told = row.truth_at
        await skip_to(world, told + _CONTESTED_BY * self._hour)
        await self._advance()
        await skip_to(world, world.now() + _GRADE_IN * self._hour)
        await self._advance()
        await skip_to(world, told + _PLEDGED_FOR * self._hour)
        await self._advance(self.test_set)
        approvals = world.deployment.approvals
        names = {world.sender(name).address: name for name in VALIDATORS}
        for log in await world.reader.logs(
            Rewarded, address=approvals.address, topics=Rewarded.topics(round=self.id),
            first=world.deployment.since,
        ):  # fmt: skip
            if log.event.validator in names:
                self.rewards[names[log.event.validator]] = log.event.amount
        state = State((await world.reader.read(approvals.round_of(self.id))).state)
        paid = world.network.shown(Units(sum(self.rewards.values())))
        return (
            f"courtier is {state.name.lower()}; {' and '.join(self.rewards)} get {paid} for "
            "judging it well"
        )

    # --- Inside ---------------------------------------------------------------------------------

    @property
    def _hour(self) -> int:
        return self.world.config.hour_s

    async def _advance(self, about: bytes = b"") -> None:
        """Do everything that anybody may do now."""
        await advance(self.world, self.world.sender(KEEPER), about or self.id)

    async def _draw(self) -> None:
        """Take part in what is drawn: a secret now, which is told an hour later."""
        sender, window = self.world.sender(KEEPER), self.world.deployment.draws.WINDOW()
        for number in (await situation(self.world, self.id)).draws:
            await take_part(self.world, sender, number)
            row = await self.world.reader.read(self.world.deployment.draws.draw_of(number))
            await skip_to(self.world, row.opened + await self.world.reader.read(window))
            await take_part(self.world, sender, number)
        await self._advance()

    async def _jurors(self) -> list[str]:
        names = {self.world.sender(name).address: name for name in JURORS}
        court, jury = self.world.deployment.court, self.world.deployment.jury
        poll = (await self.world.reader.read(court.case_of(self._case))).poll
        return [names[juror] for juror in (await self.world.reader.read(jury.poll_of(poll))).jurors]

    async def _hours_after(self, hours: int) -> None:
        """Wait until so many hours after the assignments."""
        row = await self.world.reader.read(self.world.deployment.approvals.set_of(self.test_set))
        await skip_to(self.world, row.begun + hours * self._hour)
