"""A sample of a report asked again, of one's own copy or of an endpoint, and what follows.

Answers are compared as in an audit: the last bits of a float may differ between honest machines, an
honest machine is granted one spoilt answer in 10,000, and the verdict has a stated rate of false
alarms. Only models that repeat themselves can be held to a report so.
"""

from __future__ import annotations

import random as randomness
from typing import Any, Final

import numpy as np

from tessera.errors import InputError
from tessera.serving.equality.exact import (
    Item,
    compare,
    flagged,
    outputs_item,
    scores_item,
    text_item,
    vector_item,
)
from tessera.serving.equality.verdict import ALPHA, Verdict, judge_answers
from tessera.validation.answers import (
    CLASSIFY,
    COMPLETIONS,
    EMBEDDINGS,
    MODERATIONS,
    PREDICT,
    Outcome,
)
from tessera.validation.endpoints import Endpoint
from tessera.validation.running import USUAL, Limits, Progress, run
from tessera.validation.task import Benchmark

__all__ = ["rerun", "sample_of"]


def sample_of(report: dict[str, Any], count: int, seed: int) -> tuple[int, ...]:
    """Draw items of a report to be asked again, in order.

    Raises
    ------
    InputError
        None is wanted.
    """
    if count < 1:
        raise InputError("items to ask again", found=count, wanted="1 or more")
    numbers = [item["item"] for item in report["items"]]
    chosen = randomness.Random(seed).sample(  # noqa: S311 - a sample, no secret
        numbers, min(count, len(numbers))
    )
    return tuple(sorted(chosen))


async def rerun(
    report: dict[str, Any],
    task: Benchmark,
    endpoint: Endpoint,
    numbers: tuple[int, ...],
    *,
    limits: Limits = USUAL,
    alpha: float = ALPHA,
    progress: Progress = lambda _done, _all: None,
) -> Verdict:
    """Ask items of a report again and compare.

    Parameters
    ----------
    report, task
        Checked against each other before.
    numbers
        From `sample_of`.
    alpha
        Part of the honest reports that this may accuse.

    Raises
    ------
    TesseraError
        The endpoint cannot be asked.
    """
    finished = await run(task, numbers, endpoint, about="", limits=limits, progress=progress)
    written = {item["item"]: item["asks"] for item in report["items"]}
    theirs: list[Item] = []
    own: list[Item] = []
    for number, answers in zip(numbers, finished.measured.answers, strict=True):
        for ask, answer in zip(written[number], answers, strict=True):
            theirs += _items(ask["path"], ask["outcome"], ask["output"])
            own += _items(ask["path"], answer.outcome, answer.output)
            # Another number of texts than was given here is another answer.
            longer = max(len(theirs), len(own))
            theirs += [_NOTHING] * (longer - len(theirs))
            own += [_NOTHING] * (longer - len(own))
    return judge_answers(compare(theirs, own), alpha)


_NOTHING: Final = Item((("nothing", 0),), np.zeros(0), ("nothing",))


def _items(path: str, outcome: str, output: Any) -> list[Item]:
    if outcome != Outcome.ANSWERED:
        # No answer is like no answer of the same kind: both show the same.
        return [Item((("no answer", 0),), np.zeros(0), (str(outcome),))]
    if path == CLASSIFY:
        return [scores_item(output["scores"], (output["label"],))]
    if path == EMBEDDINGS:
        return [vector_item(output)]
    if path == PREDICT:
        return [outputs_item(output)]
    if path == MODERATIONS:
        return [scores_item(output["scores"], flagged(output["scores"]))]
    if path == COMPLETIONS:
        return [vector_item(output["logs"]) if "logs" in output else text_item(output["text"], "")]
    return [text_item(each["text"], each["finish"]) for each in output]
