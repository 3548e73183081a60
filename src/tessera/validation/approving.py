"""From a report to what a validator says in a round of approvals: approve or not, score, root.

The round's pool of public items is the benchmark's list, so its root is the benchmark's. Each
validator gets 200 of them by the round's seed; its report has a leaf per place, of the item's hash
and of the output's, which a contract can be shown one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from tessera.errors import InputError
from tessera.spec.approvals import GUARD
from tessera.spec.court import ASSIGNED, SHARED, outputs_tree
from tessera.spec.places import NumberedTree
from tessera.validation.answers import Answer
from tessera.validation.canonical import digest
from tessera.validation.report import draw_of
from tessera.validation.task import Benchmark

__all__ = [
    "MILLION",
    "Approval",
    "approval_of",
    "environment_of",
    "output_digest",
    "outputs_digest",
]

MILLION: Final = 1_000_000
"""Of a score, as approvals count it."""


@dataclass(frozen=True, slots=True)
class Approval:
    """What a validator commits to, and what it may have to show.

    Attributes
    ----------
    approve
        Whether the score is at the threshold or above, and by the guard of 2 pp more: who approves
        at the threshold itself would pay for bad luck with the hidden items.
    score
        Millionths, rounded down.
    leaves
        By place the hash of the item and that of the output.
    """

    approve: bool
    score: int
    leaves: Mapping[int, tuple[bytes, bytes]]

    @property
    def tree(self) -> NumberedTree:
        """Of the 256 places of a report."""
        return outputs_tree(self.leaves)

    @property
    def root(self) -> bytes:
        """What is committed with `approve` and `score`."""
        return self.tree.root

    def shown(self, place: int) -> tuple[bytes, bytes, list[bytes]]:
        """Return a place's item, output and proof.

        Raises
        ------
        InputError
            No item has that place.
        """
        if place not in self.leaves:
            raise InputError("place", found=place, wanted=f"0 to {len(self.leaves) - 1}")
        return (*self.leaves[place], self.tree.proof(place))


def output_digest(asks: list[dict[str, Any]]) -> bytes:
    """Hash what came of an item's questions: what a re-execution has to give, too."""
    return digest([[ask["outcome"], ask["output"]] for ask in asks])


def outputs_digest(answers: Sequence[Answer]) -> bytes:
    """Hash what came of an item's questions, as `output_digest` does of a report's."""
    return digest([[str(answer.outcome), answer.output] for answer in answers])


def environment_of(task: Benchmark) -> bytes:
    """Return what a round hashes a version's content with: all else that decides its answers.

    The runner, and how it is started, are part of the content; the task's id has questions,
    decoding with its seed, scorer and the harness's number.
    """
    return digest({"format": "tessera.environment.v1", "task": task.id.hex()})


def approval_of(report: dict[str, Any], task: Benchmark, *, threshold: int) -> Approval:
    """Make a validator's statement from its report.

    Parameters
    ----------
    report, task
        Checked against each other before, with the round's id: items must be drawn for it.
    threshold
        That the model must reach, millionths.

    Raises
    ------
    InputError
        The report is not about 200 items that were drawn as in a round, or has no score.
    """
    draw = draw_of(report)
    if draw is None:
        raise InputError("report", found="all items", wanted="200 that were drawn for a round")
    if (draw.count, draw.shared) != (ASSIGNED, SHARED):
        raise InputError(
            "draw", found=f"{draw.count} items, {draw.shared} shared",
            wanted=f"{ASSIGNED} and {SHARED}, as in a round of approvals",
        )  # fmt: skip
    if not 0 <= threshold <= MILLION:
        raise InputError("threshold", found=threshold, wanted=f"0 to {MILLION}, millionths")
    asked = {item["item"]: item for item in report["items"]}
    places = draw.by_place(task.eligible)
    if report["core"]["score"] is None:
        raise InputError("report", found="one without a score", wanted="one that was measured")
    score = math.floor(Fraction(report["core"]["score"]) * MILLION)
    return Approval(
        approve=score >= threshold + GUARD,
        score=score,
        leaves={
            place: (task.digests[number], output_digest(asked[number]["asks"]))
            for place, number in enumerate(places)
        },
    )
