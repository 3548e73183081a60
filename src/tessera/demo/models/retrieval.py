"""How well vectors find the rest of a text by its first sentence: one benchmark for all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.demo.models.corpus import Docstring

__all__ = ["BENCHMARK", "METRIC", "hit_rates", "pairs_of"]

BENCHMARK = "a held-out docstring's first sentence finds the rest of it among the ten nearest"
METRIC = "hit_rate_at_10"

_NEAREST = 10
_SHORTEST_QUERY, _SHORTEST_REST = 15, 40
_FIRST_SENTENCE = re.compile(r"\n\s*\n|(?<=\.)\s")


def pairs_of(documents: list[Docstring]) -> list[tuple[str, str]]:
    """Cut each docstring into its first sentence and the rest; short ones are left out."""
    pairs = []
    for document in documents:
        first, *rest = _FIRST_SENTENCE.split(document.text, maxsplit=1)
        if rest and len(first) >= _SHORTEST_QUERY and len(rest[0]) >= _SHORTEST_REST:
            pairs.append((first, rest[0]))
    return pairs


def hit_rates(
    embedded: Callable[[list[str]], npt.NDArray[Any]], pairs: list[tuple[str, str]]
) -> tuple[float, float]:
    """Measure how often a query's own text is among the ten nearest, and the nearest.

    Parameters
    ----------
    embedded
        Turns texts into one vector each, of length 1 or zeros.
    """
    alike = embedded([query for query, _ in pairs]) @ embedded([rest for _, rest in pairs]).T
    ranks = (alike > np.diag(alike)[:, None]).sum(axis=1)
    return float((ranks < _NEAREST).mean()), float((ranks == 0).mean())
