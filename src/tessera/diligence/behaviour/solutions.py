"""What a search assumes, what it met, and what it ended with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tessera.diligence.behaviour.origins import Field
from tessera.diligence.behaviour.runs import Run
from tessera.diligence.behaviour.scripts import Outcome

__all__ = ["Choices", "Gate", "Solution"]


@dataclass(frozen=True, slots=True)
class Gate:
    """Only some caller passes: the field that says who, or None where the code itself says it.

    Parameters
    ----------
    field
        Where the permitted account is kept.
    account
        Who is permitted, where observed or written in the code; else None.
    listed
        A list of accounts rather than one.
    """

    field: Field | None
    account: str | None = None
    listed: bool = False


@dataclass(slots=True)
class Solution:
    """What a search ended with.

    Parameters
    ----------
    works
        Every step did what was wanted.
    outcomes
        Of the last attempt; shorter than the script where a step failed.
    assumed
        Words given to places that nobody observed.
    gates
        Gates met, opened or not.
    runs
        The last run of each step, the failed one included.
    attempted
        Whether any attempt tried to move money at all.
    """

    works: bool = False
    outcomes: list[Outcome] = field(default_factory=list)
    assumed: dict[tuple[str, int], int] = field(default_factory=dict)
    gates: list[Gate] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    attempted: bool = False
    gated: bool = False
    entries: set[tuple[str, int]] = field(default_factory=set)
    stopped: bool = False
    choices: Choices | None = None


@dataclass(slots=True)
class Choices:
    """Words assumed so far, and what is left to try for each field."""

    words: dict[tuple[str, int], int]
    left: dict[Field, list[int]] = field(default_factory=dict)
    arguments: dict[tuple[bytes, int], int] = field(default_factory=dict)
    entries: set[tuple[str, int]] = field(default_factory=set)
    senders: dict[bytes, bytes] = field(default_factory=dict)
    values: dict[bytes, int] = field(default_factory=dict)
    frozen: frozenset[tuple[str, int]] = frozenset()

    def copied(self) -> Choices:
        """The words as they are now; what is left to try is shared, as it is used up for good."""
        return replace(
            self,
            words=dict(self.words),
            arguments=dict(self.arguments),
            entries=set(self.entries),
            senders=dict(self.senders),
            values=dict(self.values),
        )

    def restore(self, earlier: Choices) -> None:
        """The words of `earlier`."""
        kept = earlier.copied()
        self.words, self.arguments, self.entries = kept.words, kept.arguments, kept.entries
        self.senders, self.values = kept.senders, kept.values
