"""What this room refuses."""

from __future__ import annotations

from tessera.errors import DataError, InputError

__all__ = ["ClaimContradicted", "MalformedScores", "ReportWrong", "TaskInvalid"]


class TaskInvalid(InputError):
    """A benchmark's folder does not say what is asked, or how it is scored."""


class ReportWrong(DataError):
    """A report contradicts itself, its task, or the answers that were given to it."""


class ClaimContradicted(DataError):
    """A model does not score what is claimed for it."""


class MalformedScores(InputError):
    """Scores that no row of weights can be made of."""
