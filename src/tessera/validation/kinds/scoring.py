"""What every kind of task can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tessera.validation.answers import Answer, Ask, Outcome

__all__ = ["Answered", "Decoding", "Item", "Scores", "Scoring", "known_options", "mean"]

Item = Mapping[str, Any]
"""One line of the items' file."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a text generator writes; part of the task, so of its hash.

    Attributes
    ----------
    temperature
        0 takes the likeliest token.
    max_tokens
        Of an answer.
    seed
        Goes with every request for a text.
    """

    temperature: float = 0.0
    max_tokens: int = 8
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class Answered:
    """An item and the answers to its questions, in their order."""

    item: Item
    answers: tuple[Answer, ...]

    @property
    def output(self) -> Any:
        """The output of the only question; None where it has none."""
        return self.answers[0].output if self.whole else None

    @property
    def whole(self) -> bool:
        """Whether every question was answered."""
        return all(answer.outcome is Outcome.ANSWERED for answer in self.answers)


@dataclass(frozen=True, slots=True)
class Scores:
    """What the answers are worth.

    Attributes
    ----------
    values
        Per item 0 to 1; None for one that is asked only because others need it.
    details
        Further figures, as JSON values.
    """

    values: tuple[float | None, ...]
    details: dict[str, Any] = field(default_factory=dict)


class Scoring(Protocol):
    """One kind of task, with its options."""

    @property
    def metric(self) -> str:
        """What the score counts."""

    @property
    def proportion(self) -> bool:
        """Whether the score is a mean of parts, of which Wilson's interval can be given."""

    @property
    def code(self) -> bytes:
        """SHA-256 of the publisher's scorer; empty where there is none."""

    def fault(self, item: Item) -> str | None:
        """Say what is wrong with an item, or nothing."""

    def fault_of_all(self, items: Sequence[Item]) -> str | None:
        """Say what is wrong with the items together, or nothing."""

    def counted(self, item: Item) -> bool:
        """Tell whether an item has a score, and so can be drawn."""

    def asks(self, item: Item) -> tuple[Ask, ...]:
        """Return the questions of an item, one or more."""

    async def scores(self, answered: Sequence[Answered]) -> Scores:
        """Score the answers; whatever they are."""


def known_options(given: Mapping[str, Any], *known: str) -> None:
    """Refuse an option that the kind does not have.

    Raises
    ------
    ValueError
        There is one.
    """
    for name in given:
        if name not in known:
            raise ValueError(f"option {name!r}: wanted one of {', '.join(known) or 'none'}")


def mean(values: Sequence[float]) -> float:
    """Return the mean, rounded once: the same in whichever order."""
    import math

    return math.fsum(values) / len(values) if values else 0.0
