"""Classification: a text or a row of a table has one right label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from tessera.validation.answers import CLASSIFY, PREDICT, Ask
from tessera.validation.kinds.scoring import Answered, Item, Scores, known_options

__all__ = ["Classification"]


@dataclass(frozen=True, slots=True)
class Classification:
    """Items ``{"input": text or row, "label": text or number}``; an item scores 1 or 0.

    Attributes
    ----------
    labels
        Only these are looked at, where a classifier knows more; the highest score decides, and
        equal ones decide nothing. Empty: the label that it says itself.
    output
        Of a table's model: the output that is compared. Empty: its only one.
    """

    labels: tuple[str, ...] = ()
    output: str = ""

    metric = "accuracy"
    proportion = True
    code = b""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Read the options."""
        known_options(options, "labels", "output")
        labels, output = options.get("labels", []), options.get("output", "")
        if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
            raise ValueError("option 'labels': wanted a list of texts")
        if isinstance(output, str):
            return cls(tuple(labels), output)
        raise ValueError("option 'output': wanted the name of an output")

    def fault(self, item: Item) -> str | None:
        """Say what is wrong with an item, or nothing."""
        given, label = item.get("input"), item.get("label")
        if isinstance(label, bool) or not isinstance(label, str | int):
            return "a label that is no text and no whole number"
        if isinstance(given, str):
            if not given:
                return "an empty input"
            if self.labels and label not in self.labels:
                return f"label {label!r}, which is none of {', '.join(self.labels)}"
            return None
        if isinstance(given, list) and given and all(_is_cell(cell) for cell in given):
            return None
        return "an input that is no text and no row"

    def fault_of_all(self, items: Sequence[Item]) -> str | None:
        """Find nothing: each item stands for itself."""
        return None

    def counted(self, item: Item) -> bool:
        """Every item has a score."""
        return True

    def asks(self, item: Item) -> tuple[Ask, ...]:
        """Ask for the labels of a text, or the outputs of a row."""
        if isinstance(item["input"], str):
            return (Ask(CLASSIFY, {"input": [item["input"]]}),)
        return (Ask(PREDICT, {"rows": [item["input"]]}),)

    async def scores(self, answered: Sequence[Answered]) -> Scores:
        """Count the right ones."""
        return Scores(tuple(float(self._right(each)) for each in answered))

    def _right(self, answered: Answered) -> bool:
        output, label = answered.output, answered.item["label"]
        if output is None:
            return False
        if isinstance(answered.item["input"], str):
            found: object = self._decided(output)
        elif self.output:
            found = output.get(self.output)
        else:
            single = [value for value in output.values() if not isinstance(value, list)]
            found = single[0] if len(single) == 1 else None
        return _same(found, label)

    def _decided(self, output: Mapping[str, Any]) -> object:
        if not self.labels:
            return output["label"]
        scores = [(output["scores"].get(label), label) for label in self.labels]
        known = [(score, label) for score, label in scores if score is not None]
        best = max((score for score, _ in known), default=None)
        highest = [label for score, label in known if score == best]
        return highest[0] if len(highest) == 1 else None


def _is_cell(cell: object) -> bool:
    return isinstance(cell, bool | int | float | str)


def _same(found: object, label: str | int) -> bool:
    if found is None or isinstance(found, list):
        return False
    if isinstance(found, int | float) and isinstance(label, int):
        return found == label
    return str(found) == str(label)
