"""A survey: every model of an epoch asked by two payers, and what each weighs for it.

One payer is the validator as everybody knows it, the other a key that nobody knows. The items of
the draw are dealt between them at random, both ask at the same time, and the model's score is over
all of them. If the known payer was answered better than chance allows, the model answers well only
for validators, and weighs nothing.

All of it is kept by place: what was decided before the first question, each answer in a journal,
each model's report. Whoever starts again after a kill goes on where it was, decides nothing anew
and asks nothing again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from tessera.errors import DataError, InputError, NotFound, WrongVersionServed
from tessera.serving.equality.verdict import ALPHA
from tessera.spec.signatures import address_of
from tessera.storage.folders import write_whole
from tessera.validation.canonical import canonical
from tessera.validation.draw import Draw
from tessera.validation.endpoints import Endpoint, Served
from tessera.validation.favour import Favour, deal, favoured
from tessera.validation.report import Measured, ModelName, Report, build_report, read_report
from tessera.validation.rounds import Place
from tessera.validation.running import Finished, Limits, Progress, most_of, run
from tessera.validation.task import Benchmark
from tessera.validation.weights import merit_of, row_of

__all__ = [
    "Judged",
    "Subject",
    "Survey",
    "SurveyFolder",
    "bounds",
    "decided",
    "judge",
    "measure",
    "most_items",
]

T = TypeVar("T")

_SECRET_BITS: Final = 128


@dataclass(frozen=True, slots=True)
class Survey:
    """What is decided before the first question.

    Attributes
    ----------
    place
        Where the row will count.
    task, seed
        The benchmark's id, and by what items are drawn; hexadecimal.
    items
        Of each model.
    deal
        By which items are dealt between the payers; a secret until the row is revealed.
    budget
        Base units that the calls may cost in all.
    models
        Uid and asset of each model of the epoch.
    late
        Whether it began when half of the time was over: what then takes too long may be good.
    """

    place: Place
    task: str
    seed: str
    items: int
    deal: str
    budget: int
    models: tuple[tuple[int, str], ...]
    late: bool = False

    def asking(self, items: int) -> Survey:
        """Return the same with so many items of each model."""
        return replace(self, items=items)


@dataclass(frozen=True, slots=True)
class Subject:
    """One model as it was when it was first asked.

    Attributes
    ----------
    version, content_root
        Which its gateway listed, and that version's bytes.
    operator, url
        Who was asked, and where.
    most
        What the calls of the known and of the unknown payer can cost.
    """

    uid: int
    asset: str
    slug: str
    version: int
    content_root: str
    operator: str
    url: str
    most: tuple[int, int] = (0, 0)

    def costing(self, most: tuple[int, int]) -> Subject:
        """Return the same with what its calls can cost."""
        return replace(self, most=most)


class SurveyFolder:
    """What is kept of one epoch's survey.

    Parameters
    ----------
    folder
        Of all surveys of a data folder.
    place
        Which one.
    """

    def __init__(self, folder: Path, place: Place) -> None:
        self.path = folder / place.name.removesuffix(".json")

    def make(self) -> None:
        """Make the folder, which only its owner can read.

        Raises
        ------
        InputError
            It cannot be made there.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InputError(
                f"folder {self.path}", found=error.strerror, wanted="one that can be written to"
            ) from error

    def survey(self) -> Survey | None:
        """Return what was decided; None before it was."""
        return _read(self.path / "survey.json", Survey)

    def decide(self, survey: Survey) -> None:
        """Write down what was decided."""
        _write(self.path / "survey.json", survey)

    def subject(self, uid: int) -> Subject | None:
        """Return how a model was when it was first asked; None before it was."""
        return _read(self.path / f"{uid}.model.json", Subject)

    def begin(self, subject: Subject) -> None:
        """Write down how a model is, before it is asked."""
        _write(self.path / f"{subject.uid}.model.json", subject)

    def report_file(self, uid: int) -> Path:
        """Return where a model's report is, once it is."""
        return self.path / f"{uid}.report.json"

    def report(self, uid: int) -> Report | None:
        """Return a model's report; None before it was measured."""
        try:
            return read_report(self.report_file(uid))
        except NotFound:
            return None

    def journals(self, uid: int) -> tuple[Path, Path]:
        """Return where the answers to the known and the unknown payer go as they come."""
        return self.path / f"{uid}.known.run", self.path / f"{uid}.unknown.run"

    def calls(self, payer: str) -> Path:
        """Return where a payer's calls are kept with their receipts."""
        return self.path / f"calls.{payer}"

    def weighed(self, found: Sequence[Judged]) -> None:
        """Write down what each model weighs, and why."""
        _write(self.path / "weights.json", found)

    def spent(self) -> int:
        """Return what the models that were begun can cost at most, base units."""
        found = [_read(file, Subject) for file in sorted(self.path.glob("*.model.json"))]
        return sum(sum(subject.most) for subject in found if subject is not None)


def decided(
    place: Place,
    task: Benchmark,
    seed: bytes,
    items: int,
    budget: int,
    models: Sequence[tuple[int, int]],
    *,
    late: bool = False,
) -> Survey:
    """Decide on a survey, and draw how items are dealt."""
    return Survey(
        place,
        task.id.hex(),
        seed.hex(),
        items,
        f"{secrets.randbits(_SECRET_BITS):x}",
        budget,
        tuple((uid, str(asset)) for uid, asset in models),
        late,
    )


# --- What is asked --------------------------------------------------------------------------


def piles(
    task: Benchmark, survey: Survey, subject: Subject
) -> tuple[Draw, tuple[int, ...], tuple[int, ...]]:
    """Return a model's draw, and the numbers of the items that each payer asks.

    What all other items need, such as documents to be searched, the known payer asks.
    """
    draw = Draw(
        bytes.fromhex(survey.seed),
        bytes.fromhex(subject.content_root.removeprefix("0x")),
        address_of(survey.place.validator),
        survey.items,
    )
    # Another deal for each model: whoever sees one knows nothing of the others.
    known, unknown = deal(draw.of(task.eligible), int(survey.deal, 16) * 65_537 + subject.uid)
    return draw, tuple(sorted((*known, *task.always))), unknown


def bounds(
    task: Benchmark, survey: Survey, subject: Subject, endpoint: Endpoint
) -> tuple[int, int]:
    """Return what the calls of the known and of the unknown payer can cost."""
    _, known, unknown = piles(task, survey, subject)
    return most_of(task, known, endpoint), most_of(task, unknown, endpoint)


def most_items(task: Benchmark, wanted: int, budget: int, cost: Callable[[int], int]) -> int:
    """Return how many items of each model a budget covers, at most those wanted.

    Parameters
    ----------
    cost
        Of so many items of each model, all models together, base units.

    Raises
    ------
    InputError
        Not even two, one for each payer.
    """
    count = min(wanted, len(task.eligible))
    while count > 1:
        most = cost(count)
        if most <= budget:
            return count
        count = min(count - 1, count * budget // most)
    raise InputError(
        "--budget",
        found=f"{budget} base units, and {wanted} items",
        wanted="two items of each model, one for each payer",
        next_step="allow more for an epoch",
    )


async def measure(
    task: Benchmark,
    survey: Survey,
    subject: Subject,
    folder: SurveyFolder,
    known: Endpoint,
    unknown: Endpoint,
    *,
    model: Callable[[Served | None], ModelName],
    payers: tuple[str, str],
    at_once: int = 4,
    alpha: float = ALPHA,
    progress: Progress = lambda _done, _all: None,
    made: Mapping[str, object] = {},
) -> Report:
    """Ask a model all of its items and write its report; one that is written is returned.

    Parameters
    ----------
    model
        Says which model answered, from what the operator signed.
    payers
        Addresses of the known and of the unknown one.
    at_once
        Items that each of them asks at a time.
    alpha
        The part of honest models that is accused of answering well only for validators.
    made
        More to say about how the report came about.

    Raises
    ------
    WrongVersionServed
        The two payers were served two versions, or another than was listed.
    TesseraError
        As `tessera.validation.running.run`. What was answered is kept.
    """
    done = folder.report(subject.uid)
    if done is not None:
        return done
    folder.make()
    draw, *numbers = piles(task, survey, subject)
    about = f"survey {subject.asset}@{subject.version} at {subject.operator}"
    counts, total = [0, 0], sum(len(each) for each in numbers)

    def one(side: int, endpoint: Endpoint) -> Coroutine[Any, Any, Finished]:
        def told(count: int, _all: int) -> None:
            counts[side] = count
            progress(sum(counts), total)

        return run(
            task,
            numbers[side],
            endpoint,
            about=f"{about} by {payers[side]}",
            journal=folder.journals(subject.uid)[side],
            limits=Limits(at_once, subject.most[side]),
            progress=told,
        )

    # At the same time: what one of them is answered later is not another model.
    ended = await asyncio.gather(one(0, known), one(1, unknown), return_exceptions=True)
    both: list[Finished] = []
    for each in ended:
        # Only now, when the other one's calls have ended too: what was begun is paid for.
        if isinstance(each, BaseException):
            raise each
        both.append(each)
    report = await _reported(task, survey, subject, draw, both, model, payers, alpha, made)
    await asyncio.to_thread(write_whole, folder.report_file(subject.uid), canonical(report) + b"\n")
    for journal in folder.journals(subject.uid):
        journal.unlink(missing_ok=True)
    return report


async def _reported(
    task: Benchmark,
    survey: Survey,
    subject: Subject,
    draw: Draw,
    both: Sequence[Finished],
    model: Callable[[Served | None], ModelName],
    payers: tuple[str, str],
    alpha: float,
    made: Mapping[str, object],
) -> Report:
    left, right = both
    if left.served and right.served and left.served != right.served:
        raise WrongVersionServed(
            f"model {subject.slug}",
            found=f"{right.served} for the unknown payer",
            wanted=f"{left.served}, as for the known one",
        )
    answers = dict(
        pair
        for each in both
        for pair in zip(each.measured.numbers, each.measured.answers, strict=True)
    )
    numbers = tuple(sorted(answers))
    report = await build_report(
        task,
        model(left.served or right.served),
        Measured(numbers, tuple(answers[number] for number in numbers)),
        draw=draw,
    )
    found = _favour(report, left.measured.numbers, alpha, int(survey.deal, 16) & 0xFFFFFFFF)
    report["run"] = {
        **made,
        "epoch": survey.place.epoch,
        "subnet": survey.place.subnet,
        "cost": str(left.cost + right.cost),
        "resumed": left.resumed + right.resumed,
        "why": left.why or right.why,
        "payers": {"known": payers[0], "unknown": payers[1]},
        "known_items": list(left.measured.numbers),
        "favour": None if found is None else found.as_json(),
    }
    return report


def _favour(report: Report, known: Sequence[int], alpha: float, seed: int) -> Favour | None:
    """Compare what the known payer was answered with the rest; None where there is nothing."""
    scored = {item["item"]: item["score"] for item in report["items"] if item["score"] is not None}
    sides = (
        [score for at, score in scored.items() if at in set(known)],
        [score for at, score in scored.items() if at not in set(known)],
    )
    if report["core"]["score"] is None or not all(sides):
        return None
    return favoured(*sides, alpha=alpha, seed=seed)


# --- What it weighs -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """What a model weighs, and why.

    Attributes
    ----------
    weight
        0 to 65,535.
    score
        None where it could not be measured.
    why
        In a sentence.
    favour
        What the comparison of the two payers found.
    cost
        Base units.
    """

    uid: int
    asset: str
    slug: str
    weight: int
    score: float | None
    why: str
    favour: dict[str, Any] | None = None
    root: str | None = None
    cost: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return {**found, "cost": str(self.cost)}


def judge(
    survey: Survey, reports: Mapping[int, Report], faults: Mapping[int, str]
) -> tuple[Judged, ...]:
    """Weigh an epoch's models.

    Parameters
    ----------
    reports
        By uid.
    faults
        By uid: why there is no report. Such a model weighs nothing.
    """
    merits = {
        uid: merit_of(reports[uid]) if uid in reports else Fraction(0) for uid, _ in survey.models
    }
    weights = dict(row_of(merits.items()))
    return tuple(
        _judged(uid, asset, weights[uid], reports.get(uid), faults.get(uid, "not measured in time"))
        for uid, asset in survey.models
    )


def _judged(uid: int, asset: str, weight: int, report: Report | None, fault: str) -> Judged:
    if report is None:
        return Judged(uid, asset, "", weight, None, fault)
    core, made = report["core"], report["run"]
    found = made["favour"]
    return Judged(
        uid,
        asset,
        core["model"]["name"],
        weight,
        core["score"],
        _why(core, found),
        found,
        report["root"],
        int(made["cost"]),
    )


def _why(core: Mapping[str, Any], found: Mapping[str, Any] | None) -> str:
    if core["score"] is None:
        return "cannot be asked this: its gateway has no such route"
    if found is not None and found["favoured"]:
        return (
            f"answers well only for validators: {found['known']:.4f} for the known key, "
            f"{found['unknown']:.4f} for one that nobody knows (p = {found['p_value']:.2g})"
        )
    scored = f"{core['score']:.4f} {core['metric']} on {core['scored']} items"
    if not merit_of({"core": core}):
        return f"{scored}, which guessing reaches"
    return scored


# --- Inside ---------------------------------------------------------------------------------


def _read(file: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(
            f"{file}", found=str(error), wanted="what was written there",
            next_step="delete the epoch's folder to measure again",
        ) from error  # fmt: skip


def _write(file: Path, value: Any) -> None:
    write_whole(file, msgspec.json.encode(value))
