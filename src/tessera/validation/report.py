"""A report: what was asked, what was answered, and one root over all of it.

The *core* holds nothing that a second run would have otherwise: no time, no price, no address of a
server. Its hash is the report's root. A model that repeats itself gives the same root whoever asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from tessera.errors import InputError, NotFound
from tessera.spec.signatures import keccak
from tessera.validation.answers import Answer, Outcome
from tessera.validation.canonical import canonical, digest, list_root
from tessera.validation.draw import Draw
from tessera.validation.kinds.scoring import Answered, Scores, mean
from tessera.validation.refusals import ReportWrong
from tessera.validation.task import HARNESS, Benchmark

__all__ = [
    "FORMAT",
    "Measured",
    "ModelName",
    "build_report",
    "check_against",
    "check_report",
    "draw_of",
    "parse_report",
    "read_report",
    "write_report",
]

FORMAT: Final = "tessera.report.v1"

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelName:
    """Which model answered.

    Attributes
    ----------
    name
        As it was asked for.
    asset, version, identity
        From the operator's receipts; None where there are none.
    content_root
        Of the version, from the chain or from one's own copy; None of a server that is only named.
    """

    name: str
    asset: str | None = None
    version: int | None = None
    content_root: str | None = None
    identity: str | None = None

    @property
    def drawn_by(self) -> bytes:
        """What a draw without a round is for: the content root, or the hash of the name."""
        if self.content_root is None:
            return keccak(self.name.encode())
        return bytes.fromhex(self.content_root.removeprefix("0x"))

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return {
            "name": self.name,
            "asset": self.asset,
            "version": self.version,
            "content_root": self.content_root,
            "identity": self.identity,
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """A run's outcome: the numbers of the items, and the answers to each, in one order."""

    numbers: tuple[int, ...]
    answers: tuple[tuple[Answer, ...], ...]


async def build_report(
    task: Benchmark,
    model: ModelName,
    measured: Measured,
    *,
    draw: Draw | None = None,
    run: dict[str, Any] | None = None,
) -> Report:
    """Score what was measured and write the report.

    Parameters
    ----------
    draw
        By which items were drawn; None where all were asked.
    run
        How it was made: what a second run would have otherwise. Not part of the root.

    Raises
    ------
    NotAllowed, BackendFailed
        The publisher's scorer may not run, or does not load.
    """
    answered = _answered(task, measured)
    scores = await task.scoring.scores(answered)
    items = [
        {
            "item": number,
            "digest": task.digests[number].hex(),
            "asks": [
                {
                    **ask.as_json(),
                    "outcome": str(answer.outcome),
                    "output": answer.output,
                    "receipt": answer.receipt,
                }
                for ask, answer in zip(task.scoring.asks(each.item), each.answers, strict=True)
            ],
            "score": score,
        }
        for number, each, score in zip(measured.numbers, answered, scores.values, strict=True)
    ]
    core = _core(task, model, draw, items, scores)
    return {
        "format": FORMAT,
        "root": "0x" + digest(core).hex(),
        "core": core,
        "items": items,
        "run": run or {},
    }


def check_report(report: Report) -> None:
    """Check that a report's roots are those of what it holds, and its score that of its items.

    Raises
    ------
    ReportWrong
        Something was changed.
    """
    core, items = report["core"], report["items"]
    found = "0x" + digest(core).hex()
    if report["root"] != found:
        raise ReportWrong("report: root", found=report["root"], wanted=f"{found}, of its core")
    try:
        outputs = "0x" + _outputs_root(items).hex()
        figures = _figures(items)
    except (KeyError, TypeError, ValueError) as error:
        raise ReportWrong("report: items", found=repr(error), wanted="items of a report") from error
    if core["outputs_root"] != outputs:
        raise ReportWrong(
            "report: outputs", found=core["outputs_root"], wanted=f"{outputs}, of its items",
            next_step="a request, an output or a score was changed after it was made",
        )  # fmt: skip
    for name, value in figures.items():
        if core.get(name) != value:
            raise ReportWrong(f"report: {name}", found=core.get(name), wanted=repr(value))


async def check_against(report: Report, task: Benchmark, *, round_: bytes | None = None) -> None:
    """Check a report against its task: the draw, every item and request, and every score.

    Parameters
    ----------
    round_
        Id of the round of approvals that items were drawn for; None where they were drawn for the
        model alone.

    Raises
    ------
    ReportWrong
        It is about another task, or asks or scores otherwise than the task says.
    NotAllowed, BackendFailed
        The publisher's scorer may not run, or does not load.
    """
    check_report(report)
    core = report["core"]
    if core["task"] != "0x" + task.id.hex():
        raise ReportWrong(
            "report: task", found=core["task"], wanted=f"0x{task.id.hex()}, of {task.name}",
            next_step="verify it with the benchmark that it was made with",
        )  # fmt: skip
    numbers = tuple(item["item"] for item in report["items"])
    wanted = _numbers_of(core, task, round_)
    if numbers != wanted:
        raise ReportWrong(
            "report: items", found=f"{len(numbers)} of them", wanted=f"the {len(wanted)} drawn"
        )
    answers = []
    for item in report["items"]:
        number = item["item"]
        if item["digest"] != task.digests[number].hex():
            raise ReportWrong(f"item {number}", found=item["digest"], wanted="the task's item")
        asks = [ask.as_json() for ask in task.scoring.asks(task.items[number])]
        asked = [{"path": ask["path"], "request": ask["request"]} for ask in item["asks"]]
        if canonical(asks) != canonical(asked):
            raise ReportWrong(
                f"item {number}", found="another question", wanted="what the task asks"
            )
        answers.append(tuple(_answer(ask) for ask in item["asks"]))
    answered = _answered(task, Measured(numbers, tuple(answers)))
    try:
        scores = await task.scoring.scores(answered)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # Outputs as no run writes them.
        raise ReportWrong(
            "report: outputs", found=repr(error), wanted="outputs of a run"
        ) from error
    for item, score in zip(report["items"], scores.values, strict=True):
        if item["score"] != score:
            raise ReportWrong(f"item {item['item']}: score", found=item["score"], wanted=f"{score}")
    if canonical(scores.details) != canonical(core["details"]):
        raise ReportWrong("report: details", found=core["details"], wanted=str(scores.details))


def draw_of(report: Report) -> Draw | None:
    """Return by which draw a report's items were chosen; None where all were asked.

    Raises
    ------
    ReportWrong
        It names none that could be.
    """
    return _draw_of(report["core"])


def read_report(file: Path) -> Report:
    """Read a report; nothing of it is believed yet.

    Raises
    ------
    NotFound
        There is no such file.
    InputError
        It is no report.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"report {file}", found="nothing", wanted="a file") from error
    except OSError as error:
        raise InputError(f"report {file}", found=error.strerror, wanted="a file") from error
    return parse_report(data, str(file))


def parse_report(data: bytes, where: str) -> Report:
    """Read a report that came from somewhere; nothing of it is believed yet.

    Raises
    ------
    InputError
        It is no report.
    """
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
        if found.get("format") != FORMAT:
            raise ValueError(f"format {found.get('format')!r}")
        report: Report = msgspec.to_builtins(msgspec.convert(found, _ReportWire))
        # Whatever has no form in which it could be hashed is none either.
        canonical(report)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"report {where}", found=str(error), wanted=f"a {FORMAT}") from error
    return report


def write_report(file: Path, report: Report) -> None:
    """Write a report in its only form: the same report is the same bytes.

    Raises
    ------
    InputError
        It cannot be written there.
    """
    try:
        file.write_bytes(canonical(report) + b"\n")
    except OSError as error:
        raise InputError(
            f"--out {file}", found=error.strerror, wanted="a place to write"
        ) from error


# --- Inside ---------------------------------------------------------------------------------


class _AskWire(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    request: dict[str, Any]
    outcome: Outcome
    output: Any
    receipt: str | None


class _ItemWire(msgspec.Struct, forbid_unknown_fields=True):
    item: int
    digest: str
    asks: list[_AskWire]
    score: float | None


class _ModelWire(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    asset: str | None
    version: int | None
    content_root: str | None
    identity: str | None


class _DrawWire(msgspec.Struct, forbid_unknown_fields=True):
    seed: str
    round: str
    validator: str
    count: int
    shared_bps: int


class _CoreWire(msgspec.Struct, forbid_unknown_fields=True):
    harness: int
    task: str
    task_name: str
    kind: str
    metric: str
    proportion: bool
    chance: float
    decoding: dict[str, Any]
    items_root: str
    items: int
    draw: _DrawWire | None
    model: _ModelWire
    outputs_root: str
    outcomes: dict[str, int]
    scored: int
    status: str
    score: float | None
    details: dict[str, Any]


class _ReportWire(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    root: str
    core: _CoreWire
    items: list[_ItemWire]
    run: dict[str, Any]


def _core(
    task: Benchmark,
    model: ModelName,
    draw: Draw | None,
    items: Sequence[dict[str, Any]],
    scores: Scores,
) -> dict[str, Any]:
    return {
        "harness": HARNESS,
        "task": "0x" + task.id.hex(),
        "task_name": task.name,
        "kind": task.kind,
        "metric": task.scoring.metric,
        "proportion": task.scoring.proportion,
        "chance": task.chance,
        "decoding": task.decoding.as_json(),
        "items_root": "0x" + task.items_root.hex(),
        "items": len(task.items),
        "draw": None
        if draw is None
        else {
            "seed": "0x" + draw.seed.hex(),
            "round": "0x" + draw.round.hex(),
            "validator": "0x" + draw.validator.hex(),
            "count": draw.count,
            "shared_bps": draw.shared_bps,
        },
        "model": model.as_json(),
        "outputs_root": "0x" + _outputs_root(items).hex(),
        **_figures(items),
        "details": scores.details,
    }


def _figures(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what follows from the items alone."""
    outcomes: dict[str, int] = {}
    for item in items:
        for ask in item["asks"]:
            outcomes[str(ask["outcome"])] = outcomes.get(str(ask["outcome"]), 0) + 1
    values = [item["score"] for item in items if item["score"] is not None]
    # Of one that was asked nothing else: who leaves out a hard question scores 0 there.
    unsupported = set(outcomes) == {str(Outcome.UNSUPPORTED)}
    return {
        "outcomes": dict(sorted(outcomes.items())),
        "scored": len(values),
        # A model that cannot be asked has no score; one that answers wrongly has a low one.
        "status": "unsupported" if unsupported else "measured",
        "score": None if unsupported else mean(values),
    }


def _outputs_root(items: Sequence[dict[str, Any]]) -> bytes:
    return list_root(
        [
            digest(
                {
                    "item": item["item"],
                    "digest": item["digest"],
                    "asks": [
                        {name: ask[name] for name in ("path", "request", "outcome", "output")}
                        for ask in item["asks"]
                    ],
                    "score": item["score"],
                }
            )
            for item in items
        ]
    )


def _answered(task: Benchmark, measured: Measured) -> list[Answered]:
    return [
        Answered(task.items[number], answers)
        for number, answers in zip(measured.numbers, measured.answers, strict=True)
    ]


def _answer(ask: dict[str, Any]) -> Answer:
    return Answer(Outcome(ask["outcome"]), ask["output"], ask["receipt"])


def _numbers_of(core: dict[str, Any], task: Benchmark, round_: bytes | None) -> tuple[int, ...]:
    draw = _draw_of(core)
    if draw is None:
        return tuple(range(len(task.items)))
    # Whoever could name anything here would name what draws the items that flatter.
    if draw.round != (round_ or ModelName(**core["model"]).drawn_by):
        wanted = "this model's" if round_ is None else "that of the round"
        raise ReportWrong("report: draw", found=core["draw"]["round"], wanted=wanted)
    try:
        drawn = draw.of(task.eligible)
    except InputError as error:
        raise ReportWrong("report: draw", found=str(error), wanted="a draw of its task") from error
    return tuple(sorted((*drawn, *task.always)))


def _draw_of(core: dict[str, Any]) -> Draw | None:
    draw = core["draw"]
    if draw is None:
        return None
    try:
        parts = [bytes.fromhex(draw[name][2:]) for name in ("seed", "round", "validator")]
    except ValueError as error:
        raise ReportWrong("report: draw", found=str(error), wanted="hexadecimal digits") from error
    return Draw(parts[0], parts[1], parts[2], draw["count"], draw["shared_bps"])
