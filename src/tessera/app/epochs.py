"""Results of epochs: posted with a bond, served, checked, challenged, answered for, made final.

Everything here may be done twice, by anybody, from any machine: what was done is read from the
chain, and the second time does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx

from tessera.app.askers import may_reach_private
from tessera.app.epoch_views import EpochStatus, OpenQuestion, Stage, Verdict
from tessera.app.spending import spend
from tessera.bindings.calls import Call
from tessera.bindings.epochs import Asked, Post, Result, Terms
from tessera.chain.sender import Sender
from tessera.errors import Conflict, InputError, NotFound, TransactionReverted
from tessera.spec.epochs import (
    Challenge,
    EpochInputs,
    Header,
    PostedEpoch,
    build,
    find_fault,
    questions,
)
from tessera.spec.epochs.faults import COLUMNS, ROWS, STAKES
from tessera.validation.epoch_answers import with_answers
from tessera.validation.epoch_inputs import EpochReader
from tessera.validation.parts import has_all, name_of
from tessera.validation.reaching import open_http

if TYPE_CHECKING:
    from tessera.app.world import World

__all__ = [
    "EpochDesk",
    "EpochStatus",
    "OpenQuestion",
    "Stage",
    "Verdict",
    "epoch_desk",
    "open_desk",
]

_NOBODY: Final = "0x" + "00" * 20
_NOTHING: Final = bytes(32)
_FINAL, _SKIPPED = 1, 2


class EpochDesk:
    """Whatever is to be done about results of epochs.

    Parameters
    ----------
    world
        The chain and its contracts.
    read
        What the chain and the validators' servers say.
    """

    def __init__(self, world: World, read: EpochReader) -> None:
        self.world = world
        self.read = read
        self.epochs = world.deployment.epochs
        self.court = world.deployment.epoch_court
        self._terms: Terms | None = None
        self._true: set[bytes] = set()

    async def terms(self) -> Terms:
        """Return bonds, fees and windows, which never change."""
        if self._terms is None:
            self._terms = await self.read.reader.read(self.epochs.terms())
        return self._terms

    async def now(self) -> int:
        """Return the time that a block would have now."""
        return max((await self.read.reader.block()).timestamp, self.world.now())

    # --- Looking ----------------------------------------------------------------------------------

    async def status(self, subnet: int, epoch: int | None = None) -> EpochStatus:
        """Say how far an epoch is; the next one that is to be settled where none is named."""
        reader, epochs, terms = self.read.reader, self.epochs, await self.terms()
        clock = await reader.read(epochs.clock_of(subnet))
        number = clock.next if epoch is None else epoch
        said = await self.read.on_chain(subnet, number)
        post, voided, now = await asyncio.gather(
            reader.read(epochs.post_of(subnet, number)),
            reader.read(epochs.attempts(subnet, number)),
            self.now(),
        )
        live = number == clock.next and post.digest != _NOTHING
        empty = not said.rows or not said.columns
        late_at = 0
        if number == clock.next:
            window = 0 if empty else terms.post_window
            late_at = max(said.closes_at, 0 if empty else clock.since) + window
        stage: Stage = "postable"
        if number < clock.next:
            stage = "skipped" if post.digest == _NOTHING else "final"
        elif live:
            stage = "posted"
        elif now < said.closes_at:
            stage = "running"
        elif number > clock.next:
            stage = "waiting"
        elif empty:
            stage = "empty"
        elif now >= late_at:
            stage = "late"
        return EpochStatus(
            subnet=subnet,
            epoch=number,
            stage=stage,
            now=now,
            rows=said.rows,
            columns=said.columns,
            closes_at=said.closes_at,
            late_at=late_at,
            poster=post.poster if post.digest != _NOTHING else "",
            ends_at=await reader.read(epochs.ends_at(subnet, number)) if live else 0,
            digest=post.digest if post.digest != _NOTHING else b"",
            questions=await self._questions(subnet, number, post) if live else (),
            voided=voided,
        )

    async def inputs(self, subnet: int, epoch: int) -> EpochInputs:
        """Return what a result of an epoch follows from, settled or not.

        Raises
        ------
        NotFound
            A row that counts, or the parts of the last final result, cannot be read anywhere.
        InputError
            Nobody revealed a row, or the epoch's turn has not come.
        """
        header = await self.read.header(subnet, epoch)
        if header is not None:
            return await self.read.inputs(subnet, epoch, header.previous)
        clock = await self.read.reader.read(self.epochs.clock_of(subnet))
        if epoch != clock.next:
            raise InputError(
                f"epoch {epoch} of subnet {subnet}",
                found="no result, and others before it",
                wanted=f"the next to be settled: {clock.next}",
                next_step=f"tessera epoch info {subnet}",
            )
        return await self.read.inputs(subnet, epoch, clock.carried)

    async def built(self, subnet: int, epoch: int) -> PostedEpoch:
        """Compute what the result of an epoch is.

        Raises
        ------
        NotFound, InputError
            As for `inputs`.
        """
        return await asyncio.to_thread(build, await self.inputs(subnet, epoch))

    async def posted(self, subnet: int, epoch: int) -> PostedEpoch | None:
        """Return what is posted, with all parts that can be had; None where nothing is.

        Of a final result all parts are had, or it is NotFound.
        """
        header = await self.read.header(subnet, epoch)
        if header is None:
            return None
        if await self.read.reader.read(self.epochs.settled(subnet, epoch)):
            return await self.read.whole(subnet, epoch)
        with contextlib.suppress(NotFound, InputError):
            made = await self.built(subnet, epoch)
            if made.header == header:
                return made
        return await self._claimed(subnet, epoch, header)

    async def check(self, subnet: int, epoch: int) -> Verdict:
        """Compute a posted result again, and say what is false about it.

        Raises
        ------
        NotFound
            Nothing is posted; or a row that counts cannot be read anywhere.
        """
        header = await self.read.header(subnet, epoch)
        if header is None:
            raise NotFound(
                f"result of epoch {epoch} of subnet {subnet}", found="none", wanted="a posted one",
                next_step=f"tessera epoch info {subnet} {epoch}",
            )  # fmt: skip
        if header.digest in self._true:
            return Verdict(true=True)
        inputs = await self.inputs(subnet, epoch)
        made = await asyncio.to_thread(build, inputs)
        if made.header == header:
            await self.read.keep(made)
            # Nothing of its inputs changes any more.
            self._true.add(header.digest)
            return Verdict(true=True)
        claimed = await self._claimed(subnet, epoch, header)
        fault = await asyncio.to_thread(find_fault, claimed, inputs)
        if fault is None or fault.function != "ask":
            return Verdict(true=fault is None, fault=fault)
        return Verdict(true=False, questions=await asyncio.to_thread(questions, claimed, inputs))

    # --- Doing ------------------------------------------------------------------------------------

    async def post(self, sender: Sender, subnet: int, epoch: int) -> PostedEpoch:
        """Compute a result, keep its parts to be served, and post it with the bond.

        The parts are on the disk before anything is sent, since whoever posted must show them.

        Raises
        ------
        TransactionReverted
            Its inputs are not fixed yet.
        Conflict
            Another result is posted.
        InputError
            The sender has too few tokens for the bond, or it is not the epoch's turn.
        NotFound
            A row that counts, or the parts of the last final result, cannot be read anywhere.
        """
        made = await self.built(subnet, epoch)
        await self.read.keep(made)
        post = await self.read.reader.read(self.epochs.post_of(subnet, epoch))
        if post.digest == made.header.digest:
            return made
        if post.digest != _NOTHING:
            raise Conflict(
                f"epoch {epoch} of subnet {subnet}",
                found=f"another result, of {post.poster}",
                wanted=f"none, or the one of digest 0x{made.header.digest.hex()}",
                next_step=f"prove it false: tessera epoch challenge {subnet} {epoch}",
            )
        await spend(
            self.world,
            sender,
            self.epochs.address,
            (await self.terms()).bond,
            "the bond of a result",
        )
        await sender.send(self.epochs.post(subnet, epoch, Result.from_values(made.header.call)))
        return made

    async def challenge(self, sender: Sender, subnet: int, epoch: int) -> list[str]:
        """Send what proves a live result false, or asks where it is, or that an answer is overdue.

        Returns
        -------
        list of str
            What was sent; nothing where there is nothing to object, or answers are waited for.

        Raises
        ------
        NotFound
            Nothing is posted; or a row that counts cannot be read anywhere.
        InputError
            The sender has too few tokens for the fees of its questions.
        """
        overdue = await self.accuse(sender, subnet, epoch)
        if overdue:
            return overdue
        verdict = await self.check(subnet, epoch)
        if verdict.fault is not None:
            header = await self.read.header(subnet, epoch)
            if header is None:
                return []
            await sender.send(self._charge(subnet, epoch, header.call, verdict.fault))
            return [verdict.fault.function]
        asked = await self._asked(subnet, epoch)
        new = [question.arguments[0] for question in verdict.questions]
        new = [part for part in new if part not in asked]
        if new:
            fee = (await self.terms()).fee
            await spend(
                self.world, sender, self.epochs.address, fee * len(new), "the fees of questions"
            )
        for part in new:
            await sender.send(self.epochs.ask(subnet, epoch, part))
        return [f"ask {part}" for part in new]

    async def accuse(self, sender: Sender, subnet: int, epoch: int) -> list[str]:
        """Have a result voided of which a part was not shown in time; `[]` if none was overdue."""
        status = await self.status(subnet, epoch)
        for question in status.questions:
            if status.now > question.due:
                await sender.send(self.epochs.accuse(subnet, epoch, question.part))
                return [f"accuse {question.part}"]
        return []

    async def answer(self, sender: Sender, subnet: int, epoch: int) -> list[int]:
        """Show the parts of a live result that somebody asked for; return which.

        Anybody may who has them, and is paid the fee; the poster must.

        Raises
        ------
        NotFound
            A part that was asked for is neither kept here nor served anywhere.
        """
        status = await self.status(subnet, epoch)
        if not status.questions:
            return []
        posted = await self.posted(subnet, epoch)
        assert posted is not None
        for question in status.questions:
            await sender.send(self._answer(posted, subnet, epoch, question.part))
        return [question.part for question in status.questions]

    async def finalize(self, sender: Sender, subnet: int, epoch: int) -> None:
        """End an epoch whose result stood; the bond is its poster's again.

        Raises
        ------
        TransactionReverted
            Its window is still open, a question is, or there is no live result.
        """
        if await self.read.reader.read(self.epochs.settled(subnet, epoch)) != _FINAL:
            await sender.send(self.epochs.finalize(subnet, epoch))

    async def skip(self, sender: Sender, subnet: int, epoch: int) -> None:
        """End an epoch without a result.

        Raises
        ------
        TransactionReverted
            There is still time to post, or something is posted.
        """
        if await self.read.reader.read(self.epochs.settled(subnet, epoch)) != _SKIPPED:
            await sender.send(self.epochs.skip(subnet, epoch))

    async def collect(self, sender: Sender) -> int:
        """Take what the sender is owed: bonds, fees, challengers' parts; return base units.

        What its questions cost comes back first, where they were about results that are void.
        """
        for call in await self.take_backs(sender.address):
            await sender.send(call)
        owed = await self.read.reader.read(self.epochs.owed_of(sender.address))
        if owed:
            await sender.send(self.epochs.collect(sender.address))
        return owed

    async def take_backs(self, requester: str) -> list[Call[None]]:
        """Return what gives fees back of questions about results that were voided since."""
        reader, epochs = self.read.reader, self.epochs
        logs = await reader.logs(
            Asked,
            address=epochs.address,
            topics=Asked.topics(requester=requester),
            first=self.read.since,
        )
        asked = sorted({(each.event.subnet, each.event.epoch, each.event.part) for each in logs})
        found = []
        for subnet, epoch, part in asked:
            voided = await reader.read(epochs.attempts(subnet, epoch))
            for attempt in range(voided):
                call = epochs.take_back(subnet, epoch, attempt, part)
                with contextlib.suppress(TransactionReverted):
                    # Answered then, or asked about another attempt, or given back: no view tells.
                    await reader.read(call, at="pending", sender=requester)
                    found.append(call)
        return found

    # --- Inside -----------------------------------------------------------------------------------

    async def _questions(self, subnet: int, epoch: int, post: Post) -> tuple[OpenQuestion, ...]:
        if not post.open:
            return ()
        parts = await self._parts_asked(subnet, epoch)
        calls = [self.epochs.question_of(subnet, epoch, part) for part in parts]
        told = await self.read.reader.read_all(calls)
        return tuple(
            OpenQuestion(part, who, due)
            for part, (who, due) in zip(parts, told, strict=True)
            if who != _NOBODY
        )

    async def _asked(self, subnet: int, epoch: int) -> set[int]:
        """Return what nobody needs to ask for of the live result any more, as it is open."""
        post = await self.read.reader.read(self.epochs.post_of(subnet, epoch))
        return {question.part for question in await self._questions(subnet, epoch, post)}

    async def _parts_asked(self, subnet: int, epoch: int) -> list[int]:
        logs = await self.read.reader.logs(
            Asked,
            address=self.epochs.address,
            topics=Asked.topics(subnet=subnet, epoch=epoch),
            first=self.read.since,
        )
        return sorted({log.event.part for log in logs})

    async def _claimed(self, subnet: int, epoch: int, header: Header) -> PostedEpoch:
        """Return a live result with what its poster serves and what was shown of it."""
        found = await self.read.kept(subnet, epoch, header)
        if found is None or not has_all(found):
            found = await self.read.looked_for(subnet, epoch, header)
        if found is None:
            said = await self.read.on_chain(subnet, epoch)
            found = PostedEpoch.unseen(header, said.rows, said.columns)
        return await with_answers(self.read, self.court.address, subnet, epoch, found)

    def _charge(
        self, subnet: int, epoch: int, header: tuple[bytes | int, ...], challenge: Challenge
    ) -> Call[None]:
        function = getattr(self.court, challenge.function)
        result = Result.from_values(header)
        call: Call[None] = function(
            self.epochs.address, subnet, epoch, result, *challenge.arguments
        )
        return call

    def _answer(self, posted: PostedEpoch, subnet: int, epoch: int, part: int) -> Call[None]:
        at: tuple[Any, ...] = (
            self.epochs.address, subnet, epoch, Result.from_values(posted.header.call),
        )  # fmt: skip
        court: Any = self.court
        shown: Call[None]
        try:
            if part == STAKES and posted.stakes is not None:
                shown = court.show_stakes(*at, list(posted.stakes))
            elif part >= ROWS:
                shown = court.show_row(*at, *posted.validator_proof(part - ROWS))
            elif part >= COLUMNS and posted.columns[part - COLUMNS] is not None:
                uid = part - COLUMNS
                shown = court.show_column(*at, uid, posted.column_call(uid))
            else:
                raise IndexError(part)
        except (IndexError, NotFound) as error:
            raise NotFound(
                f"part {part} of epoch {epoch} of subnet {subnet}",
                found="nobody serves it",
                wanted=f"the file {name_of(posted.header.digest)}",
                next_step="answer from the data folder that it was posted from",
            ) from error
        return shown


@asynccontextmanager
async def open_desk(world: World, mirrors: Sequence[str] = ()) -> AsyncIterator[EpochDesk]:
    """Open a desk, with connections of its own to whoever serves rows and results."""
    async with open_http(private=may_reach_private(world)) as http:
        yield epoch_desk(world, http, mirrors=mirrors)


def epoch_desk(world: World, http: httpx.AsyncClient, *, mirrors: Sequence[str] = ()) -> EpochDesk:
    """Return the desk of a chain's contracts, with its files in the data folder.

    Parameters
    ----------
    http
        For what strangers serve; see `tessera.validation.reaching`.
    mirrors
        Addresses of folders in which somebody serves results.
    """
    deployment, folder = world.deployment, world.config.data_dir
    read = EpochReader(
        world.reader,
        http,
        epochs=deployment.epochs,
        scores=deployment.scores,
        served=folder / "served",
        rows=folder / "epochs" / "rows",
        mirrors=mirrors,
        since=deployment.since,
    )
    return EpochDesk(world, read)
