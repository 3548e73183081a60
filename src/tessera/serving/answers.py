"""What makes an answer no answer: a wrong count, a wrong shape, or a number that is none.

Each check returns what is wrong, to follow the model's name in a sentence, or None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tessera.serving.runner import Cell

__all__ = ["wrong_outputs", "wrong_scores", "wrong_vectors"]


def wrong_vectors(vectors: Sequence[Sequence[float]], texts: int) -> str | None:
    """Say what is wrong with a model's vectors, or nothing."""
    if len(vectors) != texts:
        return f"returned {len(vectors)} vectors for {texts} texts"
    widths = {len(vector) for vector in vectors}
    if len(widths) > 1 or 0 in widths:
        return f"returned vectors of lengths {sorted(widths)}"
    if not all(math.isfinite(number) for vector in vectors for number in vector):
        return "returned NaN or infinity in a vector"
    return None


def wrong_scores(scores: Sequence[Mapping[str, float]], texts: int) -> str | None:
    """Say what is wrong with a model's scores, or nothing."""
    if len(scores) != texts:
        return f"returned {len(scores)} scores for {texts} texts"
    if not all(scores):
        return "returned a text without any label"
    if not all(math.isfinite(score) for row in scores for score in row.values()):
        return "returned NaN or infinity as a score"
    return None


def wrong_outputs(outputs: Sequence[Mapping[str, Cell | list[float]]], rows: int) -> str | None:
    """Say what is wrong with a model's outputs of a table, or nothing."""
    if len(outputs) != rows:
        return f"returned {len(outputs)} results for {rows} rows"
    for row in outputs:
        if not row:
            return "returned a row without any output"
        for name, value in row.items():
            numbers = value if isinstance(value, list) else [value]
            if not all(not isinstance(n, float) or math.isfinite(n) for n in numbers):
                return f"returned NaN or infinity in {name!r}"
    return None
