"""The kinds of tasks: what each asks for an item, and what it gives for the answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tessera.validation.kinds.choice import Choice
from tessera.validation.kinds.classification import Classification
from tessera.validation.kinds.perplexity import Perplexity
from tessera.validation.kinds.plugin import Plugin
from tessera.validation.kinds.retrieval import Retrieval
from tessera.validation.kinds.scoring import Decoding, Scoring

__all__ = ["KINDS", "scoring_of"]

KINDS: Final = ("classification", "retrieval", "perplexity", "choice", "python")


def scoring_of(
    kind: str, options: Mapping[str, Any], decoding: Decoding, folder: Path | None = None
) -> Scoring:
    """Return what asks and scores.

    Parameters
    ----------
    options
        The `[scorer]` table.
    folder
        Where a publisher's scorer lies.

    Raises
    ------
    ValueError
        There is no such kind, or an option is wrong; in a sentence.
    """
    match kind:
        case "classification":
            return Classification.of(options)
        case "retrieval":
            return Retrieval.of(options)
        case "perplexity":
            return Perplexity.of(options)
        case "choice":
            return Choice.of(options, decoding)
        case "python":
            return Plugin.of(options, folder)
        case _:
            raise ValueError(f"kind {kind!r}: wanted one of {', '.join(KINDS)}")
