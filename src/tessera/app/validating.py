"""A validator's program: measure, commit, reveal, answer, watch and object, epoch after epoch.

`Validator.step` does all that is due at this moment and ends; done twice it does nothing more. What
was begun lies on the disk and on the chain, so a program that was killed at any moment goes on
where it was: with the row that it sealed, the reports that it has, and the answers in its journals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from tessera.app.askers import may_reach_private
from tessera.app.epochs import EpochDesk, epoch_desk, open_desk
from tessera.app.spending import spend
from tessera.app.surveying import Outlook, Plan, Surveyor
from tessera.app.world import World
from tessera.bindings.scores import DataAsked
from tessera.errors import InputError, NotFound, TesseraError
from tessera.storage.folders import write_whole
from tessera.validation import rounds
from tessera.validation.reaching import open_http
from tessera.validation.rounds import Served
from tessera.validation.turns import Phase, Turn, block_before, turn_of

__all__ = ["Done", "Outlook", "Plan", "Validator", "served_folder"]

_LOOK_EVERY_S: Final = 15.0
_CONVICTED_BACK: Final = 3
_LONGEST_URI: Final = 256
_SOME: Final = b"\1" * 32


@dataclass(frozen=True, slots=True)
class Done:
    """Something that was done, or could not be.

    Attributes
    ----------
    what
        `measured`, `committed`, `revealed`, `answered`, `asked`, `convicted`, `checked`,
        `challenged`, `collected`, `waiting`; or what was tried, where it `failed`.
    text
        For people.
    data
        More of it, as JSON values.
    """

    what: str
    epoch: int
    text: str
    data: dict[str, Any] = field(default_factory=dict)
    failed: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "what": self.what,
            "epoch": self.epoch,
            "text": self.text,
            "failed": self.failed,
            **self.data,
        }


def served_folder(world: World) -> Path:
    """Return the folder of what everybody may read: rows, and the parts of posted results."""
    return world.config.data_dir / "served"


class Validator:
    """One validator in one subnet.

    Parameters
    ----------
    world
        The chain, the keys and the data folder.
    plan
        What is meant to be done.
    progress
        Told of a model and how many of how many of its items are done.

    Examples
    --------
    ::

        plan = Plan(subnet=1, task=open_benchmark(folder), url=url, budget=1_000_000)
        validator = Validator(world, plan)
        for done in await validator.step():
            print(done.text)
    """

    def __init__(
        self,
        world: World,
        plan: Plan,
        *,
        progress: Callable[[str, int, int], None] = lambda _model, _done, _all: None,
    ) -> None:
        self.world = world
        self.plan = plan
        self.address = world.account(plan.validator).address
        self._sender = world.sender(plan.validator)
        self._surveyor = Surveyor(world, plan, progress)
        self._scores = world.deployment.scores
        self._subnets = world.deployment.subnets
        self._rows = world.config.data_dir / "rows"
        self._begun: dict[int, int] = {}
        self._right: set[tuple[int, bytes]] = set()
        self._scoring = asyncio.Lock()
        self._quarter: float = _LOOK_EVERY_S

    # --- What is due ---------------------------------------------------------------------------

    async def turn(self) -> Turn:
        """Return the epoch that runs.

        Raises
        ------
        NotFound
            There is no such subnet.
        """
        return await turn_of(self.world.reader, self._subnets, self.plan.subnet)

    async def outlook(self) -> Outlook:
        """Return what the epoch that runs asks for; nothing is signed and nothing paid.

        Raises
        ------
        NotFound
            There is no such subnet, no model in it, or no such key.
        Conflict
            The subnet's owner names another benchmark.
        InputError
            The budget is too small.
        """
        return await self._surveyor.outlook(await self.turn())

    async def step(self) -> list[Done]:
        """Do all that is due now: what others wait for first, then measure and commit."""
        return [*await self.duties(), *await self.score()]

    async def run(self, tell: Callable[[Done], None], *, every_s: float = _LOOK_EVERY_S) -> None:
        """Do what is due, epoch after epoch, until it is cancelled.

        Duties are seen to while models are measured. What fails is told of once and tried again.
        """
        said: set[tuple[str, int, str]] = set()

        def once(found: Sequence[Done]) -> None:
            for done in found:
                key = done.what, done.epoch, done.text
                if key not in said:
                    said.add(key)
                    tell(done)

        async def always(work: Callable[[], Awaitable[list[Done]]]) -> None:
            while True:
                once(await work())
                # Four looks at least in each quarter, or a short one for revealing would be missed.
                await asyncio.sleep(min(every_s, self._quarter / 4))

        async with asyncio.TaskGroup() as group:
            group.create_task(always(self.duties))
            group.create_task(always(self.score))

    async def duties(self) -> list[Done]:
        """Reveal, answer, watch, take fees back, object: what must not wait for a measurement."""
        done: list[Done] = []
        turn = await self._running(done, "look")
        if turn is not None:
            await self._tried(done, "look", turn.epoch, self._duties(turn, done))
        return done

    async def score(self) -> list[Done]:
        """Measure the models of the epoch that runs and commit to a row, while there is time."""
        done: list[Done] = []
        async with self._scoring:
            turn = await self._running(done, "score")
            if turn is not None:
                await self._tried(done, "score", turn.epoch, self._score(turn, done))
        return done

    async def _running(self, done: list[Done], what: str) -> Turn | None:
        """Return where the subnet is; None, and told of, where that cannot be read."""
        found: list[Turn] = []

        async def read() -> None:
            found.append(await self.turn())

        await self._tried(done, what, 0, read())
        if not found:
            return None
        self._quarter = found[0].tempo / 4
        return found[0]

    async def _duties(self, turn: Turn, done: list[Done]) -> None:
        before = turn.before()
        if turn.phase is Phase.REVEAL:
            await self._tried(done, "reveal", turn.epoch, self._reveal(turn, done))
        if turn.phase is not Phase.COMMIT:
            await self._tried(done, "answer", turn.epoch, self._answer(turn, done))
        if turn.phase is Phase.ASK:
            await self._tried(done, "watch", turn.epoch, self._watch(turn, done))
        if turn.now < before.after(5):
            await self._tried(done, "answer", before.epoch, self._answer(before, done))
        else:
            for _ in range(_CONVICTED_BACK):
                await self._tried(done, "convict", before.epoch, self._convict(before, done))
                before = before.before()
        await self._tried(done, "challenge", turn.epoch, self._object(turn, done))

    async def _tried(self, done: list[Done], what: str, epoch: int, work: Awaitable[None]) -> None:
        """Do one thing; what goes wrong is told of and holds nothing else up."""
        try:
            await work
        except (TesseraError, httpx.HTTPError) as error:
            code = error.code if isinstance(error, TesseraError) else "unreachable"
            text = str(error) or type(error).__name__
            done.append(Done(what, epoch, text, {"code": code}, failed=True))

    # --- Its own row ---------------------------------------------------------------------------

    async def _score(self, turn: Turn, done: list[Done]) -> None:
        if turn.phase is not Phase.COMMIT:
            return
        reader, first = self.world.reader, await self._first(turn)
        place = self._surveyor.place(turn)
        uid = await reader.read(self._subnets.uid_of(turn.subnet, self.address)) - 1
        if uid < 0:
            raise NotFound(
                f"validator {self.address} in subnet {turn.subnet}",
                found="no place",
                wanted="one, which counts from the epoch after its registration",
                next_step=f"tessera subnet join {turn.subnet} --as {self.plan.validator}",
            )
        if await rounds.committed(reader, place, first=first) is not None:
            return
        try:
            weights = (await asyncio.to_thread(rounds.kept, self._rows, place)).weights
        except NotFound:
            # Whoever may not commit pays for no measurement.
            probe = self._scores.commit(turn.subnet, uid, _SOME)
            await reader.read(probe, at="pending", sender=self.address)
            measured = await self._measured(turn, done)
            if measured is None:
                return
            weights = measured
        sealed = await rounds.commit(
            self._sender, self._scores, self._rows,
            subnet=turn.subnet, uid=uid, weights=weights, epoch=turn.epoch, first=first,
        )  # fmt: skip
        heavy = sum(weight > 0 for _, weight in weights)
        done.append(
            Done(
                "committed",
                turn.epoch,
                f"committed to a row in which {heavy} of {sealed.columns} models weigh something",
                {
                    "commitment": "0x" + sealed.commitment.hex(),
                    "row": [list(pair) for pair in sealed.weights],
                },
            )
        )

    async def _measured(self, turn: Turn, done: list[Done]) -> tuple[tuple[int, int], ...] | None:
        async def now() -> int:
            return (await self.turn()).now

        found = await self._surveyor.measured(turn, now)
        if found.models is None:
            why = "; ".join(f"model {uid}: {said}" for uid, said in found.waiting.items())
            text = f"waiting for what cannot be measured yet: {why or 'every model'}"
            done.append(Done("waiting", turn.epoch, text, {"models": [*found.waiting]}))
            return None
        done.extend(
            Done(
                "measured", turn.epoch,
                f"{each.slug or f'model {each.uid}'} weighs {each.weight}: {each.why}",
                each.as_json(),
            )
            for each in found.models
        )  # fmt: skip
        return tuple((each.uid, each.weight) for each in found.models)

    async def _reveal(self, turn: Turn, done: list[Done]) -> None:
        reader, place = self.world.reader, self._surveyor.place(turn)
        if await reader.read(self._scores.row_of(turn.subnet, turn.epoch, self.address)):
            return
        if not await rounds.committed(reader, place, first=await self._first(turn)):
            return
        sealed = await asyncio.to_thread(rounds.kept, self._rows, place)
        uri = self.plan.url + place.name
        if len(uri) > _LONGEST_URI:
            raise InputError("--url", found=f"{len(uri)} characters", wanted=f"{_LONGEST_URI}")
        # Before anybody can look for it.
        file, row = served_folder(self.world) / place.name, rounds.write_row(sealed)
        await asyncio.to_thread(write_whole, file, row, private=False)
        number = await rounds.reveal(self._sender, self._scores, self._rows, place, uri)
        done.append(
            Done("revealed", turn.epoch, f"revealed row {number}", {"row": number, "uri": uri})
        )

    async def _answer(self, turn: Turn, done: list[Done]) -> None:
        reader = self.world.reader
        if turn.epoch < 0 or not await reader.read(
            self._scores.row_of(turn.subnet, turn.epoch, self.address)
        ):
            return
        leaves = await rounds.answer(
            self._sender, self._scores, self._rows, self._surveyor.place(turn)
        )
        if leaves:
            text = f"showed what others asked for: leaves {leaves} of our row"
            done.append(Done("answered", turn.epoch, text, {"leaves": leaves}))

    # --- The others' ---------------------------------------------------------------------------

    async def _watch(self, turn: Turn, done: list[Done]) -> None:
        """Fetch each row once, and ask on the chain for what is not served, within the budget."""
        async with open_http(private=may_reach_private(self.world)) as http:
            missing = await epoch_desk(self.world, http).read.gather_rows(turn.subnet, turn.epoch)
        for each in [own for own in missing if own.validator == self.address]:
            text = f"our own row is not served at {each.uri}: {each.why}"
            done.append(Done("watch", turn.epoch, text, {"row": each.number}, failed=True))
            missing.remove(each)
        if missing:
            await self._ask(turn, missing, done)

    async def _ask(self, turn: Turn, missing: list[Served], done: list[Done]) -> None:
        fee = await self.world.reader.read(self._scores.data_fee())
        left = self.plan.network_budget - fee * len(await self._asked(turn))
        most = min(left // fee, sum(each.leaves for each in missing))
        why = ", ".join(f"row {each.number} ({each.why})" for each in missing)
        data: dict[str, Any] = {"rows": [each.number for each in missing]}
        if most <= 0:
            text = f"not served: {why}; no TSR is left to ask for it"
            done.append(Done("watch", turn.epoch, text, data, failed=True))
            return
        await spend(self.world, self._sender, self._scores.address, fee * most, "asking for data")
        asked = await rounds.ask_for(
            self._sender, self._scores, turn.subnet, turn.epoch, missing, most=most
        )
        if asked:
            text = f"asked on the chain for what is not served: {why}"
            done.append(Done("asked", turn.epoch, text, {**data, "leaves": asked}))

    async def _convict(self, turn: Turn, done: list[Done]) -> None:
        """Take the fees back for what was never shown; who withheld it is slashed."""
        if turn.epoch < 0:
            return
        reader, subnet, epoch = self.world.reader, turn.subnet, turn.epoch
        asked = await self._asked(turn)
        states = await reader.read_all(
            [self._scores.asked_of(subnet, epoch, each.row, each.leaf) for each in asked]
        )
        for event, (_, shown, convicted) in zip(asked, states, strict=True):
            if not shown and not convicted:
                await self._sender.send(self._scores.convict(subnet, epoch, event.row, event.leaf))
                text = f"row {event.row} withheld leaf {event.leaf}: the fee is back"
                data = {"row": event.row, "leaf": event.leaf}
                done.append(Done("convicted", epoch, text, data))

    async def _first(self, turn: Turn) -> int:
        """Return the block from which on something of an epoch can be in the chain."""
        if turn.epoch not in self._begun:
            self._begun = {epoch: at for epoch, at in self._begun.items() if epoch > turn.epoch - 8}
            before = await block_before(self.world.reader, turn.began)
            self._begun[turn.epoch] = max(before.number, self.world.deployment.since)
        return self._begun[turn.epoch]

    # --- Results -------------------------------------------------------------------------------

    async def _object(self, turn: Turn, done: list[Done]) -> None:
        """Compute a posted result again; prove what is false about it, or ask for it."""
        subnet, sender = turn.subnet, self._sender
        async with open_desk(self.world) as desk:
            status = await desk.status(subnet)
            at = status.epoch, status.digest
            on_trial = status.stage == "posted" and status.now < status.ends_at
            if on_trial and at not in self._right:
                verdict = await desk.check(subnet, status.epoch)
                if verdict.true:
                    self._right.add(at)
                    text = f"the result that {self.world.named(status.poster)} posted is right"
                    done.append(Done("checked", status.epoch, text))
                else:
                    await self._challenge(desk, status.epoch, len(verdict.questions), done)
            owed = await desk.collect(sender)
        if owed:
            text = f"collected {self.world.network.shown(owed)} of bonds and fees"
            done.append(Done("collected", status.epoch, text, {"amount": str(owed)}))

    async def _challenge(
        self, desk: EpochDesk, epoch: int, questions: int, done: list[Done]
    ) -> None:
        subnet = self.plan.subnet
        cost = (await desk.terms()).fee * questions
        if cost > self.plan.network_budget:
            shown = self.world.network.shown(cost)
            text = f"the posted result is false; to find out where takes {shown} of fees (--tsr)"
            done.append(Done("challenge", epoch, text, {"questions": questions}, failed=True))
            return
        sent = await desk.challenge(self._sender, subnet, epoch)
        if sent:
            text = f"the posted result is false: sent {', '.join(sent)}"
            done.append(Done("challenged", epoch, text, {"sent": sent}))

    async def _asked(self, turn: Turn) -> list[DataAsked]:
        topics = DataAsked.topics(subnet=turn.subnet, epoch=turn.epoch)
        logs = await self.world.reader.logs(
            DataAsked,
            address=self._scores.address,
            topics=topics,
            first=await self._first(turn),
        )
        return [log.event for log in logs if log.event.by == self.address]
