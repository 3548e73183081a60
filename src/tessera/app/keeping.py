"""A keeper: does what is due for anybody, pays the gas, and has nothing that it must remember.

Each transaction stands for itself. One that reverts is told of and the next is tried; whoever
starts again, or a second keeper, finds on the chain what is left to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

from tessera.app.contests import correct, plan_correction
from tessera.app.due import (
    Due,
    due_admissions,
    due_bootstrap,
    due_claims,
    due_close,
    due_collection,
    due_convictions,
    due_demand,
    due_epoch,
    due_flushes,
    due_payouts,
    due_thaws,
    paying_epochs,
    waiting_places,
)
from tessera.app.epochs import EpochDesk
from tessera.app.world import World
from tessera.chain.sender import AccountUnfunded, Sender
from tessera.errors import (
    Conflict,
    RpcUnavailable,
    TesseraError,
    TransactionReverted,
    WrongChain,
)
from tessera.validation.turns import Phase, turn_of

__all__ = ["Chore", "Errand", "State", "keep"]

State = Literal["done", "due", "left", "gone", "failed"]

_MOST_EPOCHS: Final = 256
"""Epochs of a subnet that one round ends; a subnet that was left alone has many."""

_STEP_GAS: Final = 2_000_000
"""What posting, challenging, or asking eight questions takes at most, approvals included."""

_GONE: Final = frozenset(
    {
        "bond: the case is not frozen",
        "emission: claimed already",
        "emission: counted in this period already",
        "emission: nothing to pay",
        "emission: settled already",
        "epochs: asked already",
        "epochs: no live result",
        "epochs: nobody asked",
        "epochs: not the next epoch",
        "epochs: posted already",
        "scores: paid back already",
        "subnets: nobody waits for it",
    }
)
"""What a contract says of what was due a moment ago, and was done by another since."""

_FATAL: Final = (RpcUnavailable, WrongChain, AccountUnfunded)
"""What would come of every further transaction too."""


@dataclass(frozen=True, slots=True)
class Chore:
    """One thing that was due.

    Attributes
    ----------
    what, about
        The function, and of what.
    state
        "done"; "due" in a dry run; "left" where the gas did not suffice; "gone" where somebody else
        was first; "failed".
    gas
        Used; in a dry run and of what was left, the limit that it would be sent with.
    why
        Why it failed or was left.
    code
        Of the error.
    tx_hash
        Of the transaction, where it was one.
    """

    what: str
    about: str
    state: State
    gas: int = 0
    why: str = ""
    code: str = ""
    tx_hash: str = ""

    @property
    def failed(self) -> bool:
        """Whether it was tried in vain."""
        return self.state == "failed"


@dataclass(frozen=True, slots=True)
class Errand:
    """What a keeper is to do beside what anybody may.

    Attributes
    ----------
    subnets
        Which; all where None.
    gas
        What may be used in one round; no limit where None. Answers are given whatever it is: who
        posted and does not answer loses the bond.
    back
        How many epochs before the next one are looked at.
    least
        Raw TSR: claims of less are left to whom they pay.
    post
        Whether to post results, with a bond.
    watch
        Whether to check others' results, challenge false ones, and answer questions.
    dry_run
        Whether to send nothing.
    """

    subnets: Sequence[int] | None = None
    gas: int | None = None
    back: int = 64
    least: int = 0
    post: bool = False
    watch: bool = False
    dry_run: bool = False


async def keep(
    world: World,
    sender: Sender,
    desk: EpochDesk,
    errand: Errand | None = None,
    *,
    told: Callable[[Chore], None] = lambda _: None,
) -> list[Chore]:
    """Do once what is due; return what that was.

    Parameters
    ----------
    told
        Called with each, when it is done or not.

    Raises
    ------
    RpcUnavailable, WrongChain
        The chain does not answer, or is another one: nothing else can be done either.
    AccountUnfunded
        The sender cannot pay for gas.
    """
    round_ = _Round(world, sender, desk, errand or Errand(), told)
    await round_.all()
    return round_.chores


@dataclass
class _Round:
    world: World
    sender: Sender
    desk: EpochDesk
    errand: Errand
    told: Callable[[Chore], None]
    chores: list[Chore] = field(default_factory=list)
    used: int = 0

    async def all(self) -> None:
        desk, back, least = self.desk, self.errand.back, self.errand.least
        await self.world.directory.refresh()
        count = await self.world.reader.read(self.world.deployment.subnets.subnet_count())
        subnets = self.errand.subnets
        numbers = list(range(1, count + 1)) if subnets is None else list(subnets)
        for number in numbers:
            if (self.errand.post or self.errand.watch) and not self.errand.dry_run:
                with self._noted("look at", f"subnet {number}"):
                    await self._rows(number)
            await self._epochs(number)
            await self._each(f"subnet {number}", due_convictions(desk, number, back))
            await self._each(f"subnet {number}", due_admissions(desk, number))
            if self.errand.watch:
                with self._noted("look at", f"subnet {number}"):
                    await self._contests(number)
        for number in numbers:
            about = f"subnet {number}"
            await self._each(about, _listed(due_bootstrap(desk, number)))
            await self._each(about, due_demand(desk, number))
        # Whatever counts something closes the period before, too.
        await self._each("emission", _listed(due_close(desk)))
        for number in numbers:
            about = f"subnet {number}"
            await self._each(about, due_payouts(desk, number, back))
            with self._noted("look at", about):
                # One whose parts nobody serves must not hold up those behind it.
                for epoch in await paying_epochs(desk, number, back):
                    place = f"epoch {epoch} of {about}"
                    await self._each(place, due_claims(desk, number, epoch, least))
            await self._each(about, due_flushes(desk, number, least))
        await self._each("bonds", due_thaws(desk))
        if self.errand.post or self.errand.watch:
            await self._each("own account", due_collection(desk, self.sender.address))

    async def _rows(self, subnet: int) -> None:
        """Keep the rows of the epoch that runs, while who does not serve its own can be asked."""
        subnets = self.world.deployment.subnets
        if await self.world.reader.read(subnets.is_live(subnet), at="pending"):
            turn = await turn_of(self.world.reader, subnets, subnet)
            if turn.phase is Phase.ASK:
                await self.desk.read.gather_rows(subnet, turn.epoch)

    async def _epochs(self, subnet: int) -> None:
        """End one epoch after the other, as far as they are due."""
        for _ in range(_MOST_EPOCHS):
            if self.errand.post or self.errand.watch:
                with self._noted("look at", f"subnet {subnet}"):
                    await self._results(subnet)
            found: list[Due] = []
            with self._noted("look at", f"subnet {subnet}"):
                found = await _listed(due_epoch(self.desk, subnet))
            if not found or not await self._sent(found[0]) or found[0].what == "accuse":
                return

    async def _results(self, subnet: int) -> None:
        """Post what nobody posted, and look at what somebody did."""
        desk, sender, errand = self.desk, self.sender, self.errand
        status = await desk.status(subnet)
        epoch, about = status.epoch, f"epoch {status.epoch} of subnet {subnet}"
        mine = status.poster == sender.address
        if status.stage in {"postable", "late"} and errand.post:
            await self._done("post", about, lambda: desk.post(sender, subnet, epoch))
        elif status.stage == "posted" and mine and status.questions:
            await self._done("answer", about, lambda: desk.answer(sender, subnet, epoch))
        elif status.stage == "posted" and not mine and errand.watch:
            with self._noted("check", about):
                if not (await desk.check(subnet, epoch)).true:
                    await self._done(
                        "challenge", about, lambda: desk.challenge(sender, subnet, epoch)
                    )

    async def _contests(self, subnet: int) -> None:
        """Show a lower place than one that a newcomer waits for, for a part of its deposit."""
        world, mirrors = self.world, self.desk.read.mirrors
        for place in await waiting_places(self.desk, subnet):
            try:
                lower = await plan_correction(world, subnet, place.side, place.uid, mirrors=mirrors)
            except Conflict:
                # Nothing is lower.
                continue
            about = f"place {place.uid} of subnet {subnet}, {lower.lower} is lower"
            await self._done(
                "correct", about, partial(correct, world, self.sender, subnet, place.side, lower)
            )

    async def _each(self, about: str, finding: Awaitable[list[Due]]) -> None:
        with self._noted("look at", about):
            for due in await finding:
                await self._sent(due)

    async def _sent(self, due: Due) -> bool:
        """Send what is due, if the gas suffices; tell whether it is done."""
        done = False
        with self._noted(due.what, due.about):
            limit = await self.sender.estimate(due.call)
            if self.errand.dry_run:
                self._tell(Chore(due.what, due.about, "due", limit))
            elif not self._refused(due.what, due.about, limit):
                receipt = await self.sender.send(due.call, gas=limit)
                self.used += receipt.gas_used
                sent = Chore(due.what, due.about, "done", receipt.gas_used, tx_hash=receipt.tx_hash)
                self._tell(sent)
                done = True
        return done

    async def _done(self, what: str, about: str, doing: Callable[[], Awaitable[object]]) -> None:
        """Do what may take several transactions, or none after all."""
        if self.errand.dry_run:
            self._tell(Chore(what, about, "due"))
            return
        if what != "answer" and self._refused(what, about, _STEP_GAS):
            return
        before = self.sender.spent
        with self._noted(what, about):
            await doing()
            if self.sender.spent.transactions > before.transactions:
                self._tell(Chore(what, about, "done", self.sender.spent.gas - before.gas))
        self.used += self.sender.spent.gas - before.gas

    def _refused(self, what: str, about: str, gas: int) -> bool:
        """Tell of what the gas does not suffice for any more."""
        if self.errand.gas is None or self.used + gas <= self.errand.gas:
            return False
        left = f"{self.errand.gas - self.used:,} of {self.errand.gas:,} gas are left"
        self._tell(Chore(what, about, "left", gas, left))
        return True

    @contextmanager
    def _noted(self, what: str, about: str) -> Iterator[None]:
        """Tell of what fails, and go on; not where everything would."""
        try:
            yield
        except _FATAL:
            raise
        except TransactionReverted as error:
            state: State = "gone" if error.reason in _GONE else "failed"
            self._tell(Chore(what, about, state, why=error.message, code=error.code))
        except TesseraError as error:
            self._tell(Chore(what, about, "failed", why=error.message, code=error.code))

    def _tell(self, chore: Chore) -> None:
        self.chores.append(chore)
        self.told(chore)


async def _listed(finding: Awaitable[Due | None]) -> list[Due]:
    found = await finding
    return [] if found is None else [found]
