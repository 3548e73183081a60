"""Measuring a subnet's models for an epoch: what it may cost, who is asked, and what came of it."""

from __future__ import annotations

import asyncio
import random as randomness
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import httpx

from tessera import __version__
from tessera.app.askers import KNOWN, UNKNOWN, Askers
from tessera.app.benchmarking import model_served
from tessera.app.world import World
from tessera.errors import (
    Conflict,
    DataError,
    NotFound,
    PaymentRequired,
    ServingError,
    SignatureRejected,
    WrongChain,
    WrongVersionServed,
)
from tessera.serving.equality.verdict import ALPHA
from tessera.validation.report import Report
from tessera.validation.rounds import Place
from tessera.validation.survey import (
    Judged,
    Subject,
    Survey,
    SurveyFolder,
    bounds,
    decided,
    judge,
    measure,
    most_items,
)
from tessera.validation.task import Benchmark
from tessera.validation.turns import Turn, models_of, named_task, seed_of

__all__ = ["Measured", "Outlook", "Plan", "Surveyor"]

_MARGIN: Final = 0.9
_NO_TIME: Final = "no time was left for it"
"""Of the time that is left for commits, so much may be spent on measuring."""

_CAUGHT = (WrongVersionServed, SignatureRejected)
"""What an operator has signed, or not signed, against itself."""
_ITS_TROUBLE = (
    ServingError,
    PaymentRequired,
    WrongChain,
    NotFound,
    DataError,
    httpx.HTTPError,
)
"""What a gateway may be to blame for; other trouble is our own, and no model weighs less for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a validator means to do.

    Attributes
    ----------
    subnet
        Its number.
    task
        The benchmark; must be the one that the subnet's owner names, where one is named.
    url
        Where `served_folder` is served: what a row's file name is appended to.
    validator, unknown
        Names of keys: the validator's, which pays as everybody knows it, and one that nobody
        connects with it.
    budget
        Base units of the currency that the calls of an epoch may cost.
    network_budget
        Raw TSR that questions about others' rows and results may take in an epoch.
    items
        Asked of each model, as far as the budget reaches.
    at_once
        Asked by each payer at a time.
    alpha
        The part of honest models that is accused of answering well only for validators.
    """

    subnet: int
    task: Benchmark
    url: str
    validator: str = "validator"
    unknown: str = "unknown"
    budget: int
    network_budget: int = 0
    items: int = 200
    at_once: int = 4
    alpha: float = ALPHA


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an epoch asks of a validator, before anything is done.

    Attributes
    ----------
    named
        Whether the subnet's owner names the benchmark; where not, each validator chooses.
    items, cost
        Of each model, and what all can cost at most, base units.
    models
        Those whose gateway lists them.
    faults
        By uid, why another one cannot be asked now.
    """

    turn: Turn
    named: bool
    items: int
    cost: int
    models: tuple[Subject, ...]
    faults: dict[int, str]


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of measuring.

    Attributes
    ----------
    models
        What each weighs, and why; None where it is too early to say that some cannot be measured.
    waiting
        By uid, why they are not measured yet.
    """

    models: tuple[Judged, ...] | None
    waiting: dict[int, str]


@dataclass(slots=True)
class _Tally:
    """What measuring came to so far: `cut` has those that time did not suffice for."""

    cut: set[int]
    reports: dict[int, Report] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)


class Surveyor:
    """Measures the models of a subnet.

    Parameters
    ----------
    world
        The chain, the keys and the data folder.
    plan
        What is meant to be done.
    progress
        Told of a model and how many of how many of its items are done.
    """

    def __init__(self, world: World, plan: Plan, progress: Callable[[str, int, int], None]) -> None:
        self._world = world
        self._plan = plan
        self._progress = progress
        self._subnets = world.deployment.subnets
        self._validator = world.account(plan.validator).address

    def place(self, turn: Turn) -> Place:
        """Return where the validator's row of an epoch counts."""
        scores = self._world.deployment.scores.address
        chain_id = self._world.reader.chain_id
        return Place(chain_id, scores, turn.subnet, turn.epoch, self._validator)

    def folder(self, turn: Turn) -> SurveyFolder:
        """Return what is kept of an epoch's survey."""
        return SurveyFolder(self._world.config.data_dir / "surveys", self.place(turn))

    async def outlook(self, turn: Turn) -> Outlook:
        """Return what an epoch asks for; nothing is signed and nothing paid.

        Raises
        ------
        NotFound
            The subnet has no model, or there is no such key.
        Conflict
            The subnet's owner names another benchmark.
        InputError
            The budget is too small.
        """
        named = await self._check_task(turn)
        async with self._askers(self.folder(turn)) as askers:
            survey, subjects, faults = await self._looked(turn, askers)
            cost = sum(sum(self._bounds(survey, askers, each)) for each in subjects)
        return Outlook(turn, named, survey.items, cost, tuple(subjects), faults)

    async def measured(self, turn: Turn, now: Callable[[], Awaitable[int]]) -> Measured:
        """Measure all models as far as time and budget reach; goes on where an earlier call was.

        Parameters
        ----------
        now
            The chain's time. In an epoch's first quarter a gateway that does not answer is waited
            for; from then on its models weigh nothing. A survey that began later than that is
            whole or none: nothing is said of a model that only the time did not suffice for.

        Raises
        ------
        Conflict
            The subnet's owner names another benchmark.
        InputError, ChainError
            What has nothing to do with any model: a budget, a key, money, the chain.
        """
        await self._check_task(turn)
        folder = self.folder(turn)
        async with self._askers(folder) as askers:
            survey = folder.survey()
            if survey is None:
                survey, _, _ = await self._looked(turn, askers)
                await asyncio.to_thread(folder.decide, survey)
            tally = _Tally({uid for uid, _ in survey.models})
            seconds = max(0.0, (turn.after(2) - turn.now) * _MARGIN)
            try:
                async with asyncio.timeout(seconds):
                    await self._measure_all(survey, folder, askers, tally, seconds)
            except TimeoutError:
                # What is not measured by now weighs nothing; what was asked is kept.
                pass
        if survey.late and tally.cut:
            # That we began late is no model's fault, and no row says so of one.
            return Measured(
                None, {uid: tally.faults.get(uid, _NO_TIME) for uid in sorted(tally.cut)}
            )
        if not tally.reports or (tally.again and await now() < turn.after(1)):
            return Measured(None, {uid: tally.faults[uid] for uid in sorted(tally.again)})
        found = judge(survey, tally.reports, tally.faults)
        await asyncio.to_thread(folder.weighed, found)
        return Measured(found, {})

    async def _measure_all(
        self,
        survey: Survey,
        folder: SurveyFolder,
        askers: Askers,
        tally: _Tally,
        seconds: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        await self._world.directory.refresh()
        order = list(survey.models)
        # In another order for each validator, so that no gateway has all of them at once.
        randomness.SystemRandom().shuffle(order)
        for at, (uid, asset) in enumerate(order):
            # One that takes its time takes none of those behind it.
            share = (until - loop.time()) / (len(order) - at)
            try:
                async with asyncio.timeout(share):
                    report = await self._measure(survey, folder, askers, uid, int(asset))
                    tally.reports[uid] = report
            except _CAUGHT as error:
                tally.faults[uid] = f"caught: {error.message}"
            except TimeoutError:
                tally.faults[uid] = f"not measured within its share of the time, {share:.0f} s"
                tally.again.add(uid)
                continue
            except _ITS_TROUBLE as error:
                tally.faults[uid] = str(error) or type(error).__name__
                tally.again.add(uid)
            tally.cut.discard(uid)

    async def _measure(
        self, survey: Survey, folder: SurveyFolder, askers: Askers, uid: int, asset: int
    ) -> Report:
        report = folder.report(uid)
        if report is not None:
            return report
        record = self._world.directory.get(asset)
        if record is None:
            raise NotFound(f"asset {asset}", found="none", wanted="what the subnet says")
        subject = folder.subject(uid)
        if subject is None:
            subject = await askers.look(record, uid, bytes.fromhex(survey.seed))
            most = self._bounds(survey, askers, subject)
            left = survey.budget - await asyncio.to_thread(folder.spent)
            # Prices may have risen since: what one more costs is nothing that others do without.
            left = min(left, _share(survey))
            if sum(most) > left:
                raise PaymentRequired(
                    f"model {record.slug}",
                    found=f"{left} base units left of its share of the epoch's budget",
                    wanted=f"{sum(most)} for its calls",
                )
            subject = subject.costing(most)
            await asyncio.to_thread(folder.begin, subject)
        else:
            await askers.again(record, subject)
        known = await askers.endpoint(KNOWN, subject)
        unknown = await askers.endpoint(UNKNOWN, subject)
        version = subject.version
        return await measure(
            self._plan.task, survey, subject, folder, known, unknown,
            model=lambda served: model_served(record, version, served),
            payers=askers.addresses,
            at_once=self._plan.at_once,
            alpha=self._plan.alpha,
            progress=lambda count, total: self._progress(record.slug, count, total),
            made={"tessera": __version__, "time": self._world.now(), "url": subject.url},
        )  # fmt: skip

    async def _looked(
        self, turn: Turn, askers: Askers
    ) -> tuple[Survey, list[Subject], dict[int, str]]:
        """Decide on a survey by what the gateways list; nothing is paid."""
        reader = self._world.reader
        models = await models_of(reader, self._subnets, turn)
        if not models:
            raise NotFound(
                f"subnet {turn.subnet}", found="no model in this epoch", wanted="one or more"
            )
        seed = await seed_of(reader, turn)
        await self._world.directory.refresh()
        subjects: list[Subject] = []
        faults: dict[int, str] = {}
        for uid, asset in models:
            record = self._world.directory.get(asset)
            if record is None:
                continue
            try:
                subjects.append(await askers.look(record, uid, seed))
            except _ITS_TROUBLE as error:
                faults[uid] = str(error) or type(error).__name__
        place, late = self.place(turn), turn.now > turn.after(1)
        survey = decided(place, self._plan.task, seed, 2, self._plan.budget, models, late=late)

        # One that wants more for two items than its share leaves the others theirs.
        share = _share(survey)
        dear = {
            each.uid: f"wants more for two items than its share, {share} base units"
            for each in subjects
            if sum(self._bounds(survey, askers, each)) > share
        }
        if len(dear) < len(subjects):
            faults |= dear
            subjects = [each for each in subjects if each.uid not in dear]

        def cost(count: int) -> int:
            tried = survey.asking(count)
            each_most = (sum(self._bounds(tried, askers, each)) for each in subjects)
            return max(each_most, default=0) * len(models)

        count = most_items(self._plan.task, self._plan.items, self._plan.budget, cost)
        return survey.asking(count), subjects, faults

    # --- Inside --------------------------------------------------------------------------------

    async def _check_task(self, turn: Turn) -> bool:
        """Hold the benchmark against what the subnet's owner names; return whether one is named."""
        since = self._world.deployment.since
        named = await named_task(self._world.reader, self._subnets, turn, first=since)
        if named is None:
            return False
        if named.task != self._plan.task.id:
            raise Conflict(
                f"benchmark {self._plan.task.name}",
                found=f"0x{self._plan.task.id.hex()}",
                wanted=f"0x{named.task.hex()}, which subnet {turn.subnet} measures with",
                next_step=f"get it: {named.uri}" if named.uri else "ask the subnet's owner for it",
            )
        return True

    def _askers(self, folder: SurveyFolder) -> Askers:
        return Askers(self._world, self._plan.validator, self._plan.unknown, folder.calls)

    def _bounds(self, survey: Survey, askers: Askers, subject: Subject) -> tuple[int, int]:
        return bounds(self._plan.task, survey, subject, askers.quote(subject))


def _share(survey: Survey) -> int:
    """Return what each model's calls may cost, base units; what is left over is kept."""
    return survey.budget // len(survey.models)
