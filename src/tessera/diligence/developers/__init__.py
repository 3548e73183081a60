"""Developer activity: a git history, told from what is written to look like one."""

from tessera.diligence.developers.activity import NAMES, measure_history
from tessera.diligence.developers.child import Limits
from tessera.diligence.developers.reading import measure, measure_repository

__all__ = ["NAMES", "Limits", "measure", "measure_history", "measure_repository"]
