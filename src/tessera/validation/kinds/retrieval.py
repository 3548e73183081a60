"""Retrieval: a query should find its documents among all, by the vectors of both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from tessera.validation.answers import EMBEDDINGS, Ask
from tessera.validation.kinds.scoring import Answered, Item, Scores, known_options, mean

__all__ = ["Retrieval"]

_METRICS: Final = ("ndcg", "recall")
_MOST_DEEP: Final = 1_000


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Documents and queries with the gains of what they should find.

    ``{"id": "d1", "document": text}``, ``{"id": "q1", "query": text, "relevant": {"d1": 1}}``. All
    documents are asked in every run; queries are drawn and scored.

    Nearness is the cosine; documents that are equally near come in the order of the list. A vector
    of zeros, of another length than most or none at all is near to nothing: such a document comes
    last, and such a query scores 0.

    Attributes
    ----------
    by
        `ndcg`: gains divided by log2(1 + rank), as a part of the best order's; `recall`: the part
        of the relevant documents that is found.
    depth
        The first so many documents count.
    """

    by: str = "ndcg"
    depth: int = 10

    proportion = True
    code = b""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Read the options."""
        known_options(options, "metric", "depth")
        by, depth = options.get("metric", "ndcg"), options.get("depth", 10)
        if by not in _METRICS:
            raise ValueError(f"option 'metric': wanted {' or '.join(_METRICS)}")
        if isinstance(depth, bool) or not isinstance(depth, int) or not 1 <= depth <= _MOST_DEEP:
            raise ValueError(f"option 'depth': wanted 1 to {_MOST_DEEP}")
        return cls(by, depth)

    @property
    def metric(self) -> str:
        """Such as ndcg@10."""
        return f"{self.by}@{self.depth}"

    def fault(self, item: Item) -> str | None:
        """Say what is wrong with an item, or nothing."""
        if not isinstance(item.get("id"), str):
            return "no id"
        if ("document" in item) == ("query" in item):
            return "not one of document and query"
        text = item.get("document", item.get("query"))
        if not isinstance(text, str) or not text:
            return "no text"
        if "document" in item:
            return None
        relevant = item.get("relevant")
        if not isinstance(relevant, dict) or not relevant:
            return "a query without relevant documents"
        for gain in relevant.values():
            if isinstance(gain, bool) or not isinstance(gain, int | float):
                return "a gain that is no number"
            if not (math.isfinite(gain) and gain > 0):
                return "a gain that is not above 0"
        return None

    def fault_of_all(self, items: Sequence[Item]) -> str | None:
        """Find ids that come twice, and documents that are named and not there."""
        ids = [item["id"] for item in items]
        if len(set(ids)) != len(ids):
            return "an id that comes twice"
        documents = {item["id"] for item in items if "document" in item}
        for item in items:
            missing = set(item.get("relevant", ())) - documents
            if missing:
                return f"document {min(missing)!r} of query {item['id']!r}, which is not there"
        return None

    def counted(self, item: Item) -> bool:
        """Queries have a score."""
        return "query" in item

    def asks(self, item: Item) -> tuple[Ask, ...]:
        """Ask for the vector of a text."""
        text = item.get("document", item.get("query"))
        return (Ask(EMBEDDINGS, {"input": [text], "encoding_format": "float"}),)

    async def scores(self, answered: Sequence[Answered]) -> Scores:
        """Rank all documents for each query."""
        documents = [each for each in answered if "document" in each.item]
        ids = [each.item["id"] for each in documents]
        width = _usual_width(documents)
        table = np.stack([_direction(each.output, width) for each in documents])
        there = np.abs(table).max(axis=1) > 0
        found: list[tuple[float, float] | None] = []
        for each in answered:
            if "document" in each.item:
                found.append(None)
                continue
            query = _direction(each.output, width)
            if not query.any():
                found.append((0.0, 0.0))
                continue
            near = np.where(there, np.einsum("ij,j->i", table, query), -np.inf)
            # Stable, so that equally near ones keep the order of the list.
            first = np.argsort(-near, kind="stable")[: self.depth]
            ranked = [ids[at] for at in first if there[at]]
            found.append(self._both(ranked, each.item["relevant"]))
        pairs = [pair for pair in found if pair is not None]
        at = _METRICS.index(self.by)
        return Scores(
            tuple(None if pair is None else pair[at] for pair in found),
            {
                f"{name}@{self.depth}": mean([pair[number] for pair in pairs])
                for number, name in enumerate(_METRICS)
            },
        )

    def _both(self, ranked: Sequence[str], relevant: Mapping[str, float]) -> tuple[float, float]:
        gained = math.fsum(
            relevant.get(name, 0) / math.log2(rank + 2) for rank, name in enumerate(ranked)
        )
        best = math.fsum(
            gain / math.log2(rank + 2)
            for rank, gain in enumerate(sorted(relevant.values(), reverse=True)[: self.depth])
        )
        hits = sum(name in relevant for name in ranked)
        return min(1.0, gained / best), hits / len(relevant)


def _usual_width(documents: Sequence[Answered]) -> int:
    widths = [len(each.output) for each in documents if each.output is not None]
    return max(sorted(set(widths)), key=widths.count, default=1)


def _direction(vector: Sequence[float] | None, width: int) -> npt.NDArray[np.float64]:
    """Return a vector of length 1, or zeros for what has no direction."""
    if vector is None or len(vector) != width:
        return np.zeros(width)
    numbers = np.asarray(vector, dtype=np.float64)
    largest = float(np.abs(numbers).max())
    if largest == 0:
        return np.zeros(width)
    # First by the largest: the square of a large number is infinite.
    numbers = numbers / largest
    directed: npt.NDArray[np.float64] = numbers / np.sqrt(np.einsum("i,i->", numbers, numbers))
    return directed
