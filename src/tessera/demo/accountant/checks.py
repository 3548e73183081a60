"""Comparing two accounts of the same thing, and keeping every difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Checks", "Difference"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Two witnesses that contradict each other.

    Attributes
    ----------
    rule
        What should be so.
    about
        Whose account.
    found, wanted
        What the one says, and what follows from the others.
    """

    rule: str
    about: str
    found: int
    wanted: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.about}: found {self.found}, wanted {self.wanted}"


class Checks:
    """Counts comparisons by rule, and keeps those that failed.

    Attributes
    ----------
    made
        Number of comparisons by rule.
    differences
        In the order in which they were found.
    """

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self.differences: list[Difference] = []

    def same(self, rule: str, about: str, found: int, wanted: int) -> None:
        """Compare two amounts that must be equal to the last unit."""
        self._note(found == wanted, rule, about, found, str(wanted))

    def within(self, rule: str, about: str, found: int, low: int, high: int) -> None:
        """Compare an amount with bounds, both of which it may reach."""
        self._note(low <= found <= high, rule, about, found, f"{low} to {high}")

    def same_all(
        self, rule: str, found: Mapping[Any, int], wanted: Mapping[Any, int], names: Any = str
    ) -> None:
        """Compare two ledgers; an account that one of them does not have counts as 0 there."""
        for key in _in_order([*found, *wanted]):
            self.same(rule, names(key), found.get(key, 0), wanted.get(key, 0))

    def refused(self, who: str, reason: Exception) -> None:
        """Note that a contract did what its twin refuses."""
        self._note(False, f"the twin allows it: {reason}", who, 1, "0")

    def _note(self, holds: bool, rule: str, about: str, found: int, wanted: str) -> None:
        self.made[rule] += 1
        if not holds:
            self.differences.append(Difference(rule, about, found, wanted))


def _in_order(keys: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(keys))
