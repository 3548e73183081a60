"""A line of the table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one strategy earns, and what honesty earns in its place.

    Attributes
    ----------
    strategy
        Who does what.
    honest, earns
        In the unit that `why` names, costs deducted.
    error
        Standard error of `earns`; 0 where nothing was drawn.
    why
        What makes the difference.
    """

    strategy: str
    honest: float
    earns: float
    error: float = 0.0
    why: str

    @property
    def pays(self) -> bool:
        """Whether it earns more than honesty, by more than two standard errors."""
        return self.earns - 2 * self.error > self.honest
